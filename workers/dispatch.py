"""From rows to messages, and from lost messages and dead workers back to rows."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta

from fleet.logging import get_logger
from fleet.metrics import jobs_total
from tenancy.platform import PlatformDatabase, PlatformSession
from workers.broker import QUEUES, JobBroker
from workers.repository import ENQUEUE, FORGET_ENQUEUED, RESCUE
from workers.settings import WorkerSettings

log = get_logger("workers.dispatch")

Step = Callable[[PlatformSession], Awaitable[int]]

#: Rows one pass of the sweeper looks at, per queue and reason.
_SWEEP = 500
#: As few messages waiting as this cannot explain why a row has waited so long: its message is lost.
_ALMOST_EMPTY = 20
#: With more of them waiting, a row's turn may still come; after so many times the patience it may not.
_BUSY_FACTOR = 10


class Dispatcher:
    """Puts runnable jobs into their queues and rescues jobs nobody works on. Any number may run at once."""

    def __init__(self, platform: PlatformDatabase, broker: JobBroker, settings: WorkerSettings) -> None:
        self._platform = platform
        self._broker = broker
        self._settings = settings

    async def enqueue(self) -> bool:
        """Messages for runnable jobs, up to the window of each queue. True when there may be more.

        Errors: psycopg.Error, DomainError, redis.exceptions.RedisError. The rows stay as they were, or get
        their message twice.
        """
        waiting = await asyncio.to_thread(self._broker.waiting)
        more = False
        for queue in QUEUES:
            room = self._settings.queue_window - waiting[queue]
            if room > 0:
                more |= await self._platform.run(self._enqueue(queue, room)) == room
        return more

    def _enqueue(self, queue: str, room: int) -> Step:
        async def enqueue(session: PlatformSession) -> int:
            [tickets] = await session.load(ENQUEUE(of_queue=queue, at_most=room))
            if tickets:
                # Before the commit: a message without a mark is a duplicate, a mark without one a delay.
                await asyncio.to_thread(self._broker.send, queue, tickets)
            return len(tickets)

        return enqueue

    async def sweep(self) -> int:
        """Forget messages that must be lost, take jobs from workers that are gone; how many of both."""
        return await self._forget_lost() + await self._platform.run(self._rescue)

    async def _forget_lost(self) -> int:
        waiting = await asyncio.to_thread(self._broker.waiting)
        found = 0
        for queue in QUEUES:
            patience = self._settings.sweep_after
            if waiting[queue] > _ALMOST_EMPTY:
                patience *= _BUSY_FACTOR
            found += await self._platform.run(self._forget(queue, timedelta(seconds=patience)))
        return found

    def _forget(self, queue: str, patience: timedelta) -> Step:
        async def forget(session: PlatformSession) -> int:
            [rows] = await session.load(FORGET_ENQUEUED(of_queue=queue, patience=patience, at_most=_SWEEP))
            if rows:
                log.warning("messages lost; their jobs are enqueued again", queue=queue, jobs=len(rows))
            return len(rows)

        return forget

    async def _rescue(self, session: PlatformSession) -> int:
        [rows] = await session.load(RESCUE(at_most=_SWEEP))
        for queue, kind, state in rows:
            jobs_total.at(queue, kind, "dead" if state == "failed" else "failed").inc()
            log.warning("a worker was lost", queue=queue, kind=kind, state=state)
        return len(rows)

