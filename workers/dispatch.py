"""From rows to messages, and from lost messages and dead workers back to rows."""

import asyncio
from collections import Counter
from collections.abc import Mapping

from db.two_phase import MAIN
from fleet.logging import get_logger
from fleet.metrics import jobs_total
from tenancy.platform import PlatformDatabase, PlatformSession
from workers.broker import QUEUES, JobBroker
from workers.relay import Hold, anybody
from workers.repository import ENQUEUE, FORGET_ENQUEUED, RESCUE, Rescued, Ticket
from workers.settings import WorkerSettings

log = get_logger("workers.dispatch")

#: Rows one pass of the sweeper looks at, per queue and reason.
_SWEEP = 500
#: While messages wait in a queue, a row's own may be among them, and enqueued anew it would come last anyway:
#: it counts as lost after so many times the patience only.
_BUSY_FACTOR = 10


class Dispatcher:
    """Puts runnable jobs into their queues and rescues jobs nobody works on. Any number may run at once.

    `hold` refuses what a pass has found to do when its process has lost the lead.
    """

    def __init__(
        self,
        platform: PlatformDatabase,
        broker: JobBroker,
        settings: WorkerSettings,
        database: str = MAIN,
        *,
        hold: Hold = anybody,
    ) -> None:
        self._hold = hold
        self._database = database
        self._platform = platform
        self._broker = broker
        self._settings = settings

    async def enqueue(self) -> bool:
        """Messages for runnable jobs, up to the window of each queue. True when there were some.

        Errors: psycopg.Error, DomainError, redis.exceptions.RedisError. The rows stay as they were, or get
        their message twice.
        """
        waiting = await asyncio.to_thread(self._broker.waiting)
        room = {queue: self._settings.queue_window - waiting[queue] for queue in QUEUES}
        room = {queue: free for queue, free in room.items() if free > 0}
        if not room:
            return False
        return await self._platform.run(lambda session: self._enqueue(session, room))

    async def _enqueue(self, session: PlatformSession, room: Mapping[str, int]) -> bool:
        [tickets] = await session.load(ENQUEUE(queues=list(room), at_mosts=list(room.values())))
        if tickets:
            await self._hold(session)
            # Before the commit: a message without a mark is a duplicate, a mark without one a delay.
            await asyncio.to_thread(self._broker.send, tickets, self._database)
        return bool(tickets)

    async def sweep(self) -> int:
        """Forget messages that must be lost, take jobs from workers that are gone; how many of both."""
        waiting = await asyncio.to_thread(self._broker.waiting)
        lost, rescued = await self._platform.run(lambda session: self._sweep(session, waiting))
        for queue, jobs in Counter(ticket.queue for ticket in lost).items():
            log.warning("messages lost; their jobs are enqueued again", queue=queue, jobs=jobs)
        for queue, kind, state in rescued:
            jobs_total.at(queue, kind, "dead" if state == "failed" else "failed").inc()
            log.warning("a worker was lost", queue=queue, kind=kind, state=state)
        return len(lost) + len(rescued)

    async def _sweep(
        self, session: PlatformSession, waiting: Mapping[str, int]
    ) -> tuple[list[Ticket], list[Rescued]]:
        patience = [self._patience(waiting[queue]) for queue in QUEUES]
        lost, rescued = await session.load(
            FORGET_ENQUEUED(queues=list(QUEUES), milliseconds=patience, at_most=_SWEEP), RESCUE(at_most=_SWEEP)
        )
        if lost or rescued:
            await self._hold(session)
        return lost, rescued

    def _patience(self, waiting: int) -> int:
        """Milliseconds a message may have been under way before it counts as lost."""
        factor = _BUSY_FACTOR if waiting else 1
        return int(self._settings.sweep_after * factor * 1000)
