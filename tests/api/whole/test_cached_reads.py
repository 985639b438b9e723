"""Cached reads through the API: they cost no statement, show every change at once, and stay the tenant's own."""

import asyncio
import math
import uuid
from dataclasses import replace
from typing import Any

import psycopg
import pytest

from db.counting import RoundTrips, round_trips
from db.redis import connect
from erp.app import build_app
from erp.http.gate import Gate
from erp.inventory.reservations import SALES_TTL
from erp.settings import load_settings
from tenancy.admission import EPOCH_KEY, MEMORY_MS
from tests.api.whole.conftest import Newcomer, Tenant, client_of, running, settings_environment
from tests.configuration.severed import relayed
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
async def old_redis(services: Services, gate: Gate) -> None:
    """What remembers callers' writes is old enough to be relied on: reads leave the primary.

    Neither its data nor the server is new to the application, which may have seen other tests restart it.
    """
    gate._services.gatekeeper._channel._replaced_at = -math.inf
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
    lists = {"pattern": f"list:{uuid.uuid4()}"}
    for wrong in ({}, {"strategy": "x"}, {"pattern": "*:*"}, {"strategy": "everything", "pattern": "*"}, lists):
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


@pytest.mark.usefixtures("old_redis")
@pytest.mark.parametrize("form", ["list", "search"])
async def test_dropping_one_record_drops_the_pages_it_stands_in(
    newcomer: Newcomer, services: Services, form: str
) -> None:
    tenant = await newcomer()
    made = await product(tenant)
    asked = {"search": "La"} if form == "search" else {"code": made["code"]}
    reader = await reader_of(tenant)
    assert await reader.names(asked) == ["Lamp"]
    by_hand(services, "UPDATE products SET name = 'Lantern' WHERE id = %s", made["id"])
    dropped = await tenant.post("/v1/cache/invalidations", {"reason": "r", "pattern": f"product:{made['id']}"})
    assert made["id"].replace("-", "") in dropped["tags"][0]
    assert await reader.names(asked) == ["Lantern"]


@pytest.mark.usefixtures("old_redis")
async def test_lists_and_search_results_are_dropped_each_by_its_own_strategy(
    newcomer: Newcomer, services: Services
) -> None:
    tenant = await newcomer()
    made = await product(tenant)
    listed, searched = {"code": made["code"]}, {"search": "La"}
    reader = await reader_of(tenant)
    for asked in (listed, searched) * 3:
        await reader.names(asked)
    round_trips.set(counter := RoundTrips())
    for asked in (listed, searched):
        assert await reader.names(asked) == ["Lamp"]
    round_trips.set(None)
    assert counter.postgres == 0
    by_hand(services, "UPDATE products SET name = 'Lantern' WHERE id = %s", made["id"])
    await tenant.post("/v1/cache/invalidations", {"reason": "r", "strategy": "search-results"})
    assert await reader.names(searched) == ["Lantern"]
    assert await reader.names(listed) == ["Lamp"], "lists are dropped by their own strategy"
    await tenant.post("/v1/cache/invalidations", {"reason": "r", "strategy": "list-views"})
    assert await reader.names(listed) == ["Lantern"]


async def test_permissions_are_dropped_on_every_instance(tenant: Tenant, services: Services) -> None:
    key = await tenant.make("api-keys", name="looker", role="auditor")
    headers = {"Authorization": f"Bearer {key['secret']}"}
    assert (await tenant.client.get("/v1/locks", headers=headers)).status_code == 200
    by_hand(services, "UPDATE api_keys SET state = 'revoked' WHERE id = %s", key["id"])
    assert (await tenant.client.get("/v1/locks", headers=headers)).status_code == 200
    await tenant.post("/v1/cache/invalidations", {"reason": "repaired", "strategy": "permissions"})
    assert (await tenant.client.get("/v1/locks", headers=headers)).status_code == 401


async def test_the_configuration_is_read_again_by_every_instance(
    gate: Gate, tenant: Tenant, services: Services
) -> None:
    by_hand(services, f"INSERT INTO configuration_entries VALUES (%s, '{SALES_TTL.name}', '777', 2)", tenant.id)
    try:
        await _dropped(tenant, {"reason": "repaired", "strategy": "configuration"})
        assert gate._services.configuration.get(SALES_TTL, uuid.UUID(tenant.id)) == 777
    finally:  # what no change has made, tests of the history would find
        by_hand(services, "DELETE FROM configuration_entries WHERE tenant_id = %s", tenant.id)


async def _dropped(tenant: Tenant, body: dict[str, str]) -> None:
    """Repeated until every instance has answered: one of an earlier test may still be missed."""
    headers = {"Idempotency-Key": uuid.uuid4().hex}
    async with asyncio.timeout(20):
        while True:
            reply = await tenant.client.post("/v1/cache/invalidations", json=body, headers=headers)
            if reply.status_code == 200:
                return
            assert reply.json()["code"] == "cache-not-dropped"
            await asyncio.sleep(0.2)


async def test_what_cannot_be_dropped_is_not_said_to_be(tenant: Tenant, services: Services) -> None:
    async with relayed(services.redis_cache_url) as relay:
        settings = load_settings(settings_environment(services, "cut"))
        cut = build_app(replace(settings, redis_cache_url=relay.url))
        async with running(cut), client_of(cut, tenant.key) as client:
            await relay.sever()
            body = {"reason": "repaired", "strategy": "product-updates"}
            headers = {"Idempotency-Key": uuid.uuid4().hex}

            async def drop() -> Any:
                return await client.post("/v1/cache/invalidations", json=body, headers=headers)

            refused = await drop()
            assert (refused.status_code, refused.json()["code"]) == (503, "cache-not-dropped")
            assert refused.json()["kept"] == ["product:all"]
            await relay.mend()
            async with asyncio.timeout(20):
                while (await drop()).status_code != 200:  # noqa: ASYNC110  # nothing announces it
                    await asyncio.sleep(0.1)
    entries = (await tenant.get("/v1/audit-entries", action="cache.invalidate"))["data"]
    assert len(entries) == 1


class Reader:
    """Somebody else of the tenant, who has written nothing and so may be shown what is cached."""

    def __init__(self, tenant: Tenant, secret: str) -> None:
        self._client = tenant.client
        self._headers = {"Authorization": f"Bearer {secret}"}

    async def names(self, asked: dict[str, str]) -> list[str]:
        reply = await self._client.get("/v1/products", params=asked, headers=self._headers)
        assert reply.status_code == 200, reply.text
        return [one["name"] for one in reply.json()["data"]]


async def reader_of(tenant: Tenant) -> Reader:
    return Reader(tenant, (await tenant.make("api-keys", name="reader", role="auditor"))["secret"])


def by_hand(services: Services, statement: str, *values: str) -> None:
    with psycopg.connect(services.superuser_url) as connection:
        connection.execute(statement, values)
