"""Queues with processes of their own: what is urgent does not wait behind what is not."""

import uuid

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
