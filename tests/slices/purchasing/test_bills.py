"""Supplier bills: matched to order and receipt, posted, cancelled."""

import asyncio
from datetime import date
from decimal import Decimal
from uuid import uuid4

import pytest

from db.errors import DomainError, Duplicate, UnknownReference
from erp.accounting.errors import ReversalTooEarly, RoundingTooLarge
from erp.kernel.errors import Invalid, InvalidState, NotFound
from erp.parties.schemas import CreatePartyInput
from erp.parties.service import create_party
from erp.purchasing.bill_schemas import (
    BillPurchaseOrderInput,
    CancelSupplierBillInput,
    PurchaseBillLineInput,
    SupplierBillLineInput,
)
from erp.purchasing.errors import BillSettled, MixedPrices, MoreThanReceived, NothingOpen, OtherSupplier
from erp.purchasing.repository import BILL, BILL_LINES
from erp.purchasing.schemas import (
    CreatePurchaseOrderInput,
    PurchaseOrderView,
    ReceivePurchaseOrderInput,
    StopPurchaseOrderInput,
)
from erp.purchasing.service import bill_order, cancel_bill, close_order, create_order, receive_order
from erp.purchasing.views import bill_view
from tenancy.database import TenantDatabase
from tests.slices.inventory.shop import MARCH, Shop
from tests.slices.purchasing.buying import billed, billed_together, events, line, ordered, received, state, wrong

INVENTORY, GRNI, INPUT_TAX, PAYABLES, VARIANCE, ROUNDING = "1200", "2050", "1300", "2000", "5200", "6900"
WRONG_BILL = CancelSupplierBillInput(reason="Wrong supplier", date=MARCH)


def part(line_no: int, quantity: str | None = None, **more: str) -> PurchaseBillLineInput:
    return PurchaseBillLineInput(line_no=line_no, quantity=quantity, **more)


async def moved(shop: Shop) -> dict[str, Decimal]:
    """The accounts that do not stand at zero."""
    return {code: amount for code, amount in (await shop.balances()).items() if amount}


async def came(shop: Shop, quantity: str = "10", unit_price: str = "4.20") -> PurchaseOrderView:
    order = await ordered(shop, line(shop.lamp, quantity, unit_price))
    await received(shop, order)
    return order


async def test_a_bill_as_ordered_clears_what_was_received(shop: Shop) -> None:
    order = await came(shop)
    bill = await billed(shop, order, number="INV-88213")
    assert (bill.net, bill.tax, bill.gross, bill.variance) == ("42.00", "8.40", "50.40", "0.00")
    assert (bill.number[:5], bill.due_date) == ("BILL-", date(2026, 4, 9))
    assert await moved(shop) == {
        INVENTORY: Decimal("42.00"), INPUT_TAX: Decimal("8.40"), PAYABLES: Decimal("-50.40")
    }  # fmt: skip
    assert await state(shop, order) == "billed"
    assert await events(shop, bill.id) == ["supplier_bill.posted"]
    assert (await events(shop, order.id))[-1] == "purchase_order.billed"
    assert await wrong(shop) == {}


async def test_what_is_read_back_is_what_was_answered(shop: Shop) -> None:
    bill = await billed(shop, await came(shop), external_id="bill:1")
    [row] = await shop.rows(BILL(bill_id=bill.id))
    assert bill_view(row, await shop.rows(BILL_LINES(bill_id=bill.id))) == bill


async def test_a_bill_opens_a_payable(shop: Shop) -> None:
    bill = await billed(shop, await came(shop))
    [item] = await shop.column(
        "SELECT (side, direction, document_number, amount, open_amount)::text FROM open_items"
        " WHERE tenant_id = %(tenant_id)s AND document_id = %(id)s", id=bill.id,
    )  # fmt: skip
    assert item == f"(payable,credit,{bill.number},50.40,50.40)"


async def test_another_price_than_ordered_is_a_variance(shop: Shop) -> None:
    dearer = await billed(shop, await came(shop), part(1, unit_price="4.50"), number="S-1")
    assert (dearer.net, dearer.receipt_value, dearer.variance) == ("45.00", "42.00", "3.00")
    cheaper = await billed(shop, await came(shop), part(1, discount_percent="10"), number="S-2")
    assert cheaper.variance == "-4.20"
    balances = await shop.balances()
    assert (balances[VARIANCE], balances[INVENTORY]) == (Decimal("-1.20"), Decimal("84.00"))
    assert await wrong(shop) == {}


async def test_goods_are_billed_in_parts_that_add_up(shop: Shop) -> None:
    order = await ordered(shop, line(shop.lamp, "3", "3.3333"))
    await received(shop, order)
    first = await billed(shop, order, part(1, "1"), number="S-1")
    assert await state(shop, order) == "received"
    second = await billed(shop, order, part(1, "1"), number="S-2")
    third = await billed(shop, order, number="S-3")
    assert [bill.receipt_value for bill in (first, second, third)] == ["3.33", "3.34", "3.33"]
    assert await state(shop, order) == "billed"
    assert (await shop.balances()).get(GRNI, Decimal(0)) == 0
    assert await wrong(shop) == {}


async def test_only_what_came_is_billed(shop: Shop) -> None:
    order = await ordered(shop, line(shop.lamp, "10"), line(shop.cup, "10", "1"))
    with pytest.raises(InvalidState):
        await billed(shop, order)
    await received(shop, order, (1, "4"))
    with pytest.raises(MoreThanReceived) as refusal:
        await billed(shop, order, part(1, "5"))
    assert (refusal.value.pointer, refusal.value.facts["open"]) == ("/lines/0/quantity", "4")
    with pytest.raises(MoreThanReceived):
        await billed(shop, order, part(1, "3"), part(1, "2"))
    with pytest.raises(NothingOpen):
        await billed(shop, order, part(2))
    bill = await billed(shop, order)
    assert [(one.order_line_id, one.quantity) for one in bill.lines] == [(order.lines[0].id, "4")]
    assert await state(shop, order) == "partially_received"
    with pytest.raises(NothingOpen):
        await billed(shop, order, number="S-2")
    assert await wrong(shop) == {}


async def test_a_part_can_be_billed_before_the_rest_comes(shop: Shop) -> None:
    order = await ordered(shop, line(shop.lamp, "3", "3.3333"))
    await received(shop, order, (1, "2"))
    await billed(shop, order, number="S-1")
    await received(shop, order)
    await billed(shop, order, number="S-2")
    assert await state(shop, order) == "billed"
    assert await wrong(shop) == {}


async def test_an_order_closed_short_ends_with_its_bill(shop: Shop) -> None:
    order = await ordered(shop, line(shop.lamp, "10"))
    await received(shop, order, (1, "4"))
    await shop.run(close_order, order.id, StopPurchaseOrderInput(reason="Rest is sold out"))
    await billed(shop, order)
    assert await state(shop, order) == "billed"
    assert await wrong(shop) == {}


async def test_a_suppliers_number_comes_once(shop: Shop) -> None:
    order = await came(shop)
    await billed(shop, order, part(1, "1"), number="S-1")
    with pytest.raises(Duplicate) as refusal:
        await billed(shop, order, part(1, "1"), number="S-1")
    assert refusal.value.pointer == "/supplier_number"
    assert await wrong(shop) == {}


async def test_one_bill_for_several_orders(shop: Shop) -> None:
    one, other = await came(shop), await came(shop, "2", "10.00")
    bill = await billed_together(
        shop, SupplierBillLineInput(order_id=one.id, line_no=1), SupplierBillLineInput(order_id=other.id, line_no=1)
    )
    assert (bill.net, bill.line_count) == ("62.00", 2)
    assert [await state(shop, order) for order in (one, other)] == ["billed", "billed"]
    assert await wrong(shop) == {}


async def test_orders_of_two_suppliers_are_two_bills(shop: Shop) -> None:
    other = await shop.run(create_party, CreatePartyInput(code="S2", name="Another supplier", is_supplier=True))
    order = await shop.run(
        create_order,
        CreatePurchaseOrderInput(party_id=other.id, lines=[line(shop.lamp)], date=MARCH, confirm=True),
    )
    await shop.run(receive_order, order.id, ReceivePurchaseOrderInput(date=MARCH))
    with pytest.raises(OtherSupplier):
        await billed_together(shop, order_id=order.id)


async def test_the_bill_must_say_which_order(shop: Shop) -> None:
    with pytest.raises(Invalid):
        await billed_together(shop, SupplierBillLineInput(line_no=1))
    with pytest.raises(UnknownReference):
        await billed_together(shop, order_id=uuid4())
    with pytest.raises(NotFound):
        await shop.run(bill_order, uuid4(), BillPurchaseOrderInput(supplier_number="S-1"))


async def test_prices_with_and_without_tax_do_not_mix(shop: Shop) -> None:
    net = await came(shop)
    gross = await ordered(shop, line(shop.cup, "1", "1.20"), prices_include_tax=True)
    await received(shop, gross)
    lines = [SupplierBillLineInput(order_id=order.id, line_no=1) for order in (net, gross)]
    with pytest.raises(MixedPrices):
        await billed_together(shop, *lines)
    bill = await billed_together(shop, *lines, prices_include_tax=False)
    assert bill.net == "43.20"
    assert await wrong(shop) == {}


async def test_a_suppliers_own_rounding_goes_to_the_rounding_account(shop: Shop) -> None:
    order = await came(shop, "1", "9.99")  # 9.99 + 2.00
    with pytest.raises(RoundingTooLarge):
        await billed(shop, order, gross="12.10")
    bill = await billed(shop, await came(shop, "3", "0.33"), part(1, "1"), part(1, "2"), gross="1.20")
    assert (bill.net, bill.tax, bill.rounding, bill.gross) == ("0.99", "0.20", "0.01", "1.20")
    assert (await shop.balances())[ROUNDING] == Decimal("0.01")
    assert await wrong(shop) == {}


async def test_a_rate_on_the_bill_overrides_the_products(shop: Shop) -> None:
    bill = await billed(shop, await came(shop), part(1, tax_rate="0"))
    assert (bill.tax, bill.gross) == ("0.00", "42.00")
    assert await wrong(shop) == {}


async def test_goods_billed_at_nothing_are_a_variance_without_a_payable(shop: Shop) -> None:
    bill = await billed(shop, await came(shop), part(1, unit_price="0"))
    assert (bill.gross, bill.variance) == ("0.00", "-42.00")
    assert bill.entry_id is not None
    assert await shop.count("open_items") == 0
    assert await wrong(shop) == {}


async def test_free_goods_billed_at_nothing_make_no_entry(shop: Shop) -> None:
    bill = await billed(shop, await came(shop, unit_price="0"))
    assert bill.entry_id is None
    cancelled = await shop.run(cancel_bill, bill.id, WRONG_BILL)
    assert (cancelled.state, cancelled.cancel_entry_id) == ("cancelled", None)
    assert await wrong(shop) == {}


async def test_due_before_its_date_is_refused(shop: Shop) -> None:
    with pytest.raises(Invalid):
        await billed(shop, await came(shop), due_date=date(2026, 3, 9))


async def test_a_cancelled_bill_leaves_nothing_but_its_trace(shop: Shop) -> None:
    order = await came(shop)
    bill = await billed(shop, order, part(1, unit_price="4.50"))
    cancelled = await shop.run(cancel_bill, bill.id, WRONG_BILL)
    assert (cancelled.state, cancelled.version, cancelled.cancel_reason) == ("cancelled", 2, "Wrong supplier")
    assert await moved(shop) == {INVENTORY: Decimal("42.00"), GRNI: Decimal("-42.00")}
    assert await shop.column("SELECT open_amount FROM open_items WHERE tenant_id = %(tenant_id)s") == [0, 0]
    assert await state(shop, order) == "received"
    assert await events(shop, bill.id) == ["supplier_bill.posted", "supplier_bill.cancelled"]
    assert await wrong(shop) == {}
    with pytest.raises(InvalidState):
        await shop.run(cancel_bill, bill.id, WRONG_BILL)
    again = await billed(shop, order, number=bill.supplier_number)
    assert again.gross == "50.40"
    assert await wrong(shop) == {}


async def test_a_bill_is_not_cancelled_before_it_was_posted(shop: Shop) -> None:
    bill = await billed(shop, await came(shop))
    with pytest.raises(ReversalTooEarly):
        await shop.run(cancel_bill, bill.id, CancelSupplierBillInput(reason="Too early", date=date(2026, 2, 1)))
    with pytest.raises(NotFound):
        await shop.run(cancel_bill, uuid4(), WRONG_BILL)


async def test_a_bill_paid_in_part_is_not_cancelled(shop: Shop) -> None:
    bill = await billed(shop, await came(shop))
    shop.tamper("UPDATE open_items SET open_amount = 10 WHERE document_id = %s", bill.id)
    with pytest.raises(BillSettled) as refusal:
        await shop.run(cancel_bill, bill.id, WRONG_BILL)
    assert refusal.value.facts["open_amount"] == "10.00"


async def test_billing_takes_four_round_trips_whatever_the_lines(shop: Shop) -> None:
    for number, lines in (("S-1", 1), ("S-2", 100)):
        order = await ordered(shop, *[line(shop.lamp), line(shop.cup)] * lines)
        await received(shop, order)
        data = BillPurchaseOrderInput(supplier_number=number, date=MARCH)
        bill, trips = await shop.counted(bill_order, order.id, data)
        assert trips.postgres <= 4
        assert bill.line_count == 2 * lines
        _, trips = await shop.counted(cancel_bill, bill.id, WRONG_BILL)
        assert trips.postgres <= 4
    assert await wrong(shop) == {}


async def test_ten_bills_at_once_never_exceed_the_receipt(shop: Shop, unguarded_database: TenantDatabase) -> None:
    order = await came(shop, "5")

    async def one(number: int) -> bool:
        data = BillPurchaseOrderInput(supplier_number=f"S-{number}", lines=[part(1, "1")], date=MARCH)
        try:
            await unguarded_database.run(shop.caller, lambda work: bill_order(work, order.id, data))
        except DomainError:
            return False
        return True

    outcomes = await asyncio.gather(*(one(number) for number in range(10)))
    assert sum(outcomes) == 5
    assert await state(shop, order) == "billed"
    assert await wrong(shop) == {}
