"""The coordinator: `python -m workers.coordinator`, two of them, one leads.

The leader relays events, feeds the queues, rescues jobs and keeps the schedule. All of that is safe when two
do it at once, so losing the lead late costs duplicates at most. Neither PostgreSQL nor Redis being away ends
the process: it waits, answers its probes and says so in its metrics.
"""

import asyncio
import contextlib
import secrets
import signal
from collections.abc import Sequence

import uvloop
from redis.asyncio import Redis

from db.pool import Pool
from db.redis import connect
from erp.settings import Settings, load_settings
from fleet.exposition import start_metrics_server
from fleet.health import Liveness, Readiness
from fleet.logging import configure_logging, get_logger
from fleet.metrics import build_info, unwatch_pool, watch_pool
from fleet.tracing import configure_tracing
from tenancy.platform import PlatformDatabase
from workers.broker import JobBroker
from workers.dispatch import Dispatcher
from workers.gauges import Gauges
from workers.lease import Lease
from workers.loops import OUTAGES, Loop
from workers.relay import Relay
from workers.schedule import TASKS, Schedule, Task
from workers.settings import WorkerSettings, load_worker_settings

log = get_logger("workers.coordinator")

#: How long passes under way may take when the lead is handed over; they are short.
_PATIENCE = 5.0
LEAD = "coordinator"


class Coordinator:
    """Takes the lead when it can, works while it has it, gives it up when told to end."""

    def __init__(
        self,
        platform: PlatformDatabase,
        redis: Redis,
        broker: JobBroker,
        lease: Lease,
        settings: WorkerSettings,
        tasks: tuple[Task, ...] = TASKS,
    ) -> None:
        self._tasks = tasks
        self._platform = platform
        self._settings = settings
        self._lease = lease
        self._gauges = Gauges(platform)
        self._relay = Relay(platform, redis, batch=settings.relay_batch, stream_length=settings.stream_length)
        self._dispatcher = Dispatcher(platform, broker, settings)

    async def run(self, ending: asyncio.Event) -> None:
        """Until `ending` is set."""
        while not ending.is_set():
            if await self._took_lead():
                log.warning("leads", term=self._lease.term)
                await self._lead(ending)
                log.warning("leads no more", term=self._lease.term)
            else:
                await _either(ending, self._settings.lease_retry)

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
            if self._lease.held:
                with contextlib.suppress(*OUTAGES):
                    await self._lease.give_up()

    async def _keep_lead(self, ending: asyncio.Event) -> None:
        """Renew in time. Returns when told to end or when the lease is lost or can no longer be trusted."""
        pause = self._settings.lease_renewal
        while not await _either(ending, pause):
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

        async def relay() -> bool:
            sent = await self._relay.publish()
            if sent:
                dispatching.wake.set()  # events make jobs
            return sent > 0

        async def tick() -> bool:
            await schedule.tick()
            return False

        async def sweep() -> bool:
            return await self._dispatcher.sweep() > 0

        dispatching = Loop("dispatch", self._dispatcher.enqueue, settings.dispatch_poll)
        return [
            Loop("relay", relay, settings.relay_poll),
            dispatching,
            Loop("sweep", sweep, settings.sweep_poll),
            Loop("schedule", tick, 1.0),
            Loop("gauges", self._gauges.measure, settings.gauges_poll),
        ]


async def _either(event: asyncio.Event, seconds: float) -> bool:
    """Wait for the event at most so long; whether it came."""
    try:
        async with asyncio.timeout(seconds):
            return await event.wait()
    except TimeoutError:
        return False


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


async def coordinate(
    settings: Settings, worker_settings: WorkerSettings, ending: asyncio.Event, tasks: tuple[Task, ...] = TASKS
) -> None:
    """One coordinator process's life on the running loop."""
    readiness, liveness = Readiness(), Liveness()
    liveness.start()
    metrics = start_metrics_server(
        settings.metrics_port, address=settings.metrics_address, live=liveness.alive, ready=readiness.ready
    )
    build_info.at("", settings.role).set(1)
    tracing = configure_tracing(settings.otlp_endpoint, f"erp-{settings.role}", settings.instance)
    pool = Pool(
        settings.platform_url, name="platform", size=6, wait=settings.pool_wait,
        prepared=settings.prepared_statements, application=settings.instance,
    )  # fmt: skip
    await pool.open()
    watch_pool(pool.name, pool.stats)
    redis = connect(settings.redis_queue_url, timeout=2.0)
    platform = PlatformDatabase(pool)
    # A name of its own for every start: a process that comes back is not the one that was killed.
    holder = f"{settings.instance}:{secrets.token_hex(4)}"
    lease = Lease(platform, LEAD, holder, ttl=worker_settings.lease_ttl)
    broker = JobBroker(settings.redis_queue_url, worker_settings)
    readiness.start()
    try:
        await Coordinator(platform, redis, broker, lease, worker_settings, tasks).run(ending)
    finally:
        readiness.drain()
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
