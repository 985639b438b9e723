"""Orders are drafted, changed, confirmed, reserved and cancelled."""

from typing import Any

import pytest

from db.errors import Duplicate, UnknownReference
from erp.catalog.errors import NotInThisUnit, ProductInactive
from erp.catalog.schemas import UpdateProductInput
from erp.catalog.service import update_product
from erp.inventory.errors import InsufficientStock
from erp.inventory.service import expire_reservations
from erp.kernel.errors import Invalid, InvalidState, NotFound
from erp.kernel.quantity import NotRepresentable
from erp.parties.errors import NotACustomer
from erp.sales.documents import OrderView
from erp.sales.errors import MoreThanOpen, NothingToDo, PriceUnknown
from erp.sales.schemas import CancelOrderInput, ReserveOrderInput, UpdateOrderInput
from erp.sales.service import cancel_order, confirm_order, create_order, reserve_order, update_order
from tenancy.errors import VersionConflict
from tenancy.work import UnitOfWork
from tests.slices.inventory.shop import Shop
from tests.slices.sales.selling import confirmed, deliver, invoice, line, order, order_input, step


async def cancel(shop: Shop, made: OrderView, *steps: Any) -> OrderView:
    data = CancelOrderInput(reason="Changed their mind", lines=list(steps) or None)
    return await shop.run(cancel_order, made.id, data)


class TestDrafts:
    async def test_price_name_unit_and_tax_come_from_the_product(self, shop: Shop) -> None:
        draft = await order(shop, line(shop.lamp, "3"), line(shop.carriage))
        assert (draft.state, draft.version, draft.currency) == ("draft", 1, "GBP")
        assert (draft.net, draft.tax, draft.gross) == ("35.00", "7.00", "42.00")
        first = draft.lines[0]
        assert (first.description, first.unit_code, first.unit_price, first.tax_rate) == ("Lamp", "pcs", "10", "20")
        assert await shop.level(shop.lamp) == ("0", "0"), "a draft holds nothing"

    async def test_prices_given_stay_whatever_happens_to_the_product(self, shop: Shop) -> None:
        draft = await order(shop, line(shop.lamp, "2", unit_price="7.125", discount_percent="10"))
        assert draft.net == "12.83"
        await shop.run(update_product, shop.lamp, UpdateProductInput(sale_price="99"))
        await shop.receive(shop.lamp, "2")
        assert (await shop.run(confirm_order, draft.id)).net == "12.83"

    async def test_prices_may_hold_the_tax(self, shop: Shop) -> None:
        draft = await order(shop, line(shop.lamp, "3"), prices_include_tax=True, tax_rounding="document")
        assert (draft.net, draft.tax, draft.gross) == ("25.00", "5.00", "30.00")

    async def test_a_box_is_twelve_pieces_and_costs_as_much(self, shop: Shop) -> None:
        draft = await order(shop, line(shop.lamp, "2", unit_code="box"))
        assert (draft.lines[0].base_quantity, draft.lines[0].unit_price, draft.net) == ("24", "120", "240.00")

    async def test_what_cannot_be_sold_is_refused_with_a_pointer(self, shop: Shop) -> None:
        async def refused(error: type[Exception], *lines: Any, **more: Any) -> Any:
            with pytest.raises(error) as refusal:
                await order(shop, *lines, **more)
            return refusal.value

        good = line(shop.cup)
        assert (await refused(UnknownReference, good, line(shop.location))).pointer == "/lines/1/product_id"
        assert (await refused(NotInThisUnit, line(shop.cup, unit_code="box"))).facts["known"] == ["pcs"]
        for odd in (line(shop.lamp, "0.1", unit_code="box"), line(shop.lamp, "1.5")):
            assert (await refused(NotRepresentable, odd)).pointer == "/lines/0/quantity"
        assert (await refused(UnknownReference, good, party_id=shop.lamp)).pointer == "/party_id"
        assert (await refused(UnknownReference, good, location_id=shop.lamp)).pointer == "/location_id"
        await refused(NotACustomer, good, party_id=shop.supplier)
        await refused(Invalid, good, allow_partial=True)
        await shop.run(update_product, shop.cup, UpdateProductInput(sale_price=None))
        assert (await refused(PriceUnknown, good)).pointer == "/lines/0/unit_price"
        await shop.run(update_product, shop.cup, UpdateProductInput(active=False))
        await refused(ProductInactive, good)

    async def test_half_a_box_is_six_pieces(self, shop: Shop) -> None:
        draft = await order(shop, line(shop.lamp, "0.5", unit_code="box"))
        assert draft.lines[0].base_quantity == "6"

    async def test_an_external_id_is_used_once(self, shop: Shop) -> None:
        await order(shop, line(shop.lamp), external_id="web-1")
        with pytest.raises(Duplicate):
            await order(shop, line(shop.lamp), external_id="web-1")

    async def test_a_draft_changes_as_a_whole(self, shop: Shop) -> None:
        draft = await order(shop, line(shop.lamp, "3", unit_price="8"), line(shop.cup, "2"))
        kept = await shop.run(update_order, draft.id, UpdateOrderInput(prices_include_tax=True, reference="PO 7"))
        assert (kept.gross, kept.reference, kept.version) == ("29.00", "PO 7", 2)
        assert [one.unit_price for one in kept.lines] == ["8", "2.5"]
        after = await shop.run(update_order, draft.id, UpdateOrderInput(lines=[line(shop.cup, "10")]))
        assert (after.gross, after.line_count, len(after.lines)) == ("25.00", 1, 1)
        assert await shop.count("sales_order_lines") == 1
        assert await shop.wrong() == {}

    async def test_only_drafts_change_and_only_in_the_version_that_was_seen(self, shop: Shop) -> None:
        draft = await order(shop, line(shop.carriage))

        async def stale(work: UnitOfWork) -> OrderView:
            work.expected_version = 7
            return await update_order(work, draft.id, UpdateOrderInput(reference="x"))

        with pytest.raises(VersionConflict):
            await shop.run(stale)
        await shop.run(confirm_order, draft.id)
        with pytest.raises(InvalidState):
            await shop.run(update_order, draft.id, UpdateOrderInput(reference="x"))
        with pytest.raises(NotFound):
            await shop.run(update_order, shop.lamp, UpdateOrderInput(reference="x"))


class TestConfirming:
    async def test_confirming_reserves_all_lines_or_none(self, shop: Shop) -> None:
        await shop.receive(shop.lamp, "5")
        await shop.receive(shop.cup, "1")
        draft = await order(shop, line(shop.lamp, "5"), line(shop.cup, "2"))
        with pytest.raises(InsufficientStock) as refusal:
            await shop.run(confirm_order, draft.id)
        assert [one["product_id"] for one in refusal.value.facts["shortages"]] == [str(shop.cup)]
        assert await shop.level(shop.lamp) == ("5", "0")
        await shop.receive(shop.cup, "1")
        after = await shop.run(confirm_order, draft.id)
        assert (after.state, after.version) == ("confirmed", 2)
        assert [(one.reserved, one.backorder) for one in after.lines] == [("5", "0"), ("2", "0")]
        assert await shop.level(shop.cup) == ("2", "2")
        assert await shop.wrong() == {}

    async def test_two_lines_of_one_product_are_added_up(self, shop: Shop) -> None:
        await shop.receive(shop.lamp, "10")
        with pytest.raises(InsufficientStock) as refusal:
            await confirmed(shop, line(shop.lamp, "6"), line(shop.lamp, "6"))
        assert refusal.value.pointer == "/lines/0/quantity"

    async def test_partial_confirmation_tells_line_by_line_what_it_holds(self, shop: Shop) -> None:
        await shop.receive(shop.lamp, "30")
        made = await confirmed(
            shop, line(shop.lamp, "5"), line(shop.lamp, "3", unit_code="box"), line(shop.cup, "2"), allow_partial=True
        )
        assert [(one.reserved, one.backorder) for one in made.lines] == [("5", "0"), ("2", "1"), ("0", "2")]
        assert await shop.level(shop.lamp) == ("30", "29"), "a box is held whole or not at all"

    async def test_confirming_twice_is_refused(self, shop: Shop) -> None:
        made = await confirmed(shop, line(shop.carriage))
        with pytest.raises(InvalidState):
            await shop.run(confirm_order, made.id)

    async def test_services_never_touch_stock_and_are_due_at_once(self, shop: Shop) -> None:
        made = await confirmed(shop, line(shop.carriage, "1.5"))
        assert (made.state, made.lines[0].delivered, made.lines[0].reserved) == ("delivered", "1.5", "0")
        assert await shop.count("stock_levels") == 0
        assert (await invoice(shop, made.id)).gross == "9.00"

    async def test_reservations_end_and_can_be_made_again(self, shop: Shop) -> None:
        await shop.receive(shop.lamp, "5")
        made = await confirmed(shop, line(shop.lamp, "5"))
        shop.tamper("UPDATE reservations SET expires_at = now() WHERE source_id = %s", made.id)
        assert await shop.run(expire_reservations, 10) == 1
        assert await shop.level(shop.lamp) == ("5", "0")
        again = await shop.run(reserve_order, made.id)
        assert (again.lines[0].reserved, again.version) == ("5", 2)
        unchanged = await shop.run(reserve_order, made.id)
        assert unchanged.version == 2

    async def test_a_backorder_is_reserved_when_goods_come_in(self, shop: Shop) -> None:
        await shop.receive(shop.lamp, "2")
        made = await confirmed(shop, line(shop.lamp, "5"), allow_partial=True)
        await shop.receive(shop.lamp, "2")
        with pytest.raises(InsufficientStock):
            await shop.run(reserve_order, made.id)
        more = await shop.run(reserve_order, made.id, ReserveOrderInput(allow_partial=True))
        assert more.lines[0].reserved == "4"
        assert await shop.wrong() == {}

    async def test_how_long_an_order_holds_is_a_setting(self, shop: Shop) -> None:
        await shop.receive(shop.lamp, "5")
        made = await confirmed(shop.tuned(sales__reservation_ttl=60), line(shop.lamp))
        [seconds] = await shop.column(
            "SELECT extract(epoch FROM expires_at - created_at) FROM reservations"
            " WHERE tenant_id = %(tenant_id)s AND source_id = %(id)s", id=made.id,
        )  # fmt: skip
        assert seconds == 60


class TestCancelling:
    async def test_a_draft_is_cancelled_whole(self, shop: Shop) -> None:
        draft = await order(shop, line(shop.lamp, "3"))
        gone = await cancel(shop, draft)
        assert (gone.state, gone.lines[0].cancelled, gone.cancel_reason) == ("cancelled", "3", "Changed their mind")
        with pytest.raises(InvalidState):
            await shop.run(confirm_order, draft.id)

    async def test_cancelling_gives_reservations_back(self, shop: Shop) -> None:
        await shop.receive(shop.lamp, "5")
        made = await confirmed(shop, line(shop.lamp, "5"), line(shop.carriage))
        gone = await cancel(shop, made)
        assert (gone.state, gone.lines[0].reserved) == ("cancelled", "0")
        assert await shop.level(shop.lamp) == ("5", "0")
        assert await shop.wrong() == {}

    async def test_part_of_a_line_keeps_the_rest_reserved(self, shop: Shop) -> None:
        await shop.receive(shop.lamp, "5")
        made = await confirmed(shop, line(shop.lamp, "5"))
        less = await cancel(shop, made, step(1, "2"))
        assert (less.state, less.lines[0].cancelled, less.lines[0].reserved, less.lines[0].open) == (
            "confirmed", "2", "3", "3",
        )  # fmt: skip
        assert await shop.level(shop.lamp) == ("5", "3")
        with pytest.raises(MoreThanOpen):
            await cancel(shop, made, step(1, "2"), step(1, "2"))
        with pytest.raises(UnknownReference):
            await cancel(shop, made, step(9))

    async def test_the_rest_of_a_delivered_order_is_cancelled_and_what_left_stays(self, shop: Shop) -> None:
        await shop.receive(shop.lamp, "5")
        made = await confirmed(shop, line(shop.lamp, "5"))
        await deliver(shop, made.id, step(1, "2"))
        rest = await cancel(shop, made)
        assert (rest.state, rest.lines[0].delivered, rest.lines[0].cancelled) == ("delivered", "2", "3")
        assert await shop.level(shop.lamp) == ("3", "0")
        with pytest.raises(NothingToDo):
            await cancel(shop, made)

    async def test_an_invoiced_service_cannot_be_cancelled(self, shop: Shop) -> None:
        made = await confirmed(shop, line(shop.carriage, "3"))
        await invoice(shop, made.id, step(1, "1"))
        rest = await cancel(shop, made)
        assert (rest.state, rest.lines[0].delivered, rest.lines[0].cancelled) == ("delivered", "1", "2")
        assert rest.lines[0].invoiced == "1"


class TestRoundTrips:
    async def test_creating_takes_two_round_trips_and_confirming_one_more(self, shop: Shop) -> None:
        await shop.receive(shop.lamp, "900")
        await order(shop, line(shop.lamp))  # takes this process' block of references
        three = [line(shop.lamp), line(shop.cup), line(shop.carriage)]
        await shop.receive(shop.cup, "900")
        draft, created = await shop.counted(create_order, order_input(shop, *three))
        assert (created.postgres, len(created.statements)) == (2, 12)  # one for the prices nobody named
        _, at_once = await shop.counted(create_order, order_input(shop, *three, confirm=True))
        assert (at_once.postgres, at_once.redis) == (3, 1)
        _, counted = await shop.counted(confirm_order, draft.id)
        assert (counted.postgres, len(counted.statements)) == (3, 14)

    async def test_a_hundred_lines_take_as_many_statements_as_three(self, shop: Shop) -> None:
        await shop.receive(shop.lamp, "900")
        await order(shop, line(shop.lamp))
        _, few = await shop.counted(create_order, order_input(shop, *[line(shop.lamp)] * 3, confirm=True))
        _, many = await shop.counted(create_order, order_input(shop, *[line(shop.lamp)] * 100, confirm=True))
        assert (many.postgres, len(many.statements)) == (few.postgres, len(few.statements))


async def test_every_change_leaves_an_event_and_an_audit_entry(shop: Shop) -> None:
    await shop.receive(shop.lamp, "5")
    made = await order(shop, line(shop.lamp, "3"))
    await shop.run(confirm_order, made.id)
    await cancel(shop, made)
    events = await shop.column(
        "SELECT type || ' ' || version FROM events WHERE tenant_id = %(tenant_id)s AND aggregate_id = %(id)s"
        " ORDER BY version", id=made.id,
    )  # fmt: skip
    assert events == ["sales_order.created 1", "sales_order.confirmed 2", "sales_order.cancelled 3"]
    audited = await shop.column(
        "SELECT action FROM audit_entries WHERE tenant_id = %(tenant_id)s AND target_id = %(id)s", id=made.id
    )
    assert len(audited) == 3
