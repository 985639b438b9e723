"""The coordinator: `python -m workers.coordinator`, two of them, one leads.

The leader relays events, feeds the queues, rescues jobs and keeps the schedule. All of that is safe when two
do it at once, so losing the lead late costs duplicates at most. Neither PostgreSQL nor Redis being away ends
the process: it waits, answers its probes and says so in its metrics.
"""

import asyncio
import contextlib
import signal
from collections.abc import Awaitable, Callable, Sequence

import uvloop
from redis.asyncio import Redis

from db.pool import Pool
from db.redis import connect
from db.two_phase import MAIN
from erp.configured import configuration_watch
from erp.instance import VERSION, about_process, instance_of
from erp.placed import build_two_phase
from erp.settings import Settings, load_settings
from fleet.configuration.snapshot import retire, use
from fleet.exposition import start_metrics_server
from fleet.health import Liveness, Readiness
from fleet.leader.store import LEAD
from fleet.logging import configure_logging, get_logger
from fleet.metrics import build_info, unwatch_pool, watch_pool
from fleet.tracing import configure_tracing
from tenancy.platform import PlatformDatabase
from workers.broker import JobBroker
from workers.bus_members import Buses
from workers.cache_repair import CacheRepair
from workers.candidates import Candidates, first_of, nobody_waits
from workers.dispatch import Dispatcher
from workers.gauges import Gauges
from workers.lease import Ending, Lease
from workers.loops import OUTAGES, Loop
from workers.recovery import InDoubt
from workers.relay import Relay
from workers.roll_call import RollCall
from workers.schedule import TASKS, Schedule, Task
from workers.settings import WorkerSettings, load_worker_settings
from workers.settling import Settler
from workers.tenant_schedules import TenantSchedules

log = get_logger("workers.coordinator")

#: How long passes under way may take when the lead is handed over; they are short.
_PATIENCE = 5.0
#: Seconds between two passes of the relay and the dispatcher while there is work: what comes meanwhile is one batch.
_BUSY = 0.05


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
            Loop("relay", publish, settings.relay_poll, busy=_BUSY),
            dispatching,
            Loop("sweep", sweep, settings.sweep_poll),
            Loop("schedule", tick, 1.0),
            Loop("tenant-schedules", tenants.tick, 1.0),
            Loop("gauges", self._gauges.measure, settings.gauges_poll),
        ]
        if self.roll_call is not None:
            loops.append(Loop("roll-call", self.roll_call.look, settings.gauges_poll))
        if self._settler is not None:
            loops.append(Loop("settle", self._settler.settle, settings.settle_poll, busy=_BUSY))
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
                one.platform_url, name=f"{name}-platform", size=4, wait=settings.pool_wait,
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


async def _platform_pool(settings: Settings) -> Pool:
    pool = Pool(
        settings.platform_url, name="platform", size=6, wait=settings.pool_wait,
        prepared=settings.prepared_statements, application=settings.instance,
    )  # fmt: skip
    await pool.open()
    watch_pool(pool.name, pool.stats)
    return pool


async def coordinate(
    settings: Settings, worker_settings: WorkerSettings, ending: asyncio.Event, tasks: tuple[Task, ...] = TASKS
) -> None:
    """One coordinator process's life on the running loop."""
    readiness, liveness = Readiness(), Liveness()
    liveness.start()
    metrics = start_metrics_server(
        settings.metrics_port, address=settings.metrics_address, live=liveness.alive, ready=readiness.ready
    )
    build_info.at(VERSION, settings.role).set(1)
    tracing = configure_tracing(settings.otlp_endpoint, f"erp-{settings.role}", settings.instance)
    pool = await _platform_pool(settings)
    redis = connect(settings.redis_queue_url, timeout=2.0)
    platform = PlatformDatabase(pool)
    broker = JobBroker(settings.redis_queue_url, worker_settings)
    two_phase = build_two_phase(settings)
    await two_phase.open()
    in_doubt = InDoubt(two_phase, grace=worker_settings.two_phase_grace)
    repair = CacheRepair.over(settings.redis_cache_url)
    about = about_process(settings)
    lease = Lease(platform, LEAD, about.id, ttl=worker_settings.lease_ttl)
    placed = PlacedCoordinators(settings, worker_settings, redis, broker, about.id, repair)
    await placed.open()
    watch = configuration_watch(settings, pool, placed.pools)
    use(watch.configuration)
    await watch.start()
    gauges = Gauges(platform, *placed.platforms)
    buses = await Buses(settings, worker_settings, {MAIN: platform, **placed.named}, about.id).opened()
    first = Coordinator(
        platform, redis, broker, lease, worker_settings, tasks, in_doubt, gauges, repair=repair,
        settler=buses.settler(MAIN),
    )  # fmt: skip
    everyone = [first, *placed.coordinators(tasks, buses)]
    candidates = Candidates(everyone)
    instance = instance_of(settings, watch, readiness, about=about, draining=candidates.stand_aside)
    candidates.join(instance)
    first.roll_call = RollCall(instance.registry, instance.bus)
    readiness.start()
    try:
        async with instance:
            await asyncio.gather(*(one.run(ending) for one in everyone), *buses.runs(ending))
    finally:
        retire(watch.configuration)
        await watch.close()
        await buses.close()
        await placed.close()
        await two_phase.close()
        readiness.drain()
        await repair.close()
        await redis.aclose()
        unwatch_pool(pool.name)
        await pool.close()
        tracing.close()
        liveness.stop()
        metrics.close()


async def run_process(tasks: tuple[Task, ...] = TASKS) -> None:
    """From the environment, until SIGTERM or SIGINT."""
    settings = load_settings()
    configure_logging(settings.log_level, instance=settings.instance, role=settings.role)
    ending = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ending.set)
    await coordinate(settings, load_worker_settings(), ending, tasks)


def main() -> None:
    uvloop.run(run_process())


if __name__ == "__main__":
    main()
