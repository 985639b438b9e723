"""Selling through the API: from draft to paid, and the shortcuts."""

import json
import uuid
from typing import Any

from erp.http.gate import Gate
from tests.api.whole.conftest import Tenant, client_of
from tests.api.whole.trading import stocked_product


async def customer(tenant: Tenant) -> Any:
    return await tenant.make("parties", code="C", name="Customer", is_customer=True)


async def test_order_to_cash(tenant: Tenant) -> None:
    product, buyer = await stocked_product(tenant, "P", "10", cost="4"), await customer(tenant)
    draft = await tenant.make(
        "sales-orders", party_id=buyer["id"], lines=[{"product_id": product["id"], "quantity": "4"}], reference="PO 9"
    )
    path = f"/v1/sales-orders/{draft['id']}"
    changed = await tenant.client.patch(
        path, json={"lines": [{"product_id": product["id"], "quantity": "5"}]}, headers={"If-Match": '"1"'}
    )
    assert (changed.json()["net"], changed.headers["etag"]) == ("50.00", '"2"')
    confirmed = await tenant.post(f"{path}/confirm", None, 200)
    assert (confirmed["state"], confirmed["lines"][0]["reserved"]) == ("confirmed", "5")
    assert await tenant.get(path) == confirmed
    part = await tenant.post(f"{path}/deliveries", {"lines": [{"line_no": 1, "quantity": "2"}]}, 201)
    assert await tenant.get(f"/v1/deliveries/{part['id']}") == part
    rest = await tenant.post(f"{path}/deliveries", {}, 201)
    assert (rest["order_state"], rest["cost"]) == ("delivered", "12.00")
    too_large = {"reason": "Too large", "lines": [{"line_no": 1, "quantity": "1"}]}
    back = await tenant.post(f"/v1/deliveries/{rest['id']}/returns", too_large, 201)
    assert await tenant.get(f"/v1/returns/{back['id']}") == back
    bill = await tenant.post(f"{path}/invoices", {}, 201)
    assert (bill["state"], bill["lines"][0]["quantity"]) == ("draft", "4")
    posted = await tenant.post(f"/v1/invoices/{bill['id']}/post", {})
    await tenant.make(
        "payments", direction="in", party_id=buyer["id"], amount=posted["gross"],
        allocations=[{"invoice_id": bill["id"], "amount": posted["gross"]}],
    )  # fmt: skip
    done = await tenant.get(path)
    assert (done["state"], done["invoice_state"], done["payment_state"]) == ("delivered", "invoiced", "paid")
    assert [one["id"] for one in (await tenant.get("/v1/sales-orders", reference="PO 9"))["data"]] == [draft["id"]]
    notes = (await tenant.get("/v1/deliveries", order_id=draft["id"], sort="number"))["data"]
    assert [one["number"] for one in notes] == [part["number"], rest["number"]]
    assert (await tenant.get("/v1/returns", delivery_id=rest["id"], fields="cost"))["data"] == [
        {"id": back["id"], "cost": "4.00"}
    ]
    assert (await tenant.get("/v1/proof"))["holds"]


async def test_an_order_delivery_and_invoice_are_one_batch(tenant: Tenant) -> None:
    product, buyer = await stocked_product(tenant, "P", "10"), await customer(tenant)
    line = {"product_id": product["id"], "quantity": "4"}
    operations = [
        {"op": "sales_orders.create", "data": {"party_id": buyer["id"], "lines": [line], "confirm": True}},
        {"op": "sales_orders.deliver", "target": {"$from": 0}, "data": {}},
        {"op": "sales_orders.invoice", "target": {"$from": 0}, "data": {}},
        {"op": "direct_sales.create", "data": {"party_id": buyer["id"], "lines": [line]}},
    ]
    results = (await tenant.post("/v1/batch", {"operations": operations}, 200))["results"]
    assert [one["status"] for one in results] == [201, 201, 201, 201]
    assert (await tenant.get(f"/v1/sales-orders/{results[0]['data']['id']}"))["invoice_state"] == "invoiced"
    too_many = [*operations[:2], {"op": "direct_sales.create", "data": {"party_id": buyer["id"], "lines": [line]}}]
    refused = await tenant.post("/v1/batch", {"operations": too_many}, 409)
    assert (refused["code"], refused["pointer"][:13]) == ("insufficient-stock", "/operations/0")
    assert (await tenant.get("/v1/proof"))["holds"]


async def test_direct_sales_and_credits_can_be_read_where_they_say(tenant: Tenant) -> None:
    product, buyer = await stocked_product(tenant, "P", "10"), await customer(tenant)
    sale = {"party_id": buyer["id"], "lines": [{"product_id": product["id"], "quantity": "2"}], "external_id": "1"}
    credit = {**sale, "reason": "Broken in transit", "external_id": "C1"}
    for path, body in (("/v1/direct-sales", sale), ("/v1/direct-credits", credit)):
        headers = {"Idempotency-Key": uuid.uuid4().hex}
        reply = await tenant.client.post(path, json=body, headers=headers)
        assert reply.status_code == 201
        assert await tenant.get(reply.headers["location"]) == reply.json()
        await tenant.get(f"{path}/{uuid.uuid4()}", 404)
    assert (await tenant.get("/v1/sales-orders", direct="true"))["data"][0]["external_id"] == "1"
    assert (await tenant.get("/v1/proof"))["holds"]


async def test_direct_sales_come_in_bulk_and_only_once(tenant: Tenant) -> None:
    product, buyer = await stocked_product(tenant, "P", "10"), await customer(tenant)
    rows = [
        {
            "key": f"invoice-{number}-0123456789",
            "data": {
                "party_id": buyer["id"], "external_id": f"I{number}",
                "lines": [{"product_id": product["id"], "quantity": quantity}],
            },
        }
        for number, quantity in enumerate(("2", "3", "99"), start=1)
    ]  # fmt: skip
    stream = "\n".join(json.dumps(row) for row in rows)
    for _ in range(2):
        reply = await tenant.client.post(
            "/v1/bulk/direct-sales", content=stream, headers={"Content-Type": "application/x-ndjson"}
        )
        answers = [json.loads(text) for text in reply.text.splitlines()]
        assert sorted(one["status"] for one in answers if "status" in one) == [201, 201, 409]
    assert (await tenant.get(f"/v1/products/{product['id']}/availability"))["on_hand"] == "5"
    assert (await tenant.get("/v1/proof"))["holds"]


async def test_a_repeated_delivery_leaves_once(tenant: Tenant) -> None:
    product, buyer = await stocked_product(tenant, "P", "10"), await customer(tenant)
    order = await tenant.make(
        "sales-orders", party_id=buyer["id"], lines=[{"product_id": product["id"], "quantity": "4"}], confirm=True
    )
    key, part = uuid.uuid4().hex, {"lines": [{"line_no": 1, "quantity": "1"}]}
    answers = [await tenant.post(f"/v1/sales-orders/{order['id']}/deliveries", part, 201, key) for _ in range(3)]
    assert answers[0] == answers[1] == answers[2]
    assert (await tenant.get(f"/v1/sales-orders/{order['id']}"))["lines"][0]["delivered"] == "1"


async def test_steps_refuse_a_version_they_did_not_see(tenant: Tenant) -> None:
    product, buyer = await stocked_product(tenant, "P", "10"), await customer(tenant)
    order = await tenant.make(
        "sales-orders", party_id=buyer["id"], lines=[{"product_id": product["id"], "quantity": "4"}]
    )

    async def step(what: str, version: int, body: Any) -> int:
        headers = {"If-Match": f'"{version}"', "Idempotency-Key": uuid.uuid4().hex}
        reply = await tenant.client.post(f"/v1/sales-orders/{order['id']}/{what}", json=body, headers=headers)
        return reply.status_code

    one = {"lines": [{"line_no": 1, "quantity": "1"}]}
    assert [await step("confirm", version, {}) for version in (7, 1)] == [412, 200]
    assert [await step("deliveries", version, one) for version in (1, 2)] == [412, 201]
    assert [await step("invoices", version, one) for version in (2, 3)] == [412, 201]
    assert [await step("cancel", version, {"reason": "Enough"}) for version in (3, 4)] == [412, 200]


async def test_who_may_what(gate: Gate, tenant: Tenant) -> None:
    product, buyer = await stocked_product(tenant, "P", "10"), await customer(tenant)
    body = {"party_id": buyer["id"], "lines": [{"product_id": product["id"], "quantity": "1"}]}
    for role, orders, sales in (("sales", 201, 201), ("warehouse", 403, 403), ("accountant", 403, 403)):
        made = await tenant.make("api-keys", name=role, role=role)
        async with client_of(gate, made["secret"]) as client:
            for path, expected in (("/v1/sales-orders", orders), ("/v1/direct-sales", sales)):
                reply = await client.post(path, json=body, headers={"Idempotency-Key": uuid.uuid4().hex})
                assert (reply.status_code, role, path) == (expected, role, path)
