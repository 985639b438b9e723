"""Queues with processes of their own: what is urgent does not wait behind what is not."""

import asyncio
import time
import uuid
from typing import Any

from redis import Redis

from tests.workers.conftest import BRISK, Enqueue, Newcomer, Processes, Tables

WAITED = (
    "SELECT extract(epoch FROM percentile_disc(0.95) WITHIN GROUP (ORDER BY started_at - run_at))::float"
    " FROM jobs WHERE queue = 'high'"
)


async def test_a_flood_of_low_jobs_does_not_delay_high_ones(
    processes: Processes, tables: Tables, newcomer: Newcomer, enqueue: Enqueue
) -> None:
    flooding, urgent = newcomer(), newcomer()
    processes.coordinator(BRISK | {"ERP_WORKER_QUEUE_WINDOW": "200"})
    processes.worker("low", threads=2)
    processes.worker("high", threads=2)
    warm = [await enqueue(urgent, "probe.quick", queue=queue) for queue in ("low", "high")]
    await tables.until("SELECT count(*) = 2 FROM jobs WHERE state = 'done'")
    _flood(tables, flooding.tenant.id, 10_000)
    await tables.until("SELECT count(*) > 50 FROM jobs WHERE queue = 'low' AND state = 'done'")
    jobs = [await enqueue(urgent, "probe.quick", queue="high") for _ in range(30)]
    await tables.until("SELECT count(*) = 31 FROM jobs WHERE queue = 'high' AND state = 'done'")
    waited = tables.value(WAITED)
    print(f"95 % of the high jobs waited at most {waited:.2f} s")
    assert waited <= 2.0
    assert tables.value("SELECT count(*) > 5000 FROM jobs WHERE queue = 'low' AND state = 'queued'")
    assert all(len(tables.effects(job)) == 1 for job in [*warm, *jobs])


def _flood(tables: Tables, tenant_id: uuid.UUID, count: int) -> None:
    tables.rows(
        "INSERT INTO jobs (tenant_id, id, queue, kind) SELECT %(tenant)s, gen_random_uuid(), 'low', 'probe.quick'"
        " FROM generate_series(1, %(count)s)",
        tenant=tenant_id, count=count,
    )  # fmt: skip


#: Longer than a job may take here: a worker that only asked so often would be seen.
RARELY = BRISK | {"ERP_WORKER_QUEUE_POLL_MS": "4000"}


async def test_a_message_ends_the_wait_of_an_idle_worker(
    processes: Processes, tables: Tables, newcomer: Newcomer, enqueue: Enqueue
) -> None:
    caller = newcomer()
    processes.coordinator()
    processes.worker(settings=RARELY)
    done = "SELECT state = 'done' FROM jobs WHERE id = %(id)s"
    await tables.until(done, id=await enqueue(caller, "probe.quick"))
    for _ in range(3):
        assert await tables.until(done, id=await enqueue(caller, "probe.quick")) < 2


async def test_a_worker_at_its_limit_goes_on_when_a_message_is_acknowledged(
    processes: Processes, tables: Tables, newcomer: Newcomer, enqueue: Enqueue
) -> None:
    caller = newcomer()
    jobs = [await enqueue(caller, "probe.quick") for _ in range(12)]
    processes.coordinator()
    processes.worker(threads=1, settings=RARELY | {"ERP_WORKER_QUEUE_AHEAD": "0"})
    await tables.until("SELECT count(*) >= 1 FROM jobs WHERE state = 'done'")
    assert await tables.until("SELECT count(*) = 12 FROM jobs WHERE state = 'done'") < 4
    assert all(len(tables.effects(job)) == 1 for job in jobs)


async def test_an_idle_worker_asks_redis_little(
    processes: Processes, tables: Tables, newcomer: Newcomer, enqueue: Enqueue, queue_redis: Redis
) -> None:
    """With the product's own settings. Dramatiq's own waiting asks some 25 times in each three seconds."""
    processes.coordinator()
    await tables.until("SELECT count(*) = 1 FROM leases")
    others = await _scripts_a_second(queue_redis)
    processes.worker(settings={})
    await tables.until(
        "SELECT state = 'done' FROM jobs WHERE id = %(id)s", id=await enqueue(newcomer(), "probe.quick")
    )
    # What still follows from the job, and whatever else of this test run talks to the server, is not in all of them.
    assert min([await _scripts_a_second(queue_redis) for _ in range(3)]) - others <= 4


async def _scripts_a_second(redis: Redis) -> float:
    """Over three seconds by the clock, however late this process wakes up."""
    before, begun = _scripts_run(redis), time.monotonic()
    await asyncio.sleep(3)
    return (_scripts_run(redis) - before) / (time.monotonic() - begun)


def _scripts_run(redis: Redis) -> int:
    """How often any worker has fetched or shown that it lives."""
    found: dict[str, Any] = redis.info("commandstats")
    return int(found.get("cmdstat_evalsha", {"calls": 0})["calls"])
