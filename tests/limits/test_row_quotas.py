"""Quotas on rows: exact among rivals, in the transaction that creates, whatever way the rows come in."""

import asyncio
import uuid
from typing import Any

import httpx
import psycopg
import pytest

from db.statement import Bound
from erp.sales import direct
from tests.api.whole.conftest import Newcomer, Tenant
from tests.limits.conftest import set_quotas
from tests.services import Services


async def create(tenant: Tenant, resource: str, number: int) -> httpx.Response:
    body: dict[str, Any] = {"code": f"C{number}", "name": f"Number {number}"}
    if resource == "parties":
        body["is_customer"] = True
    return await tenant.client.post(f"/v1/{resource}", json=body, headers={"Idempotency-Key": uuid.uuid4().hex})


async def counted(tenant: Tenant) -> Any:
    return (await tenant.get("/v1/usage"))["counted"]


def stored(services: Services, tenant: Tenant, table: str) -> int:
    with psycopg.connect(services.superuser_url) as connection:
        row = connection.execute(f"SELECT count(*) FROM {table} WHERE tenant_id = %s", (tenant.id,)).fetchone()
    assert row is not None
    return int(row[0])


async def test_rivals_fill_a_quota_to_the_last_row_and_no_further(
    operator: httpx.AsyncClient, tenant: Tenant, services: Services
) -> None:
    await set_quotas(operator, tenant, products=7)
    replies = await asyncio.gather(*(create(tenant, "products", number) for number in range(24)))
    assert sorted(reply.status_code for reply in replies) == [201] * 7 + [409] * 17
    problem = next(reply.json() for reply in replies if reply.status_code == 409)
    assert (problem["code"], problem["quota"]) == ("quota-exceeded", "products")
    assert stored(services, tenant, "products") == (await counted(tenant))["products"] == 7


async def test_without_waiting_for_each_other_rivals_would_pass_it(
    operator: httpx.AsyncClient, newcomer: Newcomer, services: Services
) -> None:
    """The planted bug of the test above."""
    tenant = await newcomer()
    await set_quotas(operator, tenant, products=7)
    with psycopg.connect(services.owner_url, autocommit=True) as connection:
        [source] = connection.execute("SELECT pg_get_functiondef('count_added'::regproc)").fetchone() or ("",)
        waits = "PERFORM pg_advisory_xact_lock(hashtextextended(counted || added.tenant_id, 0));"
        assert waits in source
        broken = source.replace(waits, "").replace("ORDER BY stripe FOR UPDATE", "")
        counts = "INSERT INTO row_counts"  # what it found free is taken a moment later
        connection.execute(broken.replace(counts, f"PERFORM pg_sleep(0.2); {counts}"))
        try:
            replies = await asyncio.gather(*(create(tenant, "products", number) for number in range(24)))
        finally:
            connection.execute(source)
    assert sum(reply.status_code == 201 for reply in replies) > 7


async def test_far_from_its_quota_a_tenant_does_not_wait_for_itself(
    operator: httpx.AsyncClient, newcomer: Newcomer, services: Services
) -> None:
    tenant = await newcomer()
    await set_quotas(operator, tenant, parties=1_000_000)
    replies = await asyncio.gather(*(create(tenant, "parties", number) for number in range(24)))
    assert {reply.status_code for reply in replies} == {201}
    assert (await counted(tenant))["parties"] == stored(services, tenant, "parties")
    with psycopg.connect(services.superuser_url) as connection:
        sql = "SELECT count(*) FROM row_counts WHERE tenant_id = %s AND kind = 'parties'"
        [stripes] = connection.execute(sql, (tenant.id,)).fetchone() or (0,)
    assert stripes > 1


async def test_a_batch_over_the_quota_leaves_nothing(operator: httpx.AsyncClient, tenant: Tenant) -> None:
    before = (await counted(tenant))["parties"]
    await set_quotas(operator, tenant, parties=before + 2)
    operations = [
        {"op": "parties.create", "data": {"code": f"B{n}", "name": "In a batch", "is_customer": True}}
        for n in range(3)
    ]
    problem = await tenant.post("/v1/batch", {"operations": operations}, 409)
    assert (problem["code"], problem["pointer"]) == ("quota-exceeded", "/operations/2")
    assert (await counted(tenant))["parties"] == before
    await tenant.post("/v1/batch", {"operations": operations[:2]}, 200)


async def test_a_refusal_is_kept_for_its_key_and_a_raised_quota_is_for_new_ones(
    operator: httpx.AsyncClient, tenant: Tenant
) -> None:
    await set_quotas(operator, tenant, products=0)
    body = {"code": "P", "name": "Product"}
    await tenant.post("/v1/products", body, 409, key="the-key-that-is-kept")
    await set_quotas(operator, tenant, products=1)
    assert (await tenant.post("/v1/products", body, 409, key="the-key-that-is-kept"))["code"] == "quota-exceeded"
    await tenant.post("/v1/products", body, 201, key="another-key-of-mine")


async def test_keys_that_ended_do_not_count(operator: httpx.AsyncClient, tenant: Tenant) -> None:
    await set_quotas(operator, tenant, api_keys=2)
    second = await tenant.post("/v1/api-keys", {"name": "Second", "role": "auditor"}, 201)
    third = {"name": "Third", "role": "auditor"}
    assert (await tenant.post("/v1/api-keys", third, 409))["quota"] == "api_keys"
    await tenant.post(f"/v1/api-keys/{second['id']}/revoke", None, 200)
    await tenant.post("/v1/api-keys", third, 201)
    assert (await counted(tenant))["api_keys"] == 2


async def order(tenant: Tenant, party: str, product: str) -> httpx.Response:
    body = {"party_id": party, "lines": [{"product_id": product, "quantity": "1", "unit_price": "5.00"}]}
    return await tenant.client.post("/v1/sales-orders", json=body, headers={"Idempotency-Key": uuid.uuid4().hex})


async def test_documents_are_counted_only_under_a_quota_and_exactly(
    operator: httpx.AsyncClient, newcomer: Newcomer, services: Services
) -> None:
    tenant = await newcomer()
    party = (await tenant.make("parties", code="C", name="Customer", is_customer=True))["id"]
    product = (await tenant.make("products", code="P", name="Product"))["id"]
    assert (await order(tenant, party, product)).status_code == 201
    assert "documents" not in await counted(tenant)  # nobody without a quota writes or waits for a count

    await set_quotas(operator, tenant, documents=4)
    replies = await asyncio.gather(*(order(tenant, party, product) for _ in range(8)))
    assert sorted(reply.status_code for reply in replies) == [201] * 3 + [409] * 5  # the first was there before
    problem = next(reply.json() for reply in replies if reply.status_code == 409)
    assert (problem["code"], problem["quota"]) == ("quota-exceeded", "documents")
    assert stored(services, tenant, "sales_orders") == (await counted(tenant))["documents"] == 4
    line = {"product_id": product, "quantity": "1", "unit_price": "1.00"}
    supplier = (await tenant.make("parties", code="S", name="Supplier", is_supplier=True))["id"]
    refused = await tenant.post("/v1/purchase-orders", {"party_id": supplier, "lines": [line]}, 409)
    assert refused["quota"] == "documents"

    await set_quotas(operator, tenant)
    assert (await order(tenant, party, product)).status_code == 201
    await set_quotas(operator, tenant, documents=5)
    assert (await order(tenant, party, product)).status_code == 409, "what came without a quota counts as well"


async def holds_the_quota_while_it_waits(
    operator: httpx.AsyncClient, tenant: Tenant, services: Services, resource: str, series: str
) -> bool:
    """Whether a document that waits for its number holds the lock of the quota on documents."""
    party = (await tenant.make("parties", code="C", name="Party", is_customer=True, is_supplier=True))["id"]
    kind = "service" if resource == "direct-sales" else "stocked"
    product = (await tenant.make("products", code="P", name="Product", kind=kind))["id"]
    body = {"party_id": party, "lines": [{"product_id": product, "quantity": "1", "unit_price": "5.00"}]}
    await set_quotas(operator, tenant, documents=50)
    await tenant.post(f"/v1/{resource}", body, 201)
    with psycopg.connect(services.superuser_url) as rival:
        taken = "SELECT FROM number_series WHERE tenant_id = %s AND series = %s FOR UPDATE"
        assert rival.execute(taken, (tenant.id, series)).rowcount == 1
        waiting = asyncio.create_task(tenant.post(f"/v1/{resource}", body, 201))
        behind = "SELECT FROM pg_stat_activity WHERE pg_backend_pid() = ANY (pg_blocking_pids(pid))"
        async with asyncio.timeout(10):
            while not rival.execute(behind).rowcount:  # noqa: ASYNC110  # nothing announces it
                await asyncio.sleep(0.01)
        lock = "SELECT pg_try_advisory_xact_lock(hashtextextended('documents' || %s::uuid, 0))"
        [(free,)] = rival.execute(lock, (tenant.id,)).fetchall()
    await waiting
    return not free


@pytest.mark.parametrize(("resource", "series"), [("direct-sales", "invoice"), ("direct-receipts", "goods_receipt")])
async def test_a_document_that_waits_for_its_number_does_not_hold_the_quota(
    operator: httpx.AsyncClient, newcomer: Newcomer, services: Services, resource: str, series: str
) -> None:
    """Others take the lock of the quota behind their numbers: held the other way round the two would deadlock."""
    assert not await holds_the_quota_while_it_waits(operator, await newcomer(), services, resource, series)


async def test_written_before_its_number_its_order_would_hold_it(
    operator: httpx.AsyncClient, newcomer: Newcomer, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The planted bug of the test above."""
    monkeypatch.setattr(direct, "DOCUMENTS_ARE_COUNTED", lambda: Bound("SELECT false", {}))
    assert await holds_the_quota_while_it_waits(operator, await newcomer(), services, "direct-sales", "invoice")
