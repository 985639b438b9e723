"""What a coordinator does while it leads, of one database and of the further ones."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence

from redis.asyncio import Redis

from db.pool import Pool
from db.two_phase import MAIN
from erp.settings import Settings
from fleet.leader.store import LEAD
from fleet.logging import get_logger
from fleet.metrics import unwatch_pool, watch_pool
from tenancy.platform import PlatformDatabase
from workers.broker import JobBroker
from workers.bus_members import Buses
from workers.cache_repair import CacheRepair
from workers.candidates import first_of, nobody_waits
from workers.dispatch import Dispatcher
from workers.gauges import Gauges
from workers.lease import Ending, Lease
from workers.loops import OUTAGES, Loop
from workers.recovery import InDoubt
from workers.relay import Relay
from workers.roll_call import RollCall
from workers.schedule import TASKS, Schedule, Task
from workers.settings import WorkerSettings
from workers.settling import Settler
from workers.tenant_schedules import TenantSchedules

log = get_logger("workers.leading")

#: How long passes under way may take when the lead is handed over; they are short.
_PATIENCE = 5.0
#: Seconds between two passes of the dispatcher while there is work: what comes meanwhile is one batch.
_BUSY = 0.05
#: The same of the relay. Each of its batches costs every consumer a transaction in every tenant it names.
_GATHERING = 0.1


class Coordinator:
    """Takes the lead of one database when it can, works while it has it, gives it up when told to end."""

    def __init__(
        self,
        platform: PlatformDatabase,
        redis: Redis,
        broker: JobBroker,
        lease: Lease,
        settings: WorkerSettings,
        tasks: tuple[Task, ...] = TASKS,
        in_doubt: InDoubt | None = None,
        gauges: Gauges | None = None,
        database: str = MAIN,
        *,
        repair: CacheRepair,
        settler: Settler | None = None,
    ) -> None:
        self._name, self._settler = database, settler
        self._tasks = tasks
        self._repair = repair
        self._in_doubt = in_doubt
        self._platform = platform
        self._settings = settings
        self._lease = lease
        self._gauges = Gauges(platform) if gauges is None else gauges
        self._redis = redis
        self._dispatcher = Dispatcher(platform, broker, settings, database, hold=lease.hold)
        #: For one coordinator of a process, which then looks who lives while it leads.
        self.roll_call: RollCall | None = None
        self._aside = False
        #: Something about the lead may have changed: look at once, not when the next look is due.
        self._nudged = asyncio.Event()
        #: Called when the lead was given up, so that others need not wait for their next look.
        self.vacated: Callable[[], Awaitable[None]] = nobody_waits

    async def run(self, ending: asyncio.Event) -> None:
        """Until `ending` is set."""
        while not ending.is_set():
            self._nudged.clear()
            if not self._aside and await self._took_lead():
                log.warning("leads", term=self._lease.term)
                await self._lead(ending)
                log.warning("leads no more", term=self._lease.term)
            else:
                await first_of(ending, self._nudged, self._settings.lease_retry)

    def nudge(self) -> None:
        """Look now whether the lead is to be had, or still held."""
        self._nudged.set()

    def stand_aside(self, aside: bool) -> None:
        """Give the lead up and do not ask for it, or ask again."""
        self._aside = aside
        self._nudged.set()

    async def _took_lead(self) -> bool:
        try:
            return await self._lease.take()
        except OUTAGES as error:
            log.warning("cannot ask for the lead", reason=type(error).__name__)
            return False

    async def _lead(self, ending: asyncio.Event) -> None:
        over = asyncio.Event()
        loops = self._loops()
        tasks = [asyncio.create_task(loop.run(over), name=loop.name) for loop in loops]
        try:
            await self._keep_lead(ending)
        finally:
            await _stop(loops, tasks, over, patience=_PATIENCE if self._lease.held else 0.0)
            self._gauges.forget()
            if self.roll_call is not None:
                self.roll_call.forget()
            if self._settler is not None:
                self._settler.forget()
            if self._in_doubt is not None:
                self._in_doubt.forget()
            if self._lease.held:
                why: Ending = "drained" if self._aside else "stopped"
                with contextlib.suppress(*OUTAGES):
                    await self._lease.give_up(why)
                await self.vacated()

    async def _keep_lead(self, ending: asyncio.Event) -> None:
        """Renew in time. Returns when told to end or stand aside, or when the lease is lost or not to be trusted."""
        pause = self._settings.lease_renewal
        while not await first_of(ending, self._nudged, pause) and not self._aside:
            self._nudged.clear()
            pause = self._settings.lease_renewal
            try:
                if not await self._lease.renew():
                    return
            except OUTAGES as error:
                log.warning("lease not renewed", reason=type(error).__name__)
                pause = min(1.0, pause)
            if not self._lease.held:
                self._lease.forget()
                return

    def _loops(self) -> list[Loop]:
        settings = self._settings
        schedule = Schedule(self._platform, self._lease, self._tasks)
        dispatching = Loop("dispatch", self._dispatcher.enqueue, settings.dispatch_poll, busy=_BUSY)
        relay = Relay(
            self._platform, self._redis, batch=settings.relay_batch, stream_length=settings.stream_length,
            on_jobs=dispatching.wake.set, published=self._repair.ended, hold=self._lease.hold, database=self._name,
        )  # fmt: skip

        async def publish() -> bool:
            return await relay.publish() > 0

        async def tick() -> bool:
            await schedule.tick()
            return False

        tenants = TenantSchedules(self._platform)

        async def sweep() -> bool:
            return await self._dispatcher.sweep() > 0

        loops = [
            Loop("relay", publish, settings.relay_poll, busy=_GATHERING),
            dispatching,
            Loop("sweep", sweep, settings.sweep_poll),
            Loop("schedule", tick, 1.0),
            Loop("tenant-schedules", tenants.tick, 1.0),
            Loop("gauges", self._gauges.measure, settings.gauges_poll),
        ]
        if self.roll_call is not None:
            loops.append(Loop("roll-call", self.roll_call.look, settings.gauges_poll))
        if self._settler is not None:
            loops += self._settler.loops(settings.settle_poll, _BUSY)
        if self._in_doubt is not None:
            loops.append(Loop("two-phase", self._resolve, settings.two_phase_poll))
        return loops

    async def _resolve(self) -> bool:
        assert self._in_doubt is not None
        await self._lease.check()
        return await self._in_doubt.resolve()


class PlacedCoordinators:
    """One coordinator for each further database, with a lead of its own there: none waits for another database."""

    def __init__(
        self, settings: Settings, worker_settings: WorkerSettings, redis: Redis, broker: JobBroker, holder: str,
        repair: CacheRepair,
    ) -> None:  # fmt: skip
        self._repair = repair
        self._worker_settings = worker_settings
        self._redis, self._broker, self._holder = redis, broker, holder
        self.pools = {
            name: Pool(
                one.platform_url, name=f"{name}-platform", size=6, wait=settings.pool_wait,
                prepared=settings.prepared_statements, application=settings.instance,
            )
            for name, one in settings.databases.items()
        }  # fmt: skip
        self._platforms = {name: PlatformDatabase(pool) for name, pool in self.pools.items()}

    @property
    def platforms(self) -> tuple[PlatformDatabase, ...]:
        return tuple(self._platforms.values())

    @property
    def named(self) -> dict[str, PlatformDatabase]:
        return self._platforms

    async def open(self) -> None:
        for pool in self.pools.values():
            await pool.open()
            watch_pool(pool.name, pool.stats)

    async def close(self) -> None:
        for pool in self.pools.values():
            unwatch_pool(pool.name)
            await pool.close()

    def coordinators(self, tasks: tuple[Task, ...], buses: Buses) -> list[Coordinator]:
        settings = self._worker_settings
        return [
            Coordinator(
                platform, self._redis, self._broker,
                Lease(platform, LEAD, self._holder, ttl=settings.lease_ttl, told=False),
                settings, tasks, gauges=Gauges(), database=name, repair=self._repair,
                settler=buses.settler(name),
            )
            for name, platform in self._platforms.items()
        ]  # fmt: skip


async def _stop(
    loops: Sequence[Loop], tasks: Sequence[asyncio.Task[None]], over: asyncio.Event, patience: float
) -> None:
    """Let passes under way finish for so long, then cancel them: their transactions roll back."""
    over.set()
    for loop in loops:
        loop.wake.set()
    if patience:
        await asyncio.wait(tasks, timeout=patience)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
