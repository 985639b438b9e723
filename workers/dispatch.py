"""From rows to messages, and from lost messages and dead workers back to rows."""

import asyncio
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Final
from uuid import UUID

from db.two_phase import MAIN
from fleet.logging import get_logger
from fleet.metrics import jobs_total
from tenancy.platform import PlatformDatabase, PlatformSession
from workers.broker import QUEUES, Bundle, JobBroker
from workers.caps import THREADS, RunningCaps, share
from workers.feed_repository import BUSY, ENQUEUE, Fed
from workers.relay import Hold, anybody
from workers.repository import FORGET_ENQUEUED, RESCUE, Rescued, Ticket
from workers.settings import WorkerSettings
from workers.tempo import Tempo
from workers.window import Window

log = get_logger("workers.dispatch")

#: Tenants with waiting jobs one turn looks at, per queue; the next turn goes on behind them.
_LANES: Final = 1_000
_FIRST: Final = UUID(int=0)
#: State a lost attempt leaves its job in -> outcome of the attempt.
_OUTCOMES: Final = {"queued": "failed", "failed": "dead", "cancelled": "cancelled"}
#: Rows one pass of the sweeper looks at, per queue and reason.
_SWEEP = 500
#: While messages wait in a queue, a row's own may be among them, and enqueued anew it would come last anyway:
#: it counts as lost after so many times the patience only.
_BUSY_FACTOR = 10


class Dispatcher:
    """Puts runnable jobs into their queues and rescues jobs nobody works on. Any number may run at once.

    Every tenant has its turn: Redis holds a short window of each queue, and places in it go to the tenants that
    have least of it. A tenant at its cap of running jobs gets none, nor one whose jobs are long and would take the
    last threads. `hold` refuses what a pass has found to do when
    its process has lost the lead.
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
        self._caps = RunningCaps()
        self._windows = {queue: Window(settings.queue_window, settings.queue_bundle) for queue in QUEUES}
        self._tempo = Tempo()
        #: Queue -> the tenant at which the next turn begins, where there are more than one turn looks at.
        self._afters = dict.fromkeys(QUEUES, _FIRST)

    async def enqueue(self) -> bool:
        """Messages for runnable jobs, up to the window of each queue. True when there were some.

        Errors: psycopg.Error, DomainError, redis.exceptions.RedisError. The rows stay as they were, or get
        their message twice.
        """
        levels = await asyncio.to_thread(self._broker.levels)
        now = time.monotonic()
        room = {queue: self._windows[queue].room(levels[queue].waiting, levels[queue].taken, now) for queue in QUEUES}
        room = {queue: free for queue, free in room.items() if free > 0}
        if not room:
            return True
        threads = {queue: levels[queue].threads or THREADS for queue in room}
        return await self._platform.run(lambda session: self._enqueue(session, room, threads))

    async def _enqueue(self, session: PlatformSession, room: Mapping[str, int], threads: Mapping[str, int]) -> bool:
        [busy] = await session.load(BUSY())
        self._tempo.look(busy, time.monotonic())
        short = self._tempo.short(threads)
        shares = {queue: share(queue, threads[queue]) for queue in room}
        [fed] = await session.load(
            ENQUEUE(
                queues=list(room), at_mosts=list(room.values()), caps=[self._caps.of_system(queue) for queue in room],
                afters=[self._afters[queue] for queue in room], shares=list(shares.values()),
                short_queues=[queue for queue, _ in short], short_tenants=[tenant for _, tenant in short],
                lanes=_LANES, **self._caps.own(),
            )
        )  # fmt: skip
        bundles = bundled(fed, {queue: window.together for queue, window in self._windows.items()})
        sent: Counter[str] = Counter()
        for bundle in bundles:
            sent[bundle.queue] += len(bundle.ids)
            self._tempo.sent(bundle.queue, bundle.tenant_id, len(bundle.ids))
        if bundles:
            await self._hold(session)
            # Before the commit: a message without a mark is a duplicate, a mark without one a delay.
            await asyncio.to_thread(self._broker.send, bundles, self._database)
        unseen = {one.queue: one.tenant_id for one in fed if one.id is None}
        for queue, free in room.items():
            self._windows[queue].sent(sent[queue], free)
            self._afters[queue] = unseen.get(queue, _FIRST)
        return bool(bundles or unseen) or self._tempo.presses(shares)

    async def sweep(self) -> int:
        """Forget messages that must be lost, take jobs from workers that are gone; how many of both."""
        levels = await asyncio.to_thread(self._broker.levels)
        waiting = {queue: levels[queue].waiting for queue in QUEUES}
        lost, rescued = await self._platform.run(lambda session: self._sweep(session, waiting))
        for queue, jobs in Counter(ticket.queue for ticket in lost).items():
            log.warning("messages lost; their jobs are enqueued again", queue=queue, jobs=jobs)
        for queue, kind, state in rescued:
            jobs_total.at(queue, kind, _OUTCOMES[state]).inc()
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


def bundled(fed: Iterable[Fed], most: Mapping[str, int]) -> list[Bundle]:
    """The jobs as messages: up to `most` of a queue's tenant in one, at the place of the first of them."""
    bundles: list[Bundle] = []
    open_: dict[tuple[str, UUID], list[UUID]] = {}
    for one in fed:
        if one.id is None:
            continue
        ids = open_.get((one.queue, one.tenant_id))
        if ids is not None and not one.alone and len(ids) < most[one.queue]:
            ids.append(one.id)
            continue
        ids = [one.id]
        bundles.append(Bundle(one.queue, one.tenant_id, ids))
        if not one.alone:
            open_[one.queue, one.tenant_id] = ids
    return bundles
