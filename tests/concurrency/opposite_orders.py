"""What batches do that clients send in opposite orders: a story for each kind of command that locks."""

import uuid
from collections.abc import Awaitable, Callable
from typing import Any

import httpx

from tests.api.whole.conftest import Tenant
from tests.api.whole.trading import stocked_product

Operation = dict[str, Any]
#: The operations of one round, made anew for each of the clients that run them.
Round = Callable[[], list[Operation]]
#: Makes what so many rounds work on.
Story = Callable[[Tenant, int], Awaitable[list[Round]]]


async def run(client: httpx.AsyncClient, operations: list[Operation]) -> httpx.Response:
    headers = {"Idempotency-Key": uuid.uuid4().hex}
    return await client.post("/v1/batch", json={"operations": operations}, headers=headers)


def op(name: str, target: Any = None, **data: Any) -> Operation:
    return {"op": name, "data": data} if target is None else {"op": name, "target": target["id"], "data": data}


def of(operations: list[Operation]) -> Round:
    """The same for every client."""
    return operations.copy


def again(rounds: int, *operations: Operation) -> list[Round]:
    """The same in every round."""
    return [of(list(operations))] * rounds


# -- stock -----------------------------------------------------------------------------------------


async def goods(tenant: Tenant, quantity: str = "1000") -> list[Any]:
    return [await stocked_product(tenant, code, quantity) for code in ("A", "B", "C")]


async def partner(tenant: Tenant, code: str = "P", **fields: Any) -> str:
    party = await tenant.make("parties", code=code, name=code, is_customer=True, is_supplier=True, **fields)
    return str(party["id"])


async def deals(tenant: Tenant, **fields: Any) -> list[tuple[str, Any]]:
    """Three partners, each with goods of its own."""
    return [(await partner(tenant, product["code"], **fields), product) for product in await goods(tenant)]


def line(product: Any, quantity: str = "1", **fields: Any) -> dict[str, str]:
    return {"product_id": product["id"], "quantity": quantity, **fields}


async def adjustments(tenant: Tenant, rounds: int) -> list[Round]:
    stock = await goods(tenant)
    return again(rounds, *(op("stock_adjustments.create", reason="lost", lines=[line(one, "-1")]) for one in stock))


async def first_arrivals(tenant: Tenant, rounds: int) -> list[Round]:
    """Goods nobody has had before: their levels are made by whoever comes first."""

    async def fresh(number: int) -> list[Operation]:
        made = [await tenant.make("products", code=f"{code}{number}", name=code) for code in "ABC"]
        lines = [line(one, "1", unit_cost="2") for one in made]
        return [op("stock_adjustments.create", reason="found", lines=[found]) for found in lines]

    return [of(await fresh(number)) for number in range(rounds)]


async def reservations(tenant: Tenant, rounds: int) -> list[Round]:
    return again(rounds, *(op("reservations.create", **line(one)) for one in await goods(tenant)))


async def releases(tenant: Tenant, rounds: int) -> list[Round]:
    stock = await goods(tenant)

    async def held() -> list[Operation]:
        made = [await tenant.make("reservations", **line(one)) for one in stock]
        return [op("reservations.release", one) for one in made]

    return [of(await held()) for _ in range(rounds)]


async def direct_sales(tenant: Tenant, rounds: int) -> list[Round]:
    sold = await deals(tenant, credit_limit="1000000")
    return again(rounds, *(op("direct_sales.create", party_id=who, lines=[line(one)]) for who, one in sold))


async def direct_credits(tenant: Tenant, rounds: int) -> list[Round]:
    customer = await partner(tenant)
    stock = await goods(tenant)
    return again(
        rounds,
        *(op("direct_credits.create", party_id=customer, reason="broken", lines=[line(one)]) for one in stock),
    )


async def confirmed_orders(tenant: Tenant, rounds: int) -> list[Round]:
    sold = await deals(tenant, credit_limit="1000000")
    return again(
        rounds, *(op("sales_orders.create", party_id=who, confirm=True, lines=[line(one)]) for who, one in sold)
    )


async def _orders(tenant: Tenant) -> list[Any]:
    customer = await partner(tenant)
    return [
        await tenant.make("sales-orders", party_id=customer, lines=[line(one, "100")], confirm=True)
        for one in await goods(tenant)
    ]


async def deliveries(tenant: Tenant, rounds: int) -> list[Round]:
    parts = [{"line_no": 1, "quantity": "1"}]
    return again(rounds, *(op("sales_orders.deliver", order, lines=parts) for order in await _orders(tenant)))


async def returns(tenant: Tenant, rounds: int) -> list[Round]:
    gone = [await tenant.post(f"/v1/sales-orders/{order['id']}/deliveries", {}) for order in await _orders(tenant)]
    parts = [{"line_no": 1, "quantity": "1"}]
    return again(rounds, *(op("deliveries.return", one, reason="broken", lines=parts) for one in gone))


async def direct_receipts(tenant: Tenant, rounds: int) -> list[Round]:
    supplier = await partner(tenant)
    lines = [line(one, unit_price="2") for one in await goods(tenant)]
    return again(rounds, *(op("direct_receipts.create", party_id=supplier, lines=[one]) for one in lines))


async def _purchases(tenant: Tenant) -> list[Any]:
    return [
        await tenant.make("purchase-orders", party_id=who, lines=[line(one, "100", unit_price="2")], confirm=True)
        for who, one in await deals(tenant)
    ]


async def receipts(tenant: Tenant, rounds: int) -> list[Round]:
    parts = [{"line_no": 1, "quantity": "1"}]
    return again(rounds, *(op("purchase_orders.receive", one, lines=parts) for one in await _purchases(tenant)))


# -- accounts --------------------------------------------------------------------------------------


async def _received(tenant: Tenant) -> list[Any]:
    orders = await _purchases(tenant)
    for order in orders:
        await tenant.post(f"/v1/purchase-orders/{order['id']}/receipts", {})
    return orders


async def bills(tenant: Tenant, rounds: int) -> list[Round]:
    orders = await _received(tenant)
    parts = [{"line_no": 1, "quantity": "1"}]

    def billed() -> list[Operation]:
        return [op("purchase_orders.bill", order, supplier_number=uuid.uuid4().hex, lines=parts) for order in orders]

    return [billed] * rounds


async def entered_bills(tenant: Tenant, rounds: int) -> list[Round]:
    known = [{"party_id": order["party_id"], "order_id": order["id"]} for order in await _received(tenant)]
    parts = [{"line_no": 1, "quantity": "1"}]

    def billed() -> list[Operation]:
        return [op("supplier_bills.create", supplier_number=uuid.uuid4().hex, lines=parts, **one) for one in known]

    return [billed] * rounds


async def cancelled_bills(tenant: Tenant, rounds: int) -> list[Round]:
    made = await bills(tenant, rounds)

    async def entered(operations: Round) -> list[Operation]:
        reply = await run(tenant.client, operations())
        return [op("supplier_bills.cancel", one["data"], reason="wrong") for one in reply.json()["results"]]

    return [of(await entered(one)) for one in made]


def work(quantity: str) -> list[dict[str, str]]:
    return [{"description": "Work", "quantity": quantity, "unit_price": "10", "tax_rate": "0"}]


async def drafts(tenant: Tenant, customer: str) -> list[Any]:
    return [await tenant.make("invoices", party_id=customer, lines=work("100")) for _ in range(3)]


async def posted(tenant: Tenant, customer: str) -> list[Any]:
    return [await tenant.post(f"/v1/invoices/{draft['id']}/post") for draft in await drafts(tenant, customer)]


async def postings(tenant: Tenant, rounds: int) -> list[Round]:
    customer = await partner(tenant)

    async def made() -> list[Operation]:
        return [op("invoices.post", draft) for draft in await drafts(tenant, customer)]

    return [of(await made()) for _ in range(rounds)]


async def credit_notes(tenant: Tenant, rounds: int) -> list[Round]:
    parts = [{"line_no": 1, "quantity": "1"}]
    invoices = await posted(tenant, await partner(tenant))
    return again(rounds, *(op("invoices.credit", one, reason="rebate", lines=parts) for one in invoices))


async def applied_credits(tenant: Tenant, rounds: int) -> list[Round]:
    """One credit note settles three invoices, one after the other."""
    customer = await partner(tenant)
    invoices = await posted(tenant, customer)
    note = await tenant.make("invoices", party_id=customer, lines=work("90"), kind="credit_note", post=True)
    parts = [[{"invoice_id": one["id"], "amount": "1"}] for one in invoices]
    return again(rounds, *(op("invoices.allocate", note, allocations=part) for part in parts))


async def taken_back_credits(tenant: Tenant, rounds: int) -> list[Round]:
    made = await credit_notes(tenant, rounds)

    async def settled(operations: Round) -> list[Operation]:
        notes = [one["data"] for one in (await run(tenant.client, operations())).json()["results"]]
        views = [await tenant.get(f"/v1/invoices/{note['id']}/allocations") for note in notes]
        ids = [[row["id"] for row in view["allocations"]] for view in views]
        return [
            op("invoices.deallocate", note, reason="wrong", allocation_ids=own)
            for note, own in zip(notes, ids, strict=True)
        ]

    return [of(await settled(one)) for one in made]


async def payments(tenant: Tenant, rounds: int) -> list[Round]:
    customer = await partner(tenant)
    parts = [[{"invoice_id": one["id"], "amount": "1"}] for one in await posted(tenant, customer)]
    money = {"direction": "in", "party_id": customer, "amount": "1"}
    return again(rounds, *(op("payments.create", **money, allocations=part) for part in parts))


async def allocated_payments(tenant: Tenant, rounds: int) -> list[Round]:
    """Each payment settles another invoice."""
    customer = await partner(tenant)
    money = {"direction": "in", "party_id": customer, "amount": "500"}
    made = [(await tenant.make("payments", **money), one) for one in await posted(tenant, customer)]
    return again(
        rounds,
        *(
            op("payments.allocate", payment, allocations=[{"invoice_id": one["id"], "amount": "1"}])
            for payment, one in made
        ),
    )


async def reversed_payments(tenant: Tenant, rounds: int) -> list[Round]:
    customer = await partner(tenant)
    invoices = await posted(tenant, customer)

    async def made() -> list[Operation]:
        money = {"direction": "in", "party_id": customer, "amount": "1"}
        parts = [[{"invoice_id": one["id"], "amount": "1"}] for one in invoices]
        return [
            op("payments.reverse", await tenant.make("payments", **money, allocations=part), reason="bounced")
            for part in parts
        ]

    return [of(await made()) for _ in range(rounds)]


# -- of every kind ---------------------------------------------------------------------------------


async def numbers(tenant: Tenant, rounds: int) -> list[Round]:
    """Nothing in common but the series their numbers are of."""
    customer = await partner(tenant)
    [first, *_] = await posted(tenant, customer)
    entry = [{"account": "@expense", "debit": "1.00"}, {"account": "@bank", "credit": "1.00"}]
    return again(
        rounds,
        op("payments.create", direction="in", party_id=customer, amount="1"),
        op("invoices.create", party_id=customer, lines=work("1"), post=True),
        op("journal_entries.create", date=first["date"], lines=entry),
    )


async def closings(tenant: Tenant, rounds: int) -> list[Round]:
    """Periods are closed, alone behind their gate, in between of what passes it together with others."""
    [lamp, *_] = await goods(tenant)
    lost = op("stock_adjustments.create", reason="lost", lines=[line(lamp, "-1")])
    later = await tenant.make("periods", first_month="2031-01-01", months=2 * rounds)
    ends = [op("periods.close", period, state="soft_closed", reason="over") for period in later["data"]]
    return [of([lost, *pair, lost]) for pair in zip(ends[::2], ends[1::2], strict=True)]


async def everything(tenant: Tenant, rounds: int) -> list[Round]:
    """Documents, stock, costs, open items and numbers in one batch."""
    lamp, cup, rope = await goods(tenant)
    party = await partner(tenant, credit_limit="1000000")
    [invoice, other, _] = await posted(tenant, party)
    money = {"direction": "in", "party_id": party, "amount": "1"}
    return again(
        rounds,
        op("payments.create", **money, allocations=[{"invoice_id": invoice["id"], "amount": "1"}]),
        op("stock_adjustments.create", reason="lost", lines=[line(lamp, "-1")]),
        op("invoices.credit", other, reason="rebate", lines=[{"line_no": 1, "quantity": "1"}]),
        op("direct_sales.create", party_id=party, lines=[line(cup)]),
        op("direct_receipts.create", party_id=party, lines=[line(rope, unit_price="2")]),
        op("reservations.create", **line(lamp)),
        op("direct_sales.create", party_id=party, lines=[line(rope)]),
        op("payments.create", **money, allocations=[{"invoice_id": other["id"], "amount": "1"}]),
    )


#: Story -> how the second of two batches is refused that want what can be done once. Empty: both go through.
STORIES: dict[Story, str] = {
    adjustments: "", first_arrivals: "", reservations: "", releases: "reservation-closed", direct_sales: "",
    direct_credits: "", confirmed_orders: "", deliveries: "", returns: "", direct_receipts: "", receipts: "",
    bills: "", entered_bills: "", cancelled_bills: "invalid-state", postings: "invoice-posted", credit_notes: "",
    applied_credits: "", taken_back_credits: "allocation-already-reversed",
    payments: "", allocated_payments: "", reversed_payments: "payment-reversed", numbers: "",
    closings: "invalid-state", everything: "",
}  # fmt: skip
