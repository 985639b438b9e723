"""What happens after the answer, for a tenant of another database: events, jobs and the schedule reach it, too."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis

from tests.api.whole.conftest import Newcomer
from tests.forked import Nursery
from tests.services import Services
from tests.two_phase.conftest import Tables
from tests.workers.conftest import Processes


@pytest.fixture
def second(services: Services) -> Iterator[Tables]:
    found = Tables(services.second_superuser_url)
    yield found
    found.close()


@pytest.fixture
def processes(services: Services, second: Tables, tmp_path: Path, nursery: Nursery) -> Iterator[Processes]:
    first = Tables(services.superuser_url)
    for tables in (first, second):
        tables.rows("TRUNCATE outbox, jobs, job_rows, operation_log, cron_runs, leases")
    first.close()
    with Redis.from_url(services.redis_queue_url) as redis:
        redis.flushdb()
    found = Processes(services, tmp_path, nursery)
    yield found
    found.end()


async def test_a_placed_tenants_events_jobs_and_schedule_run(
    newcomer: Newcomer, processes: Processes, second: Tables
) -> None:
    tenant = await newcomer(database="second")
    product = await tenant.make("products", code="LOW-1", name="P", sale_price="10", reorder_point="8")
    line = {"product_id": product["id"], "quantity": "10", "unit_cost": "4"}
    await tenant.make("stock-adjustments", reason="opening", lines=[line])
    reservation = await tenant.make("reservations", product_id=product["id"], quantity="4")
    second.rows(
        "UPDATE reservations SET expires_at = now() - interval '1 minute' WHERE id = %(id)s", id=reservation["id"]
    )
    processes.coordinator()
    processes.real_worker("default")
    processes.real_worker("low")
    await second.until("SELECT state = 'expired' FROM reservations WHERE id = %(id)s", 60, id=reservation["id"])
    await second.until("SELECT count(*) = 1 FROM notices WHERE tenant_id = %(id)s", id=tenant.id)
    await second.until("SELECT count(*) = 0 FROM outbox")
    [job] = (await tenant.get("/v1/jobs", kind="reservation_expiry"))["data"]
    assert job["state"] == "done"
    assert second.value("SELECT count(*) FROM leases WHERE expires_at > clock_timestamp()") == 1
