"""Redis only says which row to look at: without it jobs wait, with it gone they come again, none is lost."""

import asyncio
import contextlib
import uuid

import pytest
from redis import Redis

from deploy.local.binaries import which
from tests.services import Services
from tests.workers.conftest import BRISK, Enqueue, Newcomer, Processes, Tables

ALL_DONE = "SELECT count(*) = %(n)s FROM jobs WHERE state = 'done' AND kind LIKE 'probe.%%'"
#: Small, so that most of the jobs wait in PostgreSQL.
NARROW = BRISK | {"ERP_WORKER_QUEUE_WINDOW": "40"}


async def test_no_job_is_lost_when_redis_is_flushed(
    processes: Processes, tables: Tables, newcomer: Newcomer, enqueue: Enqueue, queue_redis: Redis
) -> None:
    caller = newcomer()
    processes.coordinator(NARROW)
    jobs = [await enqueue(caller, "probe.quick") for _ in range(150)]
    await tables.until("SELECT count(*) >= 3 FROM jobs WHERE enqueued_at IS NOT NULL AND kind = 'probe.quick'")
    queue_redis.flushall()
    flushing = asyncio.create_task(_flush_every_second(queue_redis))
    processes.worker()
    await tables.until("SELECT count(*) > 30 FROM jobs WHERE state = 'done'", seconds=30)
    flushing.cancel()
    await tables.until(ALL_DONE, n=150, seconds=30)
    _once_each(tables, jobs)


async def _flush_every_second(redis: Redis) -> None:
    while True:
        await asyncio.sleep(1)
        redis.flushall()


def _once_each(tables: Tables, jobs: list[uuid.UUID]) -> None:
    found = tables.rows("SELECT job_id, count(*) AS n FROM test_effects WHERE phase = 'effect' GROUP BY job_id")
    assert {row["job_id"] for row in found} == set(jobs)
    assert {row["n"] for row in found} == {1}


async def test_jobs_wait_while_redis_is_stopped_and_nobody_crashes(
    services: Services, processes: Processes, tables: Tables, newcomer: Newcomer, enqueue: Enqueue
) -> None:
    caller = newcomer()
    coordinator, worker = processes.coordinator(), processes.worker()
    first = await enqueue(caller, "probe.quick")
    await tables.until("SELECT state = 'done' FROM jobs WHERE id = %(id)s", id=first)
    services.processes["redis-core"].stop()
    try:
        jobs = [await enqueue(caller, "probe.quick") for _ in range(20)]
        await _failed_passes(processes)
    finally:
        services.processes.restart("redis-core")
    await tables.until(ALL_DONE, n=21, seconds=30)
    assert coordinator.alive
    assert worker.alive
    _once_each(tables, [first, *jobs])


async def _failed_passes(processes: Processes) -> None:
    """The coordinator has noticed."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(10):
            while "a pass failed" not in processes.log():  # noqa: ASYNC110  # it is another process's log
                await asyncio.sleep(0.1)
    assert "a pass failed" in processes.log()


async def test_jobs_go_on_after_the_pooler_came_back(
    services: Services, processes: Processes, tables: Tables, newcomer: Newcomer, enqueue: Enqueue
) -> None:
    """The database away for a moment: workers and coordinator outlive it, the lead may change."""
    if which("pgbouncer") is None:
        pytest.skip("there is no pooler on this machine")
    caller = newcomer()
    coordinator, worker = processes.coordinator(), processes.worker()
    running = await enqueue(caller, "probe.slow", {"seconds": 3})
    await tables.until("SELECT count(*) = 1 FROM test_effects WHERE job_id = %(id)s", id=running)
    jobs = [running, *[await enqueue(caller, "probe.quick") for _ in range(10)]]
    services.processes["pgbouncer"].kill()
    try:
        await _failed_passes(processes)
    finally:
        services.processes.restart("pgbouncer")
    await tables.until(ALL_DONE, n=11, seconds=40)
    assert coordinator.alive
    assert worker.alive
    _once_each(tables, jobs)
