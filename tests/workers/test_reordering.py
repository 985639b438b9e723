"""What is to be bought: one open proposal a rule, whoever looks, and nothing that is on its way already."""

import asyncio
import uuid
from typing import Any

import pytest

from tests.api.whole.conftest import Newcomer as NewTenant
from tests.api.whole.conftest import Tenant
from tests.workers.clockwork import Clockwork
from tests.workers.clockwork import clockwork as clockwork
from tests.workers.conftest import Tables


async def rule(tenant: Tenant, stock: str = "3", **fields: Any) -> Any:
    """Fewer than ten: up to thirty, in boxes of twelve."""
    supplier = await tenant.make("parties", code=f"S-{uuid.uuid4().hex[:6]}", name="Mill", is_supplier=True)
    product = await tenant.make("products", code=f"P-{uuid.uuid4().hex[:6]}", name="Flour")
    line = {"product_id": product["id"], "quantity": stock, "unit_cost": "4"}
    await tenant.make("stock-adjustments", reason="opening", lines=[line])
    body = {
        "product_id": product["id"], "supplier_id": supplier["id"], "minimum": "10", "target": "30",
        "multiple": "12", "unit_price": "4.25", "lead_days": 5, **fields,
    }  # fmt: skip
    return await tenant.make("reorder-rules", **body)


async def proposals(tenant: Tenant, **filters: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await tenant.get("/v1/purchase-proposals", 200, **filters))["data"]
    return found


async def look(tenant: Tenant, clockwork: Clockwork) -> int:
    await tenant.post("/v1/purchase-proposals/run", expect=202)
    [job] = await clockwork.work(tenant)
    assert job["state"] == "done", job["error_detail"]
    return int(job["result"]["proposals"])


async def test_from_low_stock_to_the_order_that_ends_it(new_tenant: NewTenant, clockwork: Clockwork) -> None:
    tenant = await new_tenant()
    made = await rule(tenant)
    assert await look(tenant, clockwork) == 1
    [proposal] = await proposals(tenant, state="open")
    assert (proposal["quantity"], proposal["available"], proposal["incoming"]) == ("36", "3", "0")
    assert await look(tenant, clockwork) == 0  # one that is open is enough
    accepted = await tenant.post(f"/v1/purchase-proposals/{proposal['id']}/accept", {"quantity": "24"})
    assert (accepted["state"], accepted["quantity"]) == ("accepted", "24")
    order = await tenant.get(f"/v1/purchase-orders/{accepted['order_id']}")
    assert (order["state"], order["party_id"], order["net"]) == ("draft", made["supplier_id"], "102.00")
    assert await look(tenant, clockwork) == 0  # its draft counts
    await tenant.post(f"/v1/purchase-orders/{order['id']}/confirm")
    assert await look(tenant, clockwork) == 0  # on its way
    stopped = {"reason": "too late"}
    await tenant.post(f"/v1/purchase-orders/{order['id']}/cancel", stopped)
    assert await look(tenant, clockwork) == 1  # and again, as nothing comes
    again = await tenant.post(f"/v1/purchase-proposals/{proposal['id']}/accept", expect=409)
    assert again["code"] == "invalid-state"


async def test_a_rule_counts_its_whole_warehouse_and_no_other(new_tenant: NewTenant, clockwork: Clockwork) -> None:
    tenant = await new_tenant()
    made = await rule(tenant)
    far = await tenant.make("warehouses", code="FAR", name="Far away")
    places = {
        name: await tenant.make("locations", warehouse_id=warehouse, code=name, name=name)
        for name, warehouse in (("UP", made["warehouse_id"]), ("OFF", far["id"]))
    }
    line = {"product_id": made["product_id"], "unit_cost": "4"}
    away = {**line, "quantity": "50", "location_id": places["OFF"]["id"]}
    await tenant.make("stock-adjustments", reason="found", lines=[away])
    assert await look(tenant, clockwork) == 1
    [proposal] = await proposals(tenant)
    await tenant.post(f"/v1/purchase-proposals/{proposal['id']}/dismiss", {"reason": "found some"})
    near = {**line, "quantity": "7", "location_id": places["UP"]["id"]}
    await tenant.make("stock-adjustments", reason="found", lines=[near])
    assert await look(tenant, clockwork) == 0


async def test_what_a_schedule_asks_for_is_proposed(new_tenant: NewTenant, clockwork: Clockwork) -> None:
    tenant = await new_tenant()
    made = await rule(tenant)
    nightly = await tenant.make(
        "schedules", name="Nightly", kind="reorder", cron="0 2 * * *",
        parameters={"warehouse_id": made["warehouse_id"]},
    )  # fmt: skip
    await clockwork.strike(nightly["id"])
    [job] = await clockwork.work(tenant)
    assert job["result"] == {"proposals": 1}
    for wrong, pointer in (({"warehouse_id": 7}, "/parameters/warehouse_id"), ({"more": 1}, "/parameters/more")):
        body = {"name": "Wrong", "kind": "reorder", "cron": "0 2 * * *", "parameters": wrong}
        problem = await tenant.post("/v1/schedules", body, 422)
        assert problem["pointer"] == pointer


async def rivals(tenant: Tenant, clockwork: Clockwork, tables: Tables) -> list[dict[str, Any]]:
    """The proposals of five rules after eight runs at once, with one proposal accepted among them."""
    rules = [await rule(tenant) for _ in range(5)]
    assert await look(tenant, clockwork) == 5
    for _ in range(8):
        tables.rows(
            "INSERT INTO jobs (tenant_id, id, kind, queue) VALUES (%(id)s, gen_random_uuid(), %(kind)s, 'low')",
            id=tenant.id, kind="reorder_proposals",
        )  # fmt: skip
    accepting = [
        tenant.client.post(
            f"/v1/purchase-proposals/{proposal['id']}/accept", json={}, headers={"Idempotency-Key": uuid.uuid4().hex}
        )
        for proposal in await proposals(tenant)
        for _ in range(3)
    ]
    answers, jobs = await asyncio.gather(asyncio.gather(*accepting), clockwork.work(tenant))
    assert {job["state"] for job in jobs} == {"done"}
    assert sorted(answer.status_code for answer in answers) == [200] * 5 + [409] * 10
    assert len((await tenant.get("/v1/purchase-orders"))["data"]) == 5
    found = await proposals(tenant)
    assert {one["rule_id"] for one in found} == {one["id"] for one in rules}
    return found


async def test_runs_and_decisions_at_once_propose_nothing_twice(
    new_tenant: NewTenant, clockwork: Clockwork, tables: Tables
) -> None:
    found = await rivals(await new_tenant(), clockwork, tables)
    assert [one["state"] for one in found] == ["accepted"] * 5


async def test_without_its_key_a_rule_has_two_open_proposals(
    new_tenant: NewTenant, clockwork: Clockwork, tables: Tables
) -> None:
    """The planted bug: nothing but the key stands between two runs and two proposals."""
    tenant = await new_tenant()
    await rule(tenant)
    assert await look(tenant, clockwork) == 1
    key = tables.value("SELECT pg_get_indexdef('purchase_proposals_open_key'::regclass)")
    tables.rows("DROP INDEX purchase_proposals_open_key")
    try:
        with pytest.raises(AssertionError):
            assert await look(tenant, clockwork) == 0
    finally:
        tables.rows("UPDATE purchase_proposals SET state = 'dismissed' WHERE state = 'open'")
        tables.rows(key)


@pytest.mark.parametrize(
    ("change", "code", "pointer"),
    [
        ({"target": "5"}, "invalid-value", "/target"),
        ({"minimum": "-1"}, "invalid-amount", "/minimum"),
        ({"multiple": "0"}, "invalid-amount", "/multiple"),
        ({"product_id": str(uuid.UUID(int=7))}, "unknown-reference", "/product_id"),
        ({"supplier_id": str(uuid.UUID(int=7))}, "unknown-reference", "/supplier_id"),
        ({"location_id": str(uuid.UUID(int=7))}, "unknown-reference", "/location_id"),
    ],
)
async def test_a_rule_that_makes_no_sense_is_refused(
    new_tenant: NewTenant, change: dict[str, Any], code: str, pointer: str
) -> None:
    tenant = await new_tenant()
    good = await rule(tenant)
    body = {name: good[name] for name in ("product_id", "supplier_id", "minimum", "target", "unit_price")}
    problem = await tenant.post("/v1/reorder-rules", {**body, **change}, 422)
    assert (problem["code"], problem["pointer"]) == (code, pointer)
    assert (await tenant.post("/v1/reorder-rules", body, 409))["code"] == "duplicate"
