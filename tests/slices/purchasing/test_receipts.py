"""Goods receipts: stock, values and the ledger move together, in parts or at once."""

import asyncio
from datetime import date
from decimal import Decimal
from uuid import uuid4

import pytest

from db.errors import DomainError, Duplicate
from erp.accounting.errors import PeriodClosed
from erp.accounting.schemas import ClosePeriodInput
from erp.accounting.service import close_period
from erp.inventory.errors import DateInFuture
from erp.kernel.errors import InvalidState, NotFound, UnknownReference
from erp.kernel.quantity import NotRepresentable
from erp.purchasing.errors import MoreThanOrdered, NothingOpen
from erp.purchasing.queries import RECEIPT, RECEIPT_LINES
from erp.purchasing.receiving import plan_arrivals
from erp.purchasing.repository import ORDERS
from erp.purchasing.schemas import DirectReceiptInput, GoodsReceiptLineInput, ReceivePurchaseOrderInput
from erp.purchasing.service import receive_directly, receive_order
from erp.purchasing.views import direct_view, receipt_view
from tenancy.database import TenantDatabase
from tests.slices.inventory.shop import MARCH, Shop
from tests.slices.purchasing.buying import events, incoming, line, ordered, received, state, wrong

INVENTORY, GRNI, EXPENSE = "1200", "2050", "6000"


async def test_a_receipt_moves_stock_and_ledger_together(shop: Shop) -> None:
    order = await ordered(shop, line(shop.lamp, "10", "4.20"))
    receipt = await received(shop, order)
    assert (receipt.value, receipt.number[:4], receipt.date_shifted) == ("42.00", "GRN-", False)
    assert await shop.level(shop.lamp) == ("10", "0")
    assert await shop.balances() == {INVENTORY: Decimal("42.00"), GRNI: Decimal("-42.00")}
    assert await state(shop, order) == "received"
    assert await incoming(shop) == {}
    assert await events(shop, order.id) == ["purchase_order.created", "purchase_order.received"]
    assert await events(shop, receipt.id) == ["goods_receipt.posted"]
    assert await wrong(shop) == {}


async def test_what_is_read_back_is_what_was_answered(shop: Shop) -> None:
    order = await ordered(shop, line(shop.lamp, "2", "48", unit_code="box"), line(shop.rope, "1.5", "2"))
    receipt = await received(shop, order, reference="DN 77", external_id="gr:1")
    [row] = await shop.rows(RECEIPT(receipt_id=receipt.id))
    lines = await shop.rows(RECEIPT_LINES(receipt_id=receipt.id))
    assert receipt_view(row, lines) == receipt
    assert [(one.quantity, one.unit_code, one.base_quantity, one.value) for one in receipt.lines] == [
        ("2", "box", "24", "96.00"),
        ("1.5", "m", "1.5", "3.00"),
    ]


async def test_goods_come_in_parts(shop: Shop) -> None:
    order = await ordered(shop, line(shop.lamp, "10"), line(shop.cup, "5", "1.00"))
    await received(shop, order, (1, "4"))
    assert await state(shop, order) == "partially_received"
    assert await incoming(shop) == {shop.lamp: "6", shop.cup: "5"}
    await received(shop, order, (1, None), (2, "2"))
    assert await state(shop, order) == "partially_received"
    await received(shop, order)
    assert await state(shop, order) == "received"
    assert (await shop.level(shop.lamp), await shop.level(shop.cup)) == (("10", "0"), ("5", "0"))
    with pytest.raises(InvalidState):
        await received(shop, order)
    assert await wrong(shop) == {}


async def test_the_parts_of_a_line_add_up_to_its_net_amount(shop: Shop) -> None:
    order = await ordered(shop, line(shop.lamp, "3", "3.3333"))  # 10.00 net
    values = [(await received(shop, order, (1, "1"))).value for _ in range(3)]
    assert values == ["3.33", "3.34", "3.33"]
    assert (await shop.balances())[INVENTORY] == Decimal("10.00")
    assert await wrong(shop) == {}


async def test_prices_with_tax_enter_stock_without_it(shop: Shop) -> None:
    order = await ordered(shop, line(shop.lamp, "10", "6.00"), prices_include_tax=True)
    assert (order.net, order.gross) == ("50.00", "60.00")
    assert (await received(shop, order)).value == "50.00"


async def test_a_service_is_an_expense_when_it_comes(shop: Shop) -> None:
    order = await ordered(shop, line(shop.carriage, "2", "15.00"), line(shop.lamp, "1", "4.00"))
    receipt = await received(shop, order)
    assert receipt.value == "34.00"
    assert await shop.balances() == {
        EXPENSE: Decimal("30.00"), INVENTORY: Decimal("4.00"), GRNI: Decimal("-34.00")
    }  # fmt: skip
    assert await wrong(shop) == {}


async def test_goods_for_nothing_make_no_entry(shop: Shop) -> None:
    order = await ordered(shop, line(shop.lamp, "10", "0"))
    receipt = await received(shop, order)
    assert (receipt.value, receipt.entry_id) == ("0.00", None)
    assert await shop.level(shop.lamp) == ("10", "0")
    assert await wrong(shop) == {}


async def test_free_goods_beside_a_paid_service_share_its_receipt(shop: Shop) -> None:
    order = await ordered(shop, line(shop.lamp, "10", "0"), line(shop.carriage, "1", "15.00"))
    receipt = await received(shop, order)
    assert receipt.entry_id is not None
    assert await wrong(shop) == {}


async def test_more_than_was_ordered_does_not_come(shop: Shop) -> None:
    order = await ordered(shop, line(shop.lamp, "10"))
    with pytest.raises(MoreThanOrdered) as refusal:
        await received(shop, order, (1, "7"), (1, "4"))
    assert (refusal.value.pointer, refusal.value.facts["open"]) == ("/lines/1/quantity", "10")
    with pytest.raises(UnknownReference):
        await received(shop, order, (2, "1"))
    with pytest.raises(NotFound):
        await shop.run(receive_order, uuid4(), ReceivePurchaseOrderInput())
    assert await shop.level(shop.lamp) == ("0", "0")


async def test_half_a_piece_does_not_come(shop: Shop) -> None:
    order = await ordered(shop, line(shop.lamp, "10"), line(shop.lamp, "2", unit_code="box"), line(shop.rope, "2"))
    for quantity, line_no in (("0.5", 1), ("9.5", 1), ("0.05", 2), ("0.0000001", 2), ("0.333333", 2)):
        with pytest.raises(NotRepresentable) as refusal:
            await received(shop, order, (3, "1"), (line_no, quantity))
        assert refusal.value.pointer == "/lines/1/quantity"
    with pytest.raises(NotRepresentable):
        await received(shop, order, (1, "0.5"), (1, "0.5"))
    receipt = await received(shop, order, (2, "0.25"), (3, "0.5"))
    assert [one.base_quantity for one in receipt.lines] == ["3", "0.5"], "a quarter of a box is three pieces"
    assert await shop.level(shop.lamp) == ("3", "0")
    await received(shop, order)
    assert await state(shop, order) == "received"
    assert await wrong(shop) == {}


async def test_a_draft_receives_nothing(shop: Shop) -> None:
    order = await ordered(shop, line(shop.lamp), confirm=False)
    with pytest.raises(InvalidState):
        await received(shop, order)


async def test_goods_come_today_or_came_earlier(shop: Shop) -> None:
    order = await ordered(shop, line(shop.lamp))
    with pytest.raises(DateInFuture):
        await received(shop, order, on=date(2099, 1, 1))


async def test_a_closed_period_moves_the_entry_or_refuses(shop: Shop) -> None:
    order = await ordered(shop, line(shop.lamp, "2"), on=date(2026, 1, 10))
    period = await shop.period(date(2026, 1, 10))
    await shop.run(close_period, period.id, ClosePeriodInput(reason="January is done"))
    with pytest.raises(PeriodClosed):
        await received(shop, order, (1, "1"), on=date(2026, 1, 10), strict_date=True)
    receipt = await received(shop, order, (1, "1"), on=date(2026, 1, 10))
    assert (receipt.date, receipt.accounting_date) == (date(2026, 1, 10), date(2026, 2, 1))
    assert receipt.date_shifted
    assert await wrong(shop) == {}


async def test_an_external_id_comes_once(shop: Shop) -> None:
    order = await ordered(shop, line(shop.lamp, "2"))
    await received(shop, order, (1, "1"), external_id="gr:1")
    with pytest.raises(Duplicate):
        await received(shop, order, (1, "1"), external_id="gr:1")
    assert await shop.level(shop.lamp) == ("1", "0")
    assert await wrong(shop) == {}


async def test_receiving_takes_four_round_trips_whatever_the_lines(shop: Shop) -> None:
    for lines in (1, 100):
        order = await ordered(shop, *[line(shop.lamp), line(shop.cup)] * lines)
        receipt, trips = await shop.counted(receive_order, order.id, ReceivePurchaseOrderInput(date=MARCH))
        assert trips.postgres <= 4
        assert receipt.line_count == 2 * lines
    assert await wrong(shop) == {}


async def test_ten_receipts_at_once_never_exceed_the_order(shop: Shop, unguarded_database: TenantDatabase) -> None:
    order = await ordered(shop, line(shop.lamp, "5"))
    data = ReceivePurchaseOrderInput(lines=[GoodsReceiptLineInput(line_no=1, quantity="1")], date=MARCH)

    async def one() -> bool:
        try:
            await unguarded_database.run(shop.caller, lambda work: receive_order(work, order.id, data))
        except DomainError:
            return False
        return True

    outcomes = await asyncio.gather(*(one() for _ in range(10)))
    assert sum(outcomes) == 5
    assert await shop.level(shop.lamp) == ("5", "0")
    assert await state(shop, order) == "received"
    assert await wrong(shop) == {}


def direct(shop: Shop, *lines: object, **more: object) -> DirectReceiptInput:
    return DirectReceiptInput(party_id=shop.supplier, lines=list(lines), date=MARCH, **more)  # type: ignore[arg-type]


async def test_a_direct_receipt_is_an_order_that_came(shop: Shop) -> None:
    found = await shop.run(
        receive_directly, direct(shop, line(shop.lamp, "10", "4.20"), line(shop.lamp, "1", "4.80"), external_id="o:1")
    )
    [receipt] = await shop.rows(RECEIPT(receipt_id=found.id))
    [order] = await shop.rows(ORDERS(order_ids=[found.order.id]))
    assert direct_view(order, receipt) == found
    assert found.location == f"/v1/goods-receipts/{found.id}"
    assert (found.order.state, found.order.line_count, found.order.net) == ("received", 2, "46.80")
    assert (found.receipt.order_id, found.receipt.value) == (found.order.id, "46.80")
    assert await shop.level(shop.lamp) == ("11", "0")
    assert await incoming(shop) == {}
    assert await shop.balances() == {INVENTORY: Decimal("46.80"), GRNI: Decimal("-46.80")}
    assert await wrong(shop) == {}
    with pytest.raises(Duplicate):
        await shop.run(receive_directly, direct(shop, line(shop.lamp), external_id="o:1"))


async def test_a_direct_receipt_of_thousands_of_lines_takes_four_round_trips(shop: Shop) -> None:
    await shop.run(receive_directly, direct(shop, line(shop.lamp)))  # fetches the block of references
    lines = [line(product, "3", "1.111") for product in (shop.lamp, shop.cup, shop.rope)] * 1000
    found, trips = await shop.counted(receive_directly, direct(shop, *lines))
    assert trips.postgres <= 4
    assert (found.receipt.line_count, found.receipt.value) == (3000, "9990.00")
    assert await shop.level(shop.cup) == ("3000", "0")
    assert await wrong(shop) == {}


async def test_nothing_open_is_said_so(shop: Shop) -> None:
    order = await ordered(shop, line(shop.lamp, "2"))
    await received(shop, order)
    with pytest.raises(NothingOpen):
        plan_arrivals(None, [], [], "GBP")
