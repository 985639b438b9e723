"""The coordinator: `python -m workers.coordinator`, two of them, one leads.

The leader relays events, feeds the queues, rescues jobs and keeps the schedule. All of that is safe when two
do it at once, so losing the lead late costs duplicates at most. Neither PostgreSQL nor Redis being away ends
the process: it waits, answers its probes and says so in its metrics.
"""

import asyncio
import signal
from collections.abc import Sequence

import uvloop

from db.pool import Pool
from db.redis import connect
from db.two_phase import MAIN
from erp.configured import configuration_watch
from erp.instance import VERSION, about_process, instance_of
from erp.placed import build_two_phase
from erp.settings import Settings, load_settings
from fleet.configuration.snapshot import retire, use
from fleet.configuration.watch import ConfigurationWatch
from fleet.exposition import start_metrics_server
from fleet.health import Liveness, Readiness
from fleet.instances.instance import Instance
from fleet.instances.member import About
from fleet.leader.store import LEAD
from fleet.logging import configure_logging
from fleet.metrics import build_info, unwatch_pool, watch_pool
from fleet.tracing import configure_tracing
from tenancy.platform import PlatformDatabase
from workers.broker import JobBroker
from workers.bus_members import Buses
from workers.cache_repair import CacheRepair
from workers.candidates import Candidates
from workers.gauges import Gauges
from workers.leading import Coordinator, PlacedCoordinators
from workers.lease import Lease
from workers.recovery import InDoubt
from workers.roll_call import RollCall
from workers.schedule import TASKS, Task
from workers.settings import WorkerSettings, load_worker_settings


async def _platform_pool(settings: Settings) -> Pool:
    pool = Pool(
        settings.platform_url, name="platform", size=8, wait=settings.pool_wait,
        prepared=settings.prepared_statements, application=settings.instance,
    )  # fmt: skip
    await pool.open()
    watch_pool(pool.name, pool.stats)
    return pool


def _lead(platform: PlatformDatabase, about: About, settings: WorkerSettings) -> Lease:
    return Lease(platform, LEAD, about.id, ttl=settings.lease_ttl)


def _instance(
    settings: Settings, watch: ConfigurationWatch, readiness: Readiness, about: About, everyone: Sequence[Coordinator]
) -> Instance:
    """This process among the instances; its first coordinator looks who lives while it leads."""
    candidates = Candidates(everyone)
    instance = instance_of(settings, watch, readiness, about=about, draining=candidates.stand_aside)
    candidates.join(instance)
    everyone[0].roll_call = RollCall(instance.registry, instance.bus)
    return instance


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
    placed = PlacedCoordinators(settings, worker_settings, redis, broker, about.id, repair)
    await placed.open()
    watch = configuration_watch(settings, pool, placed.pools)
    use(watch.configuration)
    await watch.start()
    buses = await Buses(settings, worker_settings, {MAIN: platform, **placed.named}, about.id).opened()
    first = Coordinator(
        platform, redis, broker, _lead(platform, about, worker_settings), worker_settings, tasks, in_doubt,
        Gauges(platform, *placed.platforms), repair=repair, settler=buses.settler(MAIN),
    )  # fmt: skip
    everyone = [first, *placed.coordinators(tasks, buses)]
    instance = _instance(settings, watch, readiness, about, everyone)
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
