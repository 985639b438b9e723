"""Direct sales and credits: all documents of a trade in one transaction."""

from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from db.errors import Duplicate
from erp.accounting.errors import PeriodClosed
from erp.accounting.schemas import ClosePeriodInput
from erp.accounting.service import close_period
from erp.inventory.errors import CostUnknown, InsufficientStock
from erp.kernel.errors import Invalid
from erp.sales.documents import DirectCreditView, DirectSaleView
from erp.sales.queries import DIRECT_CREDIT, DIRECT_SALE
from erp.sales.schemas import DirectCreditInput, DirectCreditLineInput, DirectSaleInput, OrderLineInput
from erp.sales.service import create_direct_credit, create_direct_sale
from tenancy.errors import Forbidden
from tests.slices.inventory.shop import MARCH, Shop
from tests.slices.sales.selling import confirmed, line, step, take_back

JANUARY = date(2026, 1, 15)


async def sell(shop: Shop, *lines: OrderLineInput, on: date = MARCH, **more: Any) -> DirectSaleView:
    return await shop.run(create_direct_sale, sale(shop, *lines, on=on, **more))


def sale(shop: Shop, *lines: OrderLineInput, on: date = MARCH, **more: Any) -> DirectSaleInput:
    return DirectSaleInput(party_id=shop.customer, lines=list(lines), date=on, **more)


async def credit(shop: Shop, *lines: DirectCreditLineInput, on: date = MARCH, **more: Any) -> DirectCreditView:
    data = DirectCreditInput(party_id=shop.customer, lines=list(lines), reason="Complaint", date=on, **more)
    return await shop.run(create_direct_credit, data)


def back(product: Any, quantity: str = "1", **more: Any) -> DirectCreditLineInput:
    return DirectCreditLineInput(product_id=product, quantity=quantity, **more)


class TestSale:
    async def test_order_delivery_and_posted_invoice_in_one(self, shop: Shop) -> None:
        await shop.receive(shop.lamp, "10", "4.00", on=JANUARY)
        sold = await sell(shop, line(shop.lamp, "2"), line(shop.carriage), line(shop.lamp, "1"), external_id="536365")
        assert (sold.net, sold.gross, sold.cost, sold.line_count) == ("35.00", "42.00", "12.00", 3)
        assert sold.delivery_number is not None
        assert (sold.order_number[:3], sold.delivery_number[:3], sold.invoice_number[:4]) == ("SO-", "DN-", "INV-")
        assert await shop.level(shop.lamp) == ("7", "0")
        [row] = await shop.rows(DIRECT_SALE(order_id=sold.id))
        assert (row.invoice_number, row.delivery_id, row.cost) == (sold.invoice_number, sold.delivery_id, 12)
        states = await shop.column("SELECT state FROM sales_orders WHERE tenant_id = %(tenant_id)s")
        assert states == ["delivered"]
        assert await shop.wrong() == {}

    async def test_services_alone_need_no_delivery(self, shop: Shop) -> None:
        sold = await sell(shop, line(shop.carriage))
        assert (sold.delivery_id, sold.cost) == (None, "0.00")
        assert await shop.count("deliveries") == 0
        [row] = await shop.rows(DIRECT_SALE(order_id=sold.id))
        assert row.delivery_number is None

    async def test_goods_given_away_cost_but_earn_nothing(self, shop: Shop) -> None:
        await shop.receive(shop.lamp, "10", "4.00", on=JANUARY)
        given = await sell(shop, line(shop.lamp, "2", unit_price="0"))
        assert (given.gross, given.cost) == ("0.00", "8.00")
        assert await shop.wrong() == {}

    async def test_it_takes_nothing_that_is_reserved_or_came_later(self, shop: Shop) -> None:
        await shop.receive(shop.lamp, "10", on=MARCH)
        with pytest.raises(InsufficientStock) as refusal:
            await sell(shop, line(shop.lamp, "1"), on=JANUARY)
        assert refusal.value.pointer == "/lines/0/quantity"
        await confirmed(shop, line(shop.lamp, "9"))
        with pytest.raises(InsufficientStock):
            await sell(shop, line(shop.lamp, "1"), line(shop.lamp, "1"))
        await sell(shop, line(shop.lamp, "1"))
        assert await shop.wrong() == {}

    async def test_a_second_one_of_the_same_external_id_leaves_nothing(self, shop: Shop) -> None:
        await shop.receive(shop.lamp, "10", on=JANUARY)
        await sell(shop, line(shop.lamp), external_id="536365")
        with pytest.raises(Duplicate):
            await sell(shop, line(shop.lamp), external_id="536365")
        assert await shop.level(shop.lamp) == ("9", "0")
        assert await shop.wrong() == {}

    async def test_a_closed_period_moves_the_posting_or_refuses(self, shop: Shop) -> None:
        await shop.receive(shop.lamp, "10", on=JANUARY)
        period = await shop.period(JANUARY)
        await shop.run(close_period, period.id, ClosePeriodInput(state="closed", reason="Closed"))
        with pytest.raises(PeriodClosed):
            await sell(shop, line(shop.lamp), on=JANUARY, strict_date=True)
        late = await sell(shop, line(shop.lamp), on=JANUARY)
        assert (late.date, late.accounting_date, late.date_shifted) == (JANUARY, date(2026, 2, 1), True)
        assert await shop.wrong() == {}

    async def test_it_needs_the_permissions_of_all_it_does(self, shop: Shop) -> None:
        await shop.receive(shop.lamp, "10")
        clerk = replace(shop, caller=replace(shop.caller, scopes=frozenset({"sales_orders:write", "invoices:write"})))
        with pytest.raises(Forbidden):
            await sell(clerk, line(shop.lamp))

    async def test_its_goods_can_be_returned_like_any(self, shop: Shop) -> None:
        await shop.receive(shop.lamp, "10", "4.00", on=JANUARY)
        sold = await sell(shop, line(shop.lamp, "2"))
        assert sold.delivery_id is not None
        assert (await take_back(shop, sold.delivery_id, step(1, "1"))).cost == "4.00"
        assert await shop.wrong() == {}

    async def test_a_thousand_lines_take_as_many_statements_as_one(self, shop: Shop) -> None:
        await shop.receive(shop.lamp, "5000", on=JANUARY)
        await shop.receive(shop.cup, "5000", on=JANUARY)
        await sell(shop, line(shop.lamp))
        _, one = await shop.counted(create_direct_sale, sale(shop, line(shop.lamp)))
        lines = [line(product) for product in (shop.lamp, shop.cup)] * 557
        sold, many = await shop.counted(create_direct_sale, sale(shop, *lines))
        assert sold.line_count == 1114
        assert (one.postgres, many.postgres) == (4, 4)
        assert len(many.statements) == len(one.statements)
        assert await shop.wrong() == {}


class TestCredit:
    async def test_goods_come_back_at_the_current_average(self, shop: Shop) -> None:
        await shop.receive(shop.lamp, "10", "4.00", on=JANUARY)
        await shop.receive(shop.lamp, "10", "6.00", on=JANUARY)
        given = await credit(shop, back(shop.lamp, "2"), back(shop.carriage), external_id="C536379")
        assert (given.gross, given.cost, given.credit_note_number[:3]) == ("30.00", "10.00", "CN-")
        assert given.return_number is not None
        assert await shop.level(shop.lamp) == ("22", "0")
        [row] = await shop.rows(DIRECT_CREDIT(credit_note_id=given.id))
        assert (row.return_id, row.cost) == (given.return_id, 10)
        assert await shop.wrong() == {}

    async def test_goods_may_stay_with_the_customer(self, shop: Shop) -> None:
        given = await credit(shop, back(shop.lamp, "2", restock=False))
        assert (given.return_id, given.cost) == (None, "0.00")
        [row] = await shop.rows(DIRECT_CREDIT(credit_note_id=given.id))
        assert (row.return_id, row.cost) == (None, 0)
        assert await shop.count("stock_moves") == 0

    async def test_a_product_never_in_stock_needs_a_cost(self, shop: Shop) -> None:
        with pytest.raises(CostUnknown) as refused:
            await credit(shop, back(shop.lamp, "1", restock=False), back(shop.lamp, "2"))
        assert refused.value.pointer == "/lines/1/unit_cost"
        given = await credit(shop, back(shop.lamp, "2", unit_cost="3.5"))
        assert given.cost == "7.00"
        assert await shop.wrong() == {}

    async def test_goods_that_stay_have_no_cost(self, shop: Shop) -> None:
        with pytest.raises(Invalid) as refused:
            await credit(
                shop, back(shop.lamp, "1", unit_cost="2"), back(shop.lamp, "2", restock=False, unit_cost="3")
            )
        assert refused.value.pointer == "/lines/1/unit_cost"

    async def test_sold_out_goods_come_back_at_the_last_average(self, shop: Shop) -> None:
        await shop.receive(shop.lamp, "2", "4.00", on=JANUARY)
        await sell(shop, line(shop.lamp, "2"))
        assert (await credit(shop, back(shop.lamp, "1"))).cost == "4.00"
        balances = await shop.balances()
        assert Decimal("4.00") in balances.values()
        assert await shop.wrong() == {}

    async def test_it_takes_four_round_trips(self, shop: Shop) -> None:
        await shop.receive(shop.lamp, "2", "4.00", on=JANUARY)
        data = DirectCreditInput(party_id=shop.customer, lines=[back(shop.lamp)] * 50, reason="Recall", date=MARCH)
        _, counted = await shop.counted(create_direct_credit, data)
        assert counted.postgres == 4
