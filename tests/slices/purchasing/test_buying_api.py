"""Buying through the API: order, goods receipt, bill, and what the lists say of them."""

import uuid
from typing import Any

import httpx

from erp.http.gate import Gate
from tests.api.whole.conftest import Tenant, client_of


async def supplied(tenant: Tenant) -> tuple[dict[str, Any], dict[str, Any]]:
    groups = (await tenant.get("/v1/tax-groups", code="standard"))["data"]
    product = await tenant.make("products", code="P", name="P", tax_group_id=groups[0]["id"])
    return await tenant.make("parties", code="S", name="S", is_supplier=True), product


async def test_from_order_to_bill(tenant: Tenant) -> None:
    supplier, product = await supplied(tenant)
    line = {"product_id": product["id"], "quantity": "10", "unit_price": "4.20"}
    order = await tenant.make("purchase-orders", party_id=supplier["id"], lines=[line], external_id="po:1")
    path = f"/v1/purchase-orders/{order['id']}"
    assert (order["state"], order["net"], order["lines"][0]["open"]) == ("draft", "42.00", "10")
    placed = await tenant.post(f"{path}/confirm", None, 200)
    assert await tenant.get(path) == placed
    part = await tenant.post(f"{path}/receipts", {"lines": [{"line_no": 1, "quantity": "4"}]}, 201)
    assert await tenant.get(f"/v1/goods-receipts/{part['id']}") == part
    await tenant.post(f"{path}/receipts", {}, 201)
    bill = await tenant.post(f"{path}/bills", {"supplier_number": "S-1", "gross": "50.40"}, 201)
    assert await tenant.get(f"/v1/supplier-bills/{bill['id']}") == bill
    assert (await tenant.get(path))["state"] == "billed"
    assert [one["id"] for one in (await tenant.get("/v1/purchase-orders", state="billed"))["data"]] == [order["id"]]
    receipts = (await tenant.get("/v1/goods-receipts", order_id=order["id"], sort="number"))["data"]
    assert [one["value"] for one in receipts] == ["16.80", "25.20"]
    bills = await tenant.get("/v1/supplier-bills", supplier_number="S-1", fields="gross")
    assert bills["data"] == [{"id": bill["id"], "gross": "50.40"}]
    assert (await tenant.get("/v1/proof"))["holds"]
    await tenant.post(f"/v1/supplier-bills/{bill['id']}/cancel", {"reason": "Wrong prices"}, 200)
    assert (await tenant.get("/v1/proof"))["holds"]


async def test_a_direct_receipt_leads_to_its_goods_receipt(tenant: Tenant) -> None:
    supplier, product = await supplied(tenant)
    line = {"product_id": product["id"], "quantity": "10", "unit_price": "4.20"}
    reply = await tenant.client.post(
        "/v1/direct-receipts", json={"party_id": supplier["id"], "lines": [line]},
        headers={"Idempotency-Key": uuid.uuid4().hex},
    )  # fmt: skip
    assert reply.status_code == 201
    found = await tenant.get(reply.headers["location"])
    assert (found["id"], found["order_id"]) == (reply.json()["id"], reply.json()["order"]["id"])


async def test_an_order_and_its_receipt_are_one_batch(tenant: Tenant) -> None:
    supplier, product = await supplied(tenant)
    line = {"product_id": product["id"], "quantity": "10", "unit_price": "4.20"}
    operations = [
        {"op": "purchase_orders.create", "data": {"party_id": supplier["id"], "lines": [line], "confirm": True}},
        {"op": "purchase_orders.receive", "target": {"$from": 0}, "data": {}},
        {"op": "purchase_orders.bill", "target": {"$from": 0}, "data": {"supplier_number": "S-1"}},
    ]
    results = (await tenant.post("/v1/batch", {"operations": operations}, 200))["results"]
    assert [one["status"] for one in results] == [201, 201, 201]
    assert (await tenant.get(f"/v1/purchase-orders/{results[0]['data']['id']}"))["state"] == "billed"
    assert (await tenant.get("/v1/proof"))["holds"]


async def test_stock_and_money_need_an_idempotency_key(tenant: Tenant) -> None:
    for path in (f"/v1/purchase-orders/{uuid.uuid4()}/receipts", "/v1/direct-receipts", "/v1/supplier-bills"):
        reply = await tenant.client.post(path, json=minimal(path))
        assert (reply.status_code, reply.json()["code"]) == (400, "idempotency-key-required"), path


async def test_a_repeated_receipt_moves_goods_once(tenant: Tenant) -> None:
    supplier, product = await supplied(tenant)
    line = {"product_id": product["id"], "quantity": "10", "unit_price": "4.20"}
    order = await tenant.make("purchase-orders", party_id=supplier["id"], lines=[line], confirm=True)
    key, part = uuid.uuid4().hex, {"lines": [{"line_no": 1, "quantity": "4"}]}
    path = f"/v1/purchase-orders/{order['id']}/receipts"
    answers = [await tenant.post(path, part, 201, key) for _ in range(3)]
    assert answers[0] == answers[1] == answers[2]
    assert (await tenant.get(f"/v1/purchase-orders/{order['id']}"))["lines"][0]["received"] == "4"


async def test_steps_refuse_a_version_they_did_not_see(tenant: Tenant) -> None:
    supplier, product = await supplied(tenant)
    line = {"product_id": product["id"], "quantity": "10", "unit_price": "4.20"}
    order = await tenant.make("purchase-orders", party_id=supplier["id"], lines=[line])
    path = f"/v1/purchase-orders/{order['id']}"

    async def step(what: str, version: int, body: Any = None) -> int:
        headers = {"If-Match": f'"{version}"', "Idempotency-Key": uuid.uuid4().hex}
        return (await tenant.client.post(f"{path}/{what}", json=body, headers=headers)).status_code

    assert [await step("confirm", version, {}) for version in (2, 1)] == [412, 200]
    assert [await step("receipts", version, {}) for version in (1, 2)] == [412, 201]
    assert [await step("bills", version, {"supplier_number": "S"}) for version in (2, 3)] == [412, 201]


async def test_roles_reach_what_is_theirs(gate: Gate, tenant: Tenant) -> None:
    async def status(client: httpx.AsyncClient, path: str) -> int:
        headers = {"Idempotency-Key": uuid.uuid4().hex}
        return (await client.post(path, json=minimal(path), headers=headers)).status_code

    receipts = f"/v1/purchase-orders/{uuid.uuid4()}/receipts"
    for role, expected in (
        ("warehouse", (422, 404, 403)), ("accountant", (422, 403, 422)), ("sales", (403, 403, 403)),
        ("auditor", (403, 403, 403)),
    ):  # fmt: skip
        made = await tenant.make("api-keys", name=role, role=role)
        async with client_of(gate, made["secret"]) as client:
            paths = ("/v1/purchase-orders", receipts, "/v1/supplier-bills")
            assert tuple([await status(client, path) for path in paths]) == expected, role


def minimal(path: str) -> dict[str, Any]:
    """A body that passes validation and names nobody there is."""
    party, product = str(uuid.uuid4()), str(uuid.uuid4())
    if path.endswith("receipts") and "purchase-orders" in path:
        return {}
    if path.endswith("bills"):
        return {"party_id": party, "supplier_number": "S-1", "order_id": product}
    return {"party_id": party, "lines": [{"product_id": product, "quantity": "1", "unit_price": "1"}]}
