"""Cached reads through the API: they cost no statement, show every change at once, and stay the tenant's own."""

import asyncio
import uuid

import psycopg
import pytest

from db.counting import RoundTrips, round_trips
from db.redis import connect
from tenancy.admission import EPOCH_KEY, MEMORY_MS
from tests.api.whole.conftest import Newcomer, Tenant
from tests.services import Services


async def product(tenant: Tenant, **fields: str) -> dict[str, str]:
    made: dict[str, str] = await tenant.make(
        "products",
        **{
            "code": uuid.uuid4().hex[:12].upper(),
            "name": "Lamp",
            "kind": "stocked",
            "sale_price": "5.00",
            **fields,
        },
    )
    return made


@pytest.fixture
async def old_redis(services: Services) -> None:
    """What remembers callers' writes is old enough to be relied on: reads leave the primary."""
    async with connect(services.redis_sessions_url, timeout=0.5) as redis:
        epoch = int(await redis.get(EPOCH_KEY) or 0)
        await redis.set(EPOCH_KEY, max(epoch - 2 * MEMORY_MS * 1000, 1))


@pytest.mark.usefixtures("old_redis")
async def test_the_second_read_of_a_product_reaches_no_database(newcomer: Newcomer) -> None:
    tenant = await newcomer()
    made = await product(tenant)
    for _ in range(3):
        shown = await tenant.get(f"/v1/products/{made['id']}")
    round_trips.set(counter := RoundTrips())
    assert await tenant.get(f"/v1/products/{made['id']}") == shown
    round_trips.set(None)
    assert counter.postgres == 0


async def test_every_change_is_seen_by_the_next_read(tenant: Tenant) -> None:
    made = await product(tenant)
    path = f"/v1/products/{made['id']}"
    for turn in range(10):
        etag = (await tenant.client.get(path)).headers["etag"]
        changed = await tenant.client.patch(path, json={"name": f"Lamp {turn}"}, headers={"If-Match": etag})
        assert changed.status_code == 200, changed.text
        assert (await tenant.get(path))["name"] == f"Lamp {turn}"
        listed = await tenant.get("/v1/products", code=made["code"])
        assert [one["name"] for one in listed["data"]] == [f"Lamp {turn}"]


async def test_a_cached_id_of_another_tenant_is_a_missing_one(newcomer: Newcomer) -> None:
    one, other = await newcomer(), await newcomer()
    made = await product(one)
    await one.get(f"/v1/products/{made['id']}")
    foreign = await other.client.get(f"/v1/products/{made['id']}")
    absent = await other.client.get(f"/v1/products/{uuid.UUID(int=0)}")
    assert foreign.status_code == absent.status_code == 404
    assert foreign.json()["code"] == absent.json()["code"]


async def test_dropping_by_hand_wants_a_strategy_or_a_pattern(tenant: Tenant) -> None:
    dropped = await tenant.post("/v1/cache/invalidations", {"reason": "repaired by SQL", "pattern": "product:*"})
    assert dropped == {"tags": ["product:all"]}
    for wrong in ({}, {"strategy": "x"}, {"pattern": "*:*"}, {"strategy": "everything", "pattern": "*"}):
        problem = await tenant.post("/v1/cache/invalidations", {"reason": "r", **wrong}, 422)
        assert problem["code"] == "invalid-value"
    assert (await tenant.get("/v1/cache"))["listening"] is True


async def test_what_was_changed_by_sql_is_seen_after_the_drop(tenant: Tenant, services: Services) -> None:
    made = await tenant.make("parties", code=uuid.uuid4().hex[:10].upper(), name="Smith", is_customer=True)
    path = f"/v1/parties/{made['id']}"
    await tenant.get(path)
    with psycopg.connect(services.superuser_url) as connection:
        connection.execute("UPDATE parties SET name = 'Smythe' WHERE id = %s", [made["id"]])
    await tenant.post("/v1/cache/invalidations", {"reason": "repaired", "strategy": "party-updates"})
    async with asyncio.timeout(5):
        while (await tenant.get(path))["name"] != "Smythe":  # a replica may still replay it
            await tenant.post("/v1/cache/invalidations", {"reason": "repaired", "strategy": "party-updates"})
