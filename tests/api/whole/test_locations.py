"""Whoever makes something is told where it is."""

import uuid
from typing import Any

import pytest

from erp.app import COMMANDS
from erp.http.commands import Command
from erp.tenants.own_routes import CREATE_KEY, ROTATE_KEY
from tests.api.whole.conftest import Tenant
from tests.api.whole.trading import Trade, stocked_product, trade

_MAKING = [command for command in (*COMMANDS, CREATE_KEY, ROTATE_KEY) if command.status == 201]


@pytest.mark.parametrize("command", _MAKING, ids=lambda command: str(command.name))
def test_every_command_that_makes_something_tells_where_it_is(command: Command) -> None:
    assert command.tells_location, command.name
    assert not command.target or command.made_in is not None


async def made(tenant: Tenant, path: str, body: Any = None) -> Any:
    """What a POST made, read again from where its answer says it is."""
    reply = await tenant.client.post(path, json=body or {}, headers={"Idempotency-Key": uuid.uuid4().hex})
    assert reply.status_code == 201, reply.text
    created = reply.json()
    location = reply.headers["location"]
    found = await tenant.get(location)
    assert (found["id"], location.rsplit("/", 1)[1]) == (created["id"], created["id"])
    again = await tenant.client.post(
        path, json=body or {}, headers={"Idempotency-Key": reply.request.headers["Idempotency-Key"]}
    )
    assert (again.headers["location"], again.headers["idempotency-replayed"]) == (location, "true")
    return created


@pytest.fixture
async def traded(tenant: Tenant) -> Trade:
    return await trade(tenant)


async def test_documents_made_of_others_are_where_the_answer_says(traded: Trade) -> None:
    tenant, ids = traded.tenant, traded.ids
    product = await stocked_product(tenant, "MADE", "50")
    line = {"product_id": product["id"], "quantity": "5"}
    supplier = (await tenant.get("/v1/parties", code="SUPP"))["data"][0]["id"]
    purchase = await made(
        tenant, "/v1/purchase-orders", {"party_id": supplier, "lines": [{**line, "unit_price": "4"}], "confirm": True}
    )
    await made(tenant, f"/v1/purchase-orders/{purchase['id']}/receipts")
    await made(tenant, f"/v1/purchase-orders/{purchase['id']}/bills", {"supplier_number": "S-9"})
    await made(tenant, "/v1/direct-receipts", {"party_id": supplier, "lines": [{**line, "unit_price": "4"}]})
    order = await made(tenant, "/v1/sales-orders", {"party_id": ids["party_id"], "lines": [line], "confirm": True})
    delivery = await made(tenant, f"/v1/sales-orders/{order['id']}/deliveries")
    await made(tenant, f"/v1/deliveries/{delivery['id']}/returns", {"reason": "Scratched"})
    service = await tenant.make("products", code="HOUR", name="Hour", kind="service", sale_price="10")
    order = await made(
        tenant, "/v1/sales-orders",
        {"party_id": ids["party_id"], "confirm": True, "lines": [{"product_id": service["id"], "quantity": "1"}]},
    )  # fmt: skip
    invoice = await made(tenant, f"/v1/sales-orders/{order['id']}/invoices")
    await tenant.post(f"/v1/invoices/{invoice['id']}/post")
    await made(tenant, f"/v1/invoices/{invoice['id']}/credit", {"reason": "Not done"})
    await made(tenant, f"/v1/journal-entries/{ids['entry_id']}/reverse", {"reason": "Booked twice"})
    await made(tenant, "/v1/periods", {"first_month": "2031-05-01", "months": 2})


async def test_an_order_is_no_place_for_what_was_made_of_it(traded: Trade) -> None:
    """The planted bug of the test above: below the order there is nothing to read."""
    order = traded.ids["order_id"]
    reply = await traded.tenant.client.get(f"/v1/sales-orders/{order}/deliveries/{traded.ids['delivery_id']}")
    assert reply.status_code in (404, 405)
