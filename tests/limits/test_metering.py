"""What tenants use: counted without a round trip, written as sums, and compared with the month's quotas."""

import asyncio
from typing import Any
from uuid import UUID, uuid4

import httpx
import psycopg
import pytest

from db.counting import RoundTrips, round_trips
from db.pool import Pool
from erp.http.gate import Gate
from erp.operations.usage import measure_usage
from tenancy.caller import TenantFacts, system_caller
from tenancy.metering import Metering
from tenancy.placement import Platforms
from tenancy.platform import PlatformDatabase
from tenancy.quotas import RequestQuotaExceeded
from tests.api.whole.conftest import Newcomer, Tenant
from tests.limits.conftest import metered, set_quotas
from tests.services import Services


def facts(tenant: Tenant) -> TenantFacts:
    return TenantFacts(
        id=UUID(tenant.id), slug=tenant.slug, name="Test tenant", state="active", base_currency="GBP", country="GB",
        time_zone="Europe/London",
    )  # fmt: skip


def month(services: Services, tenant_id: str) -> Any:
    """(requests, job_ms, the transaction that wrote the row), None without a row."""
    with psycopg.connect(services.superuser_url) as connection:
        sql = "SELECT requests, job_ms, xmin::text FROM usage_months WHERE tenant_id = %s"
        return connection.execute(sql, (tenant_id,)).fetchone()


@pytest.fixture
async def platforms(services: Services) -> Any:
    pool = Pool(services.platform_url, name="platform", size=4)
    await pool.open()
    yield Platforms(PlatformDatabase(pool), {})
    await pool.close()


async def test_requests_are_counted_and_shown_beside_the_quota(
    gate: Gate, operator: httpx.AsyncClient, tenant: Tenant
) -> None:
    await set_quotas(operator, tenant, requests_per_month=1000)
    for _ in range(5):
        await tenant.get("/v1/parties")
    await metered(gate)
    usage = await tenant.get("/v1/usage")
    assert (usage["requests"], usage["quotas"]["requests_per_month"]) == (5, 1000)
    [shown] = (await tenant.get("/v1/usage/months"))["data"]
    assert (shown["month"], shown["requests"], shown["job_seconds"]) == (usage["month"], 5, 0.0)


async def test_a_used_up_month_is_429_for_that_tenant_until_its_quota_is_raised(
    gate: Gate, operator: httpx.AsyncClient, newcomer: Newcomer
) -> None:
    tenant, other = await newcomer(), await newcomer()
    await set_quotas(operator, tenant, requests_per_month=5)
    for _ in range(3):
        await tenant.get("/v1/parties")
    await metered(gate)
    statuses = [(await tenant.client.get("/v1/parties")).status_code for _ in range(5)]
    assert statuses == [200, 200, 429, 429, 429]
    refused = await tenant.client.post("/v1/products", json={"code": "P", "name": "Product"})
    assert (refused.json()["code"], refused.json()["allowed"]) == ("request-quota-exceeded", 5)
    assert int(refused.headers["retry-after"]) > 0
    await tenant.get("/v1/usage")  # still told why
    await other.get("/v1/parties")
    await metered(gate)
    assert (await tenant.client.get("/v1/parties")).status_code == 429
    await set_quotas(operator, tenant, requests_per_month=50)
    await metered(gate)
    await tenant.get("/v1/parties")
    await tenant.post("/v1/products", {"code": "P", "name": "Product"}, 201)


async def test_processes_that_count_at_once_lose_nothing(
    platforms: Platforms, tenant: Tenant, services: Services
) -> None:
    processes = [Metering(platforms) for _ in range(4)]
    for _ in range(6):
        for process in processes:
            process.request(facts(tenant))
            process.job(facts(tenant), 0.25)
        await asyncio.gather(*(process.flush() for process in processes))
    assert month(services, tenant.id)[:2] == (24, 6000)


async def test_a_month_is_used_up_by_all_processes_together(
    platforms: Platforms, operator: httpx.AsyncClient, tenant: Tenant
) -> None:
    await set_quotas(operator, tenant, requests_per_month=10)
    first, second = Metering(platforms), Metering(platforms)
    for _ in range(8):
        first.request(facts(tenant))
    await first.flush()
    second.request(facts(tenant))
    await second.flush()
    second.request(facts(tenant))
    with pytest.raises(RequestQuotaExceeded):
        second.request(facts(tenant))


async def test_counting_costs_no_round_trip_and_an_idle_tenant_no_write(
    platforms: Platforms, tenant: Tenant, services: Services
) -> None:
    metering, trips = Metering(platforms), RoundTrips()
    token = round_trips.set(trips)
    for _ in range(1000):
        metering.request(facts(tenant))
    round_trips.reset(token)
    assert (trips.postgres, trips.redis) == (0, 0)
    await metering.flush()
    written = month(services, tenant.id)
    assert written[0] == 1000
    await metering.flush()
    assert month(services, tenant.id) == written


async def test_what_cannot_be_written_now_is_written_later(
    platforms: Platforms, tenant: Tenant, services: Services
) -> None:
    nowhere = Pool("host=127.0.0.1 port=1 dbname=erp user=nobody", name="nowhere", size=1, wait=0.05)
    await nowhere.open()
    metering = Metering(Platforms(PlatformDatabase(nowhere), {}))
    metering.request(facts(tenant))
    await metering.flush()
    assert month(services, tenant.id) is None
    metering._platforms = platforms
    metering.start()
    await metering.close()  # writes what is left
    assert month(services, tenant.id)[0] == 1
    await nowhere.close()


async def test_the_operators_own_requests_are_nobodys(
    gate: Gate, operator: httpx.AsyncClient, services: Services
) -> None:
    assert (await operator.get("/v1/tenants")).status_code == 200
    await metered(gate)
    assert month(services, str(UUID(int=0))) is None


async def test_no_more_tenants_are_kept_in_mind_than_there_is_room_for(platforms: Platforms) -> None:
    metering = Metering(platforms, capacity=10)
    for _ in range(50):
        metering.request(TenantFacts(uuid4(), "s", "n", "active", "EUR", "DE", "UTC"))
    assert len(metering._meters) == 10
    await metering.flush()
    assert metering._meters == {}


async def test_storage_used_up_keeps_streams_out_and_nothing_else(
    gate: Gate, operator: httpx.AsyncClient, tenant: Tenant
) -> None:
    row = b'{"key": "row-1", "data": {"code": "B1", "name": "In a stream"}}\n'

    async def stream() -> httpx.Response:
        headers = {"Content-Type": "application/x-ndjson"}
        return await tenant.client.post("/v1/bulk/products", content=row, headers=headers)

    caller = system_caller(facts(tenant), name="test", correlation_id="test")
    measured = (await gate._services.database.run(caller, measure_usage)).value
    assert measured["rows"] > 20
    assert measured["storage_bytes"] > 0
    await metered(gate)
    assert (await stream()).status_code == 200
    await set_quotas(operator, tenant, storage_bytes=measured["storage_bytes"])
    await metered(gate)
    refused = await stream()
    assert (refused.status_code, refused.json()["code"], refused.json()["quota"]) == (
        409, "quota-exceeded", "storage_bytes",
    )  # fmt: skip
    await tenant.post("/v1/products", {"code": "P", "name": "Product"}, 201)
    usage = await tenant.get("/v1/usage")
    assert (usage["rows"], usage["storage_bytes"]) == (measured["rows"], measured["storage_bytes"])
    assert usage["measured_at"]
