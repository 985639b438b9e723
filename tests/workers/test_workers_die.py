"""Workers that are killed, frozen or told to stop in the middle of a job."""

import asyncio
import signal
import time
import uuid
from collections.abc import Callable
from typing import Any

from redis import Redis

from deploy.local.processes import Running
from tests.services import Services
from tests.workers.conftest import BRISK, Enqueue, Newcomer, Processes, Tables, signal_group
from workers.broker import JobBroker
from workers.settings import WorkerSettings

STARTED = "SELECT count(*) = %(runs)s FROM test_effects WHERE job_id = %(id)s AND phase = 'started'"
DONE = "SELECT state = 'done' FROM jobs WHERE id = %(id)s"
#: The product's own times; only the first wait of an idle worker is the test's.
PRODUCTION: dict[str, str] = {}


async def test_a_killed_workers_job_runs_again_and_has_its_effect_once(
    processes: Processes, tables: Tables, newcomer: Newcomer, enqueue: Enqueue
) -> None:
    processes.coordinator()
    doomed = processes.worker(threads=1)
    job = await enqueue(newcomer(), "probe.slow", {"seconds": 60, "once": True})
    await tables.until(STARTED, id=job, runs=1)
    survivor = processes.worker()
    signal_group(doomed, signal.SIGKILL)
    await tables.until(DONE, id=job)
    row = tables.job(job)
    assert row["attempts"] == 2
    assert row["fence"] in (2, 3)  # two claims, and mostly the rescue between them
    assert [effect["attempt"] for effect in tables.effects(job)] == [2]
    assert survivor.alive


async def test_a_killed_workers_jobs_are_picked_up_within_30_seconds(
    services: Services,
    processes: Processes,
    tables: Tables,
    newcomer: Newcomer,
    enqueue: Enqueue,
    queue_redis: Redis,
    record_property: Callable[[str, object], None],
) -> None:
    """With the product's own settings: running jobs by their lease, fetched ones by Dramatiq's heartbeat."""
    processes.coordinator(settings=PRODUCTION)
    doomed = processes.worker(threads=1, settings=PRODUCTION)
    running = await enqueue(newcomer(), "probe.slow", {"seconds": 300, "once": True})
    await tables.until(STARTED, id=running, runs=1)
    fetched = await enqueue(newcomer(), "probe.quick")
    while not queue_redis.llen("dramatiq:default"):  # noqa: ASYNC110  # until another process sends it
        await asyncio.sleep(0.02)
    # Taken by a worker that dies before it does anything with it: the one that is busy leaves it to others.
    broker: Any = JobBroker(services.redis_queue_url, WorkerSettings())
    assert len(broker.do_fetch("default", 1)) == 1
    processes.worker(settings=PRODUCTION)
    signal_group(doomed, signal.SIGKILL)
    killed = time.monotonic()
    took = {}
    for name, job in (("fetched", fetched), ("running", running)):
        await tables.until(DONE, id=job, seconds=35)
        took[name] = round(time.monotonic() - killed, 1)
    record_property("picked_up_after_seconds", took)
    print(f"picked up after {took}")
    assert max(took.values()) <= 30
    assert len(tables.effects(running)) == len(tables.effects(fetched)) == 1


async def test_a_job_that_kills_its_worker_stops_after_three_attempts(
    processes: Processes, tables: Tables, newcomer: Newcomer, enqueue: Enqueue
) -> None:
    caller = newcomer()
    processes.coordinator()
    poison = await enqueue(caller, "probe.poison")
    others = [await enqueue(caller, "probe.quick") for _ in range(20)]
    restarter = asyncio.create_task(_keep_a_worker_running(processes))
    try:
        await tables.until("SELECT state = 'failed' FROM jobs WHERE id = %(id)s", id=poison, seconds=60)
        await tables.until("SELECT count(*) = 20 FROM jobs WHERE state = 'done'", seconds=30)
    finally:
        restarter.cancel()
    row = tables.job(poison)
    assert (row["attempts"], row["error_code"]) == (3, "worker-lost")
    assert [run["attempt"] for run in tables.effects(poison, "started")] == [1, 2, 3]
    assert all(len(tables.effects(job)) == 1 for job in others)
    # Who was with it the first time is not with it again.
    assert max(tables.job(job)["attempts"] for job in others) <= 2


async def _keep_a_worker_running(processes: Processes) -> None:
    """What a supervisor does."""
    worker = processes.worker()
    while True:
        if not worker.alive:
            worker.sweep()
            worker = processes.worker()
        await asyncio.sleep(0.1)


async def _outlived(
    processes: Processes, tables: Tables, enqueue: Enqueue, newcomer: Newcomer, kind: str
) -> tuple[uuid.UUID, Running]:
    """A job whose first worker slept past its lease, while a second one did the job; the first is awake again."""
    processes.coordinator()
    sleeper = processes.worker(threads=1)
    job = await enqueue(newcomer(), kind, {"seconds": 1, "once": True})
    await tables.until(STARTED, id=job, runs=1)
    signal_group(sleeper, signal.SIGSTOP)
    processes.worker()
    await tables.until("SELECT state = 'done' FROM jobs WHERE id = %(id)s", id=job)
    signal_group(sleeper, signal.SIGCONT)
    return job, sleeper


async def test_a_worker_that_wakes_up_late_changes_nothing(
    processes: Processes, tables: Tables, newcomer: Newcomer, enqueue: Enqueue
) -> None:
    job, sleeper = await _outlived(processes, tables, enqueue, newcomer, "probe.slow")
    before = tables.job(job)
    await _drained(sleeper)
    assert tables.job(job) == before
    assert [effect["attempt"] for effect in tables.effects(job)] == [2]


async def test_without_the_fence_the_late_worker_does_harm(
    processes: Processes, tables: Tables, newcomer: Newcomer, enqueue: Enqueue
) -> None:
    """The planted bug: an effect that does not ask whose job it is happens twice."""
    job, _ = await _outlived(processes, tables, enqueue, newcomer, "probe.unfenced")
    await tables.until("SELECT count(*) = 2 FROM test_effects WHERE job_id = %(id)s AND phase = 'effect'", id=job)


async def _drained(worker: Running) -> None:
    """Ask it to end and wait: what it was doing is finished, or given up, by then."""
    worker.ask_to_stop()
    await asyncio.to_thread(worker.process.wait, 20)


async def test_a_stopping_worker_hands_its_long_job_back(
    processes: Processes, tables: Tables, newcomer: Newcomer, enqueue: Enqueue
) -> None:
    """SIGTERM: the attempt does not count, and the job goes on elsewhere at once."""
    processes.coordinator()
    stopping = processes.worker(threads=1, settings=BRISK | {"ERP_WORKER_JOB_LEASE": "60"})
    caller = newcomer()
    job = await enqueue(caller, "probe.slow", {"seconds": 60, "once": True})
    await tables.until(STARTED, id=job, runs=1)
    short = await enqueue(caller, "probe.slow", {"seconds": 0})
    await _drained(stopping)
    row = tables.job(job)
    assert (row["state"], row["attempts"]) == ("queued", 0)
    processes.worker()
    # It is the first attempt again, so it would take its minute: enough that it started at once.
    assert await tables.until(STARTED, id=job, runs=2) < 10
    await tables.until(DONE, id=short)


async def test_a_worker_that_is_told_to_end_twice_ends(
    processes: Processes, tables: Tables, newcomer: Newcomer, enqueue: Enqueue
) -> None:
    """To the group: the process that works hears it once by itself and once from the one above it."""
    processes.coordinator()
    ending = processes.worker()
    await tables.until(DONE, id=await enqueue(newcomer(), "probe.quick"))
    signal_group(ending, signal.SIGTERM)
    assert await asyncio.to_thread(ending.process.wait, 20) == 0


async def test_a_long_job_goes_on_where_it_was_after_any_number_of_crashes(
    processes: Processes, tables: Tables, newcomer: Newcomer, enqueue: Enqueue
) -> None:
    """Four dying workers, more than its attempts: each got somewhere, so none is the job's fault."""
    processes.coordinator()
    job = await enqueue(newcomer(), "probe.stepping", {"steps": 30, "dies_at": [3, 9, 15, 21]})
    restarter = asyncio.create_task(_keep_a_worker_running(processes))
    try:
        await tables.until(DONE, id=job, seconds=90)
    finally:
        restarter.cancel()
    assert len(tables.effects(job)) == 30
    assert tables.job(job)["result"] == {"steps": 30}
