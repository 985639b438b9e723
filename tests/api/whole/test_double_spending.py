"""What may happen once, asked for fifty times at the same moment under fifty keys: one is answered yes.

Every route that moves money or stock stands here or is named as one that may be repeated.
"""

import asyncio
import uuid
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

from erp.app import COMMANDS
from tests.api.whole.conftest import Tenant
from tests.api.whole.trading import stocked_product

RIVALS = 50

#: Command -> what sets the stage and returns the path and body to fight over.
Stage = Callable[[Tenant], Awaitable[tuple[str, Any]]]
STAGES: dict[str, Stage] = {}


def stage(command: str) -> Callable[[Stage], Stage]:
    def keep(found: Stage) -> Stage:
        STAGES[command] = found
        return found

    return keep


async def customer(tenant: Tenant) -> str:
    return str((await tenant.make("parties", code="C", name="Customer", is_customer=True))["id"])


async def supplier(tenant: Tenant) -> str:
    return str((await tenant.make("parties", code="S", name="Supplier", is_supplier=True))["id"])


async def order(tenant: Tenant, **fields: Any) -> Any:
    product = await stocked_product(tenant, "P", "5")
    line = {"product_id": product["id"], "quantity": "5"}
    return await tenant.make("sales-orders", party_id=await customer(tenant), lines=[line], **fields)


async def delivered(tenant: Tenant) -> tuple[Any, Any]:
    made = await order(tenant, confirm=True)
    return made, await tenant.post(f"/v1/sales-orders/{made['id']}/deliveries", {})


async def invoice(tenant: Tenant, party: str, **fields: Any) -> Any:
    line = {"description": "Work", "quantity": "1", "unit_price": "100", "tax_rate": "0"}
    return await tenant.make("invoices", party_id=party, lines=[line], **fields)


async def paid(tenant: Tenant) -> tuple[Any, Any]:
    party = await customer(tenant)
    owed = await invoice(tenant, party, post=True)
    settling = [{"invoice_id": owed["id"], "amount": "100.00"}]
    return owed, await tenant.make("payments", direction="in", party_id=party, amount="100.00", allocations=settling)


async def credited(tenant: Tenant) -> tuple[Any, Any]:
    party = await customer(tenant)
    owed = await invoice(tenant, party, post=True)
    return owed, await invoice(tenant, party, kind="credit_note", post=True)


async def purchase(tenant: Tenant, **fields: Any) -> Any:
    product = await tenant.make("products", code="P", name="P")
    line = {"product_id": product["id"], "quantity": "5", "unit_price": "1"}
    return await tenant.make("purchase-orders", party_id=await supplier(tenant), lines=[line], **fields)


@stage("sales_orders.confirm")
async def _(tenant: Tenant) -> tuple[str, Any]:
    return f"/v1/sales-orders/{(await order(tenant))['id']}/confirm", {}


@stage("sales_orders.deliver")
async def _(tenant: Tenant) -> tuple[str, Any]:
    return f"/v1/sales-orders/{(await order(tenant, confirm=True))['id']}/deliveries", {}


@stage("sales_orders.invoice")
async def _(tenant: Tenant) -> tuple[str, Any]:
    made, _ = await delivered(tenant)
    return f"/v1/sales-orders/{made['id']}/invoices", {}


@stage("sales_orders.cancel")
async def _(tenant: Tenant) -> tuple[str, Any]:
    return f"/v1/sales-orders/{(await order(tenant, confirm=True))['id']}/cancel", {"reason": "changed their mind"}


@stage("deliveries.return")
async def _(tenant: Tenant) -> tuple[str, Any]:
    _, delivery = await delivered(tenant)
    return f"/v1/deliveries/{delivery['id']}/returns", {"reason": "broken"}


@stage("sales_orders.create")
async def _(tenant: Tenant) -> tuple[str, Any]:
    """The last five of a product, all of them wanted by everybody."""
    product = await stocked_product(tenant, "P", "5")
    line = {"product_id": product["id"], "quantity": "5"}
    return "/v1/sales-orders", {"party_id": await customer(tenant), "lines": [line], "confirm": True}


@stage("direct_sales.create")
async def _(tenant: Tenant) -> tuple[str, Any]:
    product = await stocked_product(tenant, "P", "5")
    line = {"product_id": product["id"], "quantity": "5", "unit_price": "1"}
    return "/v1/direct-sales", {"party_id": await customer(tenant), "lines": [line]}


@stage("reservations.create")
async def _(tenant: Tenant) -> tuple[str, Any]:
    product = await stocked_product(tenant, "P", "5")
    return "/v1/reservations", {"product_id": product["id"], "quantity": "5"}


@stage("reservations.release")
async def _(tenant: Tenant) -> tuple[str, Any]:
    product = await stocked_product(tenant, "P", "5")
    made = await tenant.make("reservations", product_id=product["id"], quantity="5")
    return f"/v1/reservations/{made['id']}/release", None


@stage("stock_adjustments.create")
async def _(tenant: Tenant) -> tuple[str, Any]:
    product = await stocked_product(tenant, "P", "5")
    return "/v1/stock-adjustments", {"reason": "lost", "lines": [{"product_id": product["id"], "quantity": "-5"}]}


@stage("invoices.post")
async def _(tenant: Tenant) -> tuple[str, Any]:
    draft = await invoice(tenant, await customer(tenant))
    return f"/v1/invoices/{draft['id']}/post", {}


@stage("invoices.credit")
async def _(tenant: Tenant) -> tuple[str, Any]:
    owed = await invoice(tenant, await customer(tenant), post=True)
    return f"/v1/invoices/{owed['id']}/credit", {"reason": "rebate"}


@stage("invoices.allocate")
async def _(tenant: Tenant) -> tuple[str, Any]:
    owed, credit = await credited(tenant)
    body = {"allocations": [{"invoice_id": owed["id"], "amount": "100.00"}]}
    return f"/v1/invoices/{credit['id']}/allocations", body


@stage("invoices.deallocate")
async def _(tenant: Tenant) -> tuple[str, Any]:
    owed, credit = await credited(tenant)
    body = {"allocations": [{"invoice_id": owed["id"], "amount": "100.00"}]}
    done = await tenant.post(f"/v1/invoices/{credit['id']}/allocations", body)
    taken = [one["id"] for one in done["allocations"]]
    return f"/v1/invoices/{credit['id']}/deallocate", {"allocation_ids": taken, "reason": "the other one"}


@stage("payments.allocate")
async def _(tenant: Tenant) -> tuple[str, Any]:
    party = await customer(tenant)
    owed = await invoice(tenant, party, post=True)
    payment = await tenant.make("payments", direction="in", party_id=party, amount="150.00")
    body = {"allocations": [{"invoice_id": owed["id"], "amount": "100.00"}]}
    return f"/v1/payments/{payment['id']}/allocations", body


@stage("payments.create")
async def _(tenant: Tenant) -> tuple[str, Any]:
    """One invoice, paid in full by everybody at once."""
    party = await customer(tenant)
    owed = await invoice(tenant, party, post=True)
    settling = [{"invoice_id": owed["id"], "amount": "100.00"}]
    return "/v1/payments", {"direction": "in", "party_id": party, "amount": "100.00", "allocations": settling}


@stage("payments.deallocate")
async def _(tenant: Tenant) -> tuple[str, Any]:
    _, payment = await paid(tenant)
    taken = [one["id"] for one in payment["allocations"]]
    return f"/v1/payments/{payment['id']}/deallocate", {"allocation_ids": taken, "reason": "the other one"}


@stage("payments.reverse")
async def _(tenant: Tenant) -> tuple[str, Any]:
    payment = await tenant.make("payments", direction="in", party_id=await customer(tenant), amount="100.00")
    return f"/v1/payments/{payment['id']}/reverse", {"reason": "bounced"}


@stage("journal_entries.reverse")
async def _(tenant: Tenant) -> tuple[str, Any]:
    lines = [{"account": "@expense", "debit": "1.00"}, {"account": "@bank", "credit": "1.00"}]
    posted = await invoice(tenant, await customer(tenant), post=True)
    entry = await tenant.make("journal-entries", date=posted["date"], lines=lines)
    return f"/v1/journal-entries/{entry['id']}/reverse", {"reason": "wrong account"}


@stage("purchase_orders.receive")
async def _(tenant: Tenant) -> tuple[str, Any]:
    return f"/v1/purchase-orders/{(await purchase(tenant, confirm=True))['id']}/receipts", {}


@stage("purchase_orders.bill")
async def _(tenant: Tenant) -> tuple[str, Any]:
    made = await purchase(tenant, confirm=True)
    await tenant.post(f"/v1/purchase-orders/{made['id']}/receipts", {})
    return f"/v1/purchase-orders/{made['id']}/bills", {"supplier_number": "1"}


@stage("supplier_bills.cancel")
async def _(tenant: Tenant) -> tuple[str, Any]:
    made = await purchase(tenant, confirm=True)
    await tenant.post(f"/v1/purchase-orders/{made['id']}/receipts", {})
    bill = await tenant.post(f"/v1/purchase-orders/{made['id']}/bills", {"supplier_number": "1"})
    return f"/v1/supplier-bills/{bill['id']}/cancel", {"reason": "wrong supplier"}


@stage("fulfilments.create")
async def _(tenant: Tenant) -> tuple[str, Any]:
    return "/v1/fulfilments", {"order_id": (await order(tenant))["id"], "payment_source": "card"}


#: Each repetition is a new intention, limited by nothing but what was asked.
REPEATABLE = {
    "direct_credits.create", "direct_receipts.create", "invoices.create", "journal_entries.create",
    "supplier_bills.create",
    # Reserves what is missing: nothing, the second time.
    "sales_orders.reserve",
    # Of a fulfilment that waits for its operator: tests/fulfilment.
    "fulfilments.retry", "fulfilments.skip", "fulfilments.compensate",
    # Runs by hand: what is due is made once, whoever asks: tests/workers/test_tenant_schedules.py, test_recurring.py.
    "schedules.run", "recurring_orders.run", "purchase_proposals.run",
    # Of a proposal only a job makes: tests/workers/test_reordering.py has the rivals.
    "purchase_proposals.accept",
    # Of an event a consumer could not take: tests/eventstore.
    "dead_letters.replay", "dead_letters.discard",
}  # fmt: skip


def test_no_route_that_moves_money_or_stock_is_left_out() -> None:
    moving = {command.name for command in COMMANDS if command.key == "required"}
    assert moving - set(STAGES) - REPEATABLE == set()


async def ask(tenant: Tenant, path: str, body: Any, start: asyncio.Event) -> httpx.Response:
    await start.wait()
    return await tenant.client.post(path, json=body, headers={"Idempotency-Key": uuid.uuid4().hex})


@pytest.mark.parametrize("command", sorted(STAGES))
async def test_of_fifty_rivals_one_gets_it(tenant: Tenant, command: str) -> None:
    path, body = await STAGES[command](tenant)
    start = asyncio.Event()
    rivals = [asyncio.create_task(ask(tenant, path, body, start)) for _ in range(RIVALS)]
    start.set()
    replies = await asyncio.gather(*rivals)
    statuses = Counter(reply.status_code for reply in replies)
    codes = Counter(reply.json()["code"] for reply in replies if not reply.is_success)
    assert sum(reply.is_success for reply in replies) == 1, (statuses, codes)
    assert statuses[409] == RIVALS - 1, (statuses, codes)
    report = await tenant.get("/v1/proof")
    assert report["holds"], [check for check in report["checks"] if not check["holds"]]
