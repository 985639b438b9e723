"""Price lists: which prices they take, and which one a line of a document gets."""

from datetime import date
from decimal import Decimal
from operator import itemgetter
from typing import Any
from uuid import UUID, uuid4

import pytest

from db.errors import Duplicate, UnknownReference
from db.statement import Bound, Statement
from erp.catalog.schemas import UpdateProductInput
from erp.catalog.service import update_product
from erp.invoicing.schemas import CreateInvoiceInput, InvoiceLineInput, UpdateInvoiceInput
from erp.invoicing.service import create_invoice, update_draft
from erp.kernel.errors import Invalid, NotFound
from erp.kernel.quantity import NotRepresentable, Ratio
from erp.parties.errors import PriceListInactive
from erp.pricing import listed
from erp.pricing.errors import CurrencyNotKept, PricesOverlap
from erp.pricing.listed import ListedPrice, listed_prices, price_from, price_in_unit
from erp.pricing.price_list_schemas import (
    CreatePriceListInput,
    RemovePriceListItemsInput,
    SetPriceListItemsInput,
    UpdatePriceListInput,
)
from erp.pricing.price_lists import (
    create_price_list,
    price_list_view,
    remove_items,
    set_items,
    update_price_list,
)
from erp.pricing.queries import PRICE_LIST
from erp.sales.errors import PriceUnknown
from erp.sales.schemas import DirectCreditInput, DirectCreditLineInput, DirectSaleInput, UpdateOrderInput
from erp.sales.service import confirm_order, create_direct_credit, create_direct_sale, create_order, update_order
from tenancy.errors import VersionConflict
from tenancy.work import UnitOfWork
from tests.slices.inventory.shop import MARCH, Shop
from tests.slices.pricing.listing import give, price_list, priced, put
from tests.slices.sales.selling import line, order, order_input

A, B = UUID(int=1), UUID(int=2)


def offered(min_quantity: str, unit_price: str) -> ListedPrice:
    return ListedPrice(A, Decimal(min_quantity), Decimal(unit_price), date(2026, 1, 1), None, B, "TRADE")


class TestChoosing:
    @pytest.mark.parametrize(
        ("quantity", "price"),
        [("0.5", None), ("0.999999", None), ("1", "9"), ("9.99", "9"), ("10", "8"), ("99", "8"), ("100", "7.5")],
    )
    def test_the_greatest_quantity_that_is_reached_counts(self, quantity: str, price: str | None) -> None:
        for prices in (
            [offered("10", "8"), offered("1", "9"), offered("100", "7.5")],
            [offered("1", "9"), offered("100", "7.5"), offered("10", "8")],
        ):
            found = price_from(prices, Decimal(quantity))
            assert (found and found.unit_price) == (price and Decimal(price))

    def test_a_greater_quantity_may_cost_more(self) -> None:
        found = price_from([offered("1", "1"), offered("5", "2")], Decimal(5))
        assert found is not None
        assert found.unit_price == 2

    def test_a_list_without_the_product_has_no_price(self) -> None:
        assert price_from([], Decimal(5)) is None

    def test_the_price_of_another_unit_is_rounded_half_up_to_six_decimals(self) -> None:
        assert price_in_unit(Decimal("2.5"), Ratio(12)) == 30
        assert price_in_unit(Decimal("0.000001"), Ratio(1, 2)) == Decimal("0.000001")
        assert price_in_unit(Decimal(1), Ratio(1, 3)) == Decimal("0.333333")


class TestRecords:
    async def test_what_is_read_is_what_was_created(self, shop: Shop) -> None:
        made = await shop.run(
            create_price_list, CreatePriceListInput(code="TRADE", name="Trade", currency="GBP", external_id="x:1")
        )
        [row] = await shop.rows(PRICE_LIST(price_list_id=made.id))
        assert price_list_view(row) == made
        assert (made.version, made.currency, made.active) == (1, "GBP", True)
        for code, external in (("TRADE", None), ("OTHER", "x:1")):
            with pytest.raises(Duplicate):
                await shop.run(create_price_list, CreatePriceListInput(code=code, name="N", external_id=external))

    async def test_documents_have_one_currency(self, shop: Shop) -> None:
        with pytest.raises(CurrencyNotKept) as refusal:
            await shop.run(create_price_list, CreatePriceListInput(code="E", name="E", currency="EUR"))
        assert (refusal.value.pointer, refusal.value.facts) == ("/currency", {"currency": "GBP"})

    async def test_only_what_is_sent_changes(self, shop: Shop) -> None:
        made = await price_list(shop)
        after = await shop.run(update_price_list, made.id, UpdatePriceListInput(name="Wholesale", active=False))
        assert (after.version, after.name, after.code, after.active) == (2, "Wholesale", "TRADE", False)
        assert await shop.run(update_price_list, made.id, UpdatePriceListInput(active=False)) == after
        with pytest.raises(NotFound):
            await shop.run(update_price_list, uuid4(), UpdatePriceListInput(name="X"))


class TestItems:
    async def test_prices_are_added_replaced_and_said_again(self, shop: Shop) -> None:
        made = await price_list(shop)
        first = await put(shop, made.id, priced(shop.lamp, "9.00"), priced(shop.cup, "2"))
        assert (first.version, [item.unit_price for item in first.items]) == (2, ["9", "2"])
        again = await put(shop, made.id, priced(shop.lamp, "9", from_="1.0"))
        assert (again.version, again.items) == (2, first.items[:1])
        later = await put(
            shop, made.id, priced(shop.lamp, "9", end="2026-03-31"), priced(shop.lamp, "9.5", "2026-04-01")
        )
        assert (later.version, later.items[0].id) == (3, first.items[0].id)
        assert await shop.count("price_list_items") == 3

    async def test_spans_of_one_product_and_quantity_do_not_overlap(self, shop: Shop) -> None:
        made = await price_list(shop, priced(shop.lamp, "9", "2026-02-01", "2026-03-31"))
        for items, at in (
            ([priced(shop.lamp, "8", "2026-03-31")], 0),
            ([priced(shop.lamp, "8", "2026-01-01", "2026-02-01")], 0),
            ([priced(shop.lamp, "8", "2026-01-01")], 0),
            ([priced(shop.cup, "2", "2026-01-01"), priced(shop.cup, "3", "2027-01-01")], 1),
        ):
            with pytest.raises(PricesOverlap) as refusal:
                await put(shop, made.id, *items)
            assert refusal.value.pointer == f"/items/{at}/valid_from"
        fitting = [
            priced(shop.lamp, "8", "2026-01-01", "2026-01-31"), priced(shop.lamp, "8", "2026-04-01"),
            priced(shop.lamp, "7", "2026-01-01", from_="10"), priced(shop.cup, "2", "2026-01-01"),
        ]  # fmt: skip
        assert (await put(shop, made.id, *fitting)).version == 3
        other = await price_list(shop, priced(shop.lamp, "1"), code="OTHER")
        assert other.version == 1, "each list for itself"

    async def test_what_cannot_be_a_price_is_refused_with_its_place(self, shop: Shop) -> None:
        made = await price_list(shop)
        good = priced(shop.cup, "2")
        for error, item, at in (
            (UnknownReference, priced(shop.location, "2"), "/items/1/product_id"),
            (Invalid, priced(shop.lamp, "2", "2026-02-01", "2026-01-31"), "/items/1/valid_to"),
            (NotRepresentable, priced(shop.lamp, "2", from_="1.5"), "/items/1/min_quantity"),
            (Invalid, priced(shop.cup, "3", from_="1.000"), "/items/1"),
        ):
            with pytest.raises(error) as refusal:
                await put(shop, made.id, good, item)
            assert getattr(refusal.value, "pointer", None) == at
        assert await shop.count("price_list_items") == 0
        assert (await put(shop, made.id, priced(shop.rope, "2", from_="1.5"))).version == 2
        with pytest.raises(NotFound):
            await put(shop, uuid4(), good)

    async def test_prices_are_taken_out(self, shop: Shop) -> None:
        made = await price_list(shop)
        there = (await put(shop, made.id, priced(shop.lamp, "9"), priced(shop.cup, "2"))).items
        other = await price_list(shop, code="OTHER")
        foreign = (await put(shop, other.id, priced(shop.cup, "2"))).items[0].id
        for ids in ([there[0].id, foreign], [there[0].id, uuid4()], [there[0].id, there[0].id]):
            with pytest.raises(UnknownReference) as refusal:
                await shop.run(remove_items, made.id, RemovePriceListItemsInput(item_ids=ids))
            assert refusal.value.pointer == "/item_ids/1"
        gone = await shop.run(remove_items, made.id, RemovePriceListItemsInput(item_ids=[there[0].id]))
        assert (gone.version, gone.items) == (3, there[:1])
        assert await shop.count("price_list_items") == 2

    async def test_a_version_that_is_said_is_looked_at(self, shop: Shop) -> None:
        made = await price_list(shop, priced(shop.lamp, "9"))

        async def stale(work: UnitOfWork) -> Any:
            work.expected_version = 1
            return await set_items(work, made.id, SetPriceListItemsInput(items=[priced(shop.lamp, "8")]))

        with pytest.raises(VersionConflict):
            await shop.run(stale)

    async def test_every_change_leaves_an_event_and_an_audit_entry(self, shop: Shop) -> None:
        made = await price_list(shop, priced(shop.lamp, "9"))
        await put(shop, made.id, priced(shop.lamp, "8"))
        await shop.run(update_price_list, made.id, UpdatePriceListInput(name="New"))
        events = "SELECT type, version, data FROM events WHERE aggregate_id = %(id)s AND tenant_id = %(tenant_id)s"
        told = sorted(await shop.rows(Bound(events, {"id": made.id}, None, True)), key=itemgetter(1))
        assert [(kind, version) for kind, version, _ in told] == [
            ("price_list.created", 1), ("price_list.items_changed", 2), ("price_list.items_changed", 3),
            ("price_list.updated", 4),
        ]  # fmt: skip
        [item] = told[2][2]["set"]
        assert (item["product_id"], item["unit_price"], item["valid_to"]) == (str(shop.lamp), "8", None)
        audited = await shop.column(
            "SELECT before->'items'->0->>'unit_price' FROM audit_entries WHERE tenant_id = %(tenant_id)s"
            " AND target_id = %(id)s AND action = 'price_list.change_items' ORDER BY at", id=made.id,
        )  # fmt: skip
        assert audited == [None, "9"]


class TestParties:
    async def test_a_party_takes_an_active_list_of_its_own_tenant(self, shop: Shop) -> None:
        made = await price_list(shop)
        with pytest.raises(UnknownReference) as unknown:
            await give(shop, uuid4())
        assert unknown.value.pointer == "/price_list_id"
        await give(shop, made.id)
        await shop.run(update_price_list, made.id, UpdatePriceListInput(active=False))
        await give(shop, made.id)  # nothing changes
        with pytest.raises(PriceListInactive) as inactive:
            await give(shop, made.id, shop.other_customer)
        assert inactive.value.pointer == "/price_list_id"


class TestLines:
    async def test_each_line_gets_the_price_of_its_own_quantity(self, shop: Shop) -> None:
        made = await price_list(
            shop,
            priced(shop.lamp, "9", from_="2"),
            priced(shop.lamp, "8", from_="10"),
            priced(shop.lamp, "7", from_="24"),
        )
        await give(shop, made.id)
        draft = await order(
            shop, line(shop.lamp, "1"), line(shop.lamp, "9"), line(shop.lamp, "10"), line(shop.cup, "3"),
            line(shop.lamp, "2", unit_code="box"), line(shop.lamp, "50", unit_price="6"),
        )  # fmt: skip
        prices = [one.unit_price for one in draft.lines]
        assert prices == ["10", "9", "8", "2.5", "84", "6"]
        stranger = await order(shop, line(shop.lamp, "10"), party_id=shop.other_customer)
        assert stranger.lines[0].unit_price == "10"

    @pytest.mark.parametrize(
        ("start", "end", "price"),
        [
            ("2026-03-10", None, "9"), ("2026-03-10", "2026-03-10", "9"), ("2026-01-01", "2026-03-10", "9"),
            ("2026-03-11", None, "10"), ("2026-01-01", "2026-03-09", "10"),
        ],
    )  # fmt: skip
    async def test_a_price_is_valid_on_both_its_days(
        self, shop: Shop, start: str, end: str | None, price: str
    ) -> None:
        await give(shop, (await price_list(shop, priced(shop.lamp, "9", start, end))).id)
        assert (await order(shop, line(shop.lamp))).lines[0].unit_price == price

    async def test_the_day_of_the_document_counts(self, shop: Shop) -> None:
        spans = [priced(shop.lamp, "9", end="2026-02-28"), priced(shop.lamp, "8", "2026-03-01", "2026-03-31")]
        await give(shop, (await price_list(shop, *spans, priced(shop.lamp, "7", "2026-04-01"))).id)
        february = await shop.run(
            update_order, (await order(shop, line(shop.lamp))).id, UpdateOrderInput(date=date(2026, 2, 28))
        )
        assert february.lines[0].unit_price == "8", "what a draft has it keeps"
        again = await shop.run(update_order, february.id, UpdateOrderInput(lines=[line(shop.lamp)]))
        assert again.lines[0].unit_price == "9"

    async def test_an_inactive_list_prices_nothing(self, shop: Shop) -> None:
        made = await price_list(shop, priced(shop.lamp, "9"))
        await give(shop, made.id)
        await shop.run(update_price_list, made.id, UpdatePriceListInput(active=False))
        assert (await order(shop, line(shop.lamp))).lines[0].unit_price == "10"
        await shop.run(update_price_list, made.id, UpdatePriceListInput(active=True))
        assert (await order(shop, line(shop.lamp))).lines[0].unit_price == "9"

    async def test_a_product_without_a_price_of_its_own_may_have_one_in_the_list(self, shop: Shop) -> None:
        await shop.run(update_product, shop.lamp, UpdateProductInput(sale_price=None))
        await give(shop, (await price_list(shop, priced(shop.lamp, "9", from_="5"))).id)
        assert (await order(shop, line(shop.lamp, "5"))).lines[0].unit_price == "9"
        with pytest.raises(PriceUnknown):
            await order(shop, line(shop.lamp, "4"))

    async def test_a_draft_keeps_its_price_whatever_becomes_of_the_list(self, shop: Shop) -> None:
        made = await price_list(shop, priced(shop.lamp, "9"))
        await give(shop, made.id)
        await shop.receive(shop.lamp, "2")
        draft = await order(shop, line(shop.lamp, "2"))
        await put(shop, made.id, priced(shop.lamp, "1"))
        assert (await shop.run(confirm_order, draft.id)).net == "18.00"

    async def test_direct_sales_and_credits_are_priced_alike(self, shop: Shop) -> None:
        await give(shop, (await price_list(shop, priced(shop.lamp, "9"))).id)
        await shop.receive(shop.lamp, "2")
        sale = DirectSaleInput(party_id=shop.customer, lines=[line(shop.lamp, "2")], date=MARCH)
        assert (await shop.run(create_direct_sale, sale)).net == "18.00"
        back = DirectCreditLineInput(product_id=shop.lamp, quantity="1")
        data = DirectCreditInput(party_id=shop.customer, lines=[back], reason="broken", date=MARCH)
        assert (await shop.run(create_direct_credit, data)).net == "9.00"

    async def test_an_invoice_without_an_order_is_priced_alike(self, shop: Shop) -> None:
        await give(shop, (await price_list(shop, priced(shop.lamp, "9"), priced(shop.lamp, "8", from_="10"))).id)
        lines = [InvoiceLineInput(quantity=quantity, product_id=shop.lamp) for quantity in ("9", "10")]
        made = await shop.run(create_invoice, CreateInvoiceInput(party_id=shop.customer, lines=lines, date=MARCH))
        assert [one.unit_price for one in made.lines] == ["9", "8"]
        again = UpdateInvoiceInput(date=MARCH, lines=[InvoiceLineInput(quantity="12", product_id=shop.lamp)])
        changed = await shop.run(update_draft, made.id, again)
        assert [one.unit_price for one in changed.lines] == ["8"]


class TestRoundTrips:
    async def test_lines_with_prices_of_their_own_ask_for_none(self, shop: Shop) -> None:
        await order(shop, line(shop.lamp))  # takes this process' block of references
        own = [line(shop.lamp, unit_price="1"), line(shop.cup, unit_price="1")]
        _, without = await shop.counted(create_order, order_input(shop, *own))
        _, asked = await shop.counted(create_order, order_input(shop, *own, line(shop.carriage)))
        assert (without.postgres, len(without.statements)) == (2, 11)
        assert (asked.postgres, len(asked.statements)) == (2, 12)


async def test_a_line_finds_its_price_by_an_index_under_row_level_security(shop: Shop) -> None:
    made = await price_list(shop, priced(shop.lamp, "9"))
    await give(shop, made.id)
    for start in range(2, 4002, 500):
        await put(shop, made.id, *(priced(shop.cup, "2", from_=str(number)) for number in range(start, start + 500)))
    shop.tamper("ANALYZE price_list_items")
    bound = listed_prices(shop.customer, [shop.lamp], MARCH)
    plan = "\n".join(one for (one,) in await shop.rows(Bound("EXPLAIN " + bound.sql, bound.parameters, None, True)))
    assert "Seq Scan on price_list_items" not in plan, plan
    assert "product_id = ANY" in plan.partition("Index Cond")[2], plan


async def test_a_price_that_ignores_its_days_would_be_charged(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """The planted bug: the statement does not look at the day."""
    await give(shop, (await price_list(shop, priced(shop.lamp, "9", "2026-01-01", "2026-03-09"))).id)
    assert await shop.rows(listed_prices(shop.customer, [shop.lamp], MARCH)) == []
    real = listed._LISTED
    days, careless = real.sql.index("AND price_list_items.valid_from"), object.__new__(Statement)
    for name in Statement.__slots__:
        setattr(careless, name, getattr(real, name))
    careless.sql = real.sql[:days] + "AND CAST(%(on)s AS DATE) IS NOT NULL"
    monkeypatch.setattr(listed, "_LISTED", careless)
    assert (await order(shop, line(shop.lamp))).lines[0].unit_price == "9"
