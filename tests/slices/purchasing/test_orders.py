"""Purchase orders: created, placed, cancelled, closed short."""

from datetime import date
from uuid import uuid4

import pytest

from db.errors import Duplicate, UnknownReference
from erp.catalog.errors import NotInThisUnit, ProductInactive
from erp.catalog.schemas import UpdateProductInput
from erp.catalog.service import update_product
from erp.kernel.errors import InvalidState, NotFound
from erp.kernel.quantity import NotRepresentable
from erp.parties.errors import NotASupplier
from erp.pricing.errors import NoTaxRate
from erp.purchasing.schemas import CreatePurchaseOrderInput, StopPurchaseOrderInput
from erp.purchasing.service import cancel_order, close_order, confirm_order, create_order
from tests.slices.inventory.shop import MARCH, Shop
from tests.slices.purchasing.buying import events, incoming, line, ordered, received, state, wrong

WHY = StopPurchaseOrderInput(reason="Supplier cannot deliver")


async def test_an_order_is_priced_and_taxed(shop: Shop) -> None:
    order = await ordered(shop, line(shop.lamp, "10", "4.20"), line(shop.carriage, "2", "15", discount_percent="10"))
    assert (order.net, order.tax, order.gross) == ("69.00", "13.80", "82.80")
    assert [one.net for one in order.lines] == ["42.00", "27.00"]
    assert order.number.startswith("PO-")
    assert order.state == "confirmed"
    assert await events(shop, order.id) == ["purchase_order.created"]


async def test_a_draft_expects_nothing_until_it_is_placed(shop: Shop) -> None:
    draft = await ordered(shop, line(shop.lamp, "10"), confirm=False)
    assert draft.state == "draft"
    assert await incoming(shop) == {}
    placed = await shop.run(confirm_order, draft.id)
    assert (placed.state, placed.version) == ("confirmed", 2)
    assert placed.confirmed_at is not None
    assert await incoming(shop) == {shop.lamp: "10"}
    assert await events(shop, draft.id) == ["purchase_order.created", "purchase_order.confirmed"]
    assert await wrong(shop) == {}


async def test_placing_twice_is_refused(shop: Shop) -> None:
    order = await ordered(shop, line(shop.lamp))
    with pytest.raises(InvalidState):
        await shop.run(confirm_order, order.id)


async def test_an_order_in_boxes_expects_pieces(shop: Shop) -> None:
    order = await ordered(shop, line(shop.lamp, "2", "48", unit_code="box"), line(shop.lamp, "5"))
    assert [(one.quantity, one.unit_code, one.base_quantity) for one in order.lines] == [
        ("2", "box", "24"),
        ("5", "pcs", "5"),
    ]
    assert await incoming(shop) == {shop.lamp: "29"}


async def test_services_are_not_expected_by_stock(shop: Shop) -> None:
    await ordered(shop, line(shop.carriage, "3"))
    assert await incoming(shop) == {}


async def test_a_cancelled_order_expects_nothing(shop: Shop) -> None:
    order = await ordered(shop, line(shop.lamp, "10"))
    cancelled = await shop.run(cancel_order, order.id, WHY)
    assert (cancelled.state, cancelled.reason) == ("cancelled", WHY.reason)
    assert [one.open for one in cancelled.lines] == ["0"]
    assert await incoming(shop) == {}
    with pytest.raises(InvalidState):
        await received(shop, order)


async def test_an_order_that_came_in_part_is_closed_not_cancelled(shop: Shop) -> None:
    order = await ordered(shop, line(shop.lamp, "10"))
    await received(shop, order, (1, "4"))
    with pytest.raises(InvalidState):
        await shop.run(cancel_order, order.id, WHY)
    closed = await shop.run(close_order, order.id, WHY)
    assert closed.state == "received"
    assert [(one.received, one.cancelled, one.open) for one in closed.lines] == [("4", "6", "0")]
    assert await incoming(shop) == {}
    assert await state(shop, order) == "received"
    assert await wrong(shop) == {}


async def test_an_order_of_which_nothing_came_is_cancelled_not_closed(shop: Shop) -> None:
    order = await ordered(shop, line(shop.lamp, "10"))
    with pytest.raises(InvalidState):
        await shop.run(close_order, order.id, WHY)


async def test_only_suppliers_are_ordered_from(shop: Shop) -> None:
    data = CreatePurchaseOrderInput(party_id=shop.customer, lines=[line(shop.lamp)])
    with pytest.raises(NotASupplier):
        await shop.run(create_order, data)


async def test_unknown_records_are_named(shop: Shop) -> None:
    with pytest.raises(UnknownReference) as refusal:
        await ordered(shop, line(shop.lamp), line(uuid4()))
    assert refusal.value.pointer == "/lines/1/product_id"
    with pytest.raises(UnknownReference) as refusal:
        await ordered(shop, line(shop.lamp), location_id=uuid4())
    assert refusal.value.pointer == "/location_id"
    with pytest.raises(NotFound):
        await shop.run(confirm_order, uuid4())


async def test_quantities_must_fit_the_products_units(shop: Shop) -> None:
    with pytest.raises(NotInThisUnit):
        await ordered(shop, line(shop.cup, "1", unit_code="box"))
    with pytest.raises(NotRepresentable):
        await ordered(shop, line(shop.lamp, "0.5"))
    with pytest.raises(NotRepresentable):
        await ordered(shop, line(shop.lamp, "0.3", unit_code="box"))
    order = await ordered(shop, line(shop.lamp, "0.25", "48", unit_code="box"), line(shop.rope, "2.125"))
    assert [one.base_quantity for one in order.lines] == ["3", "2.125"]


async def test_inactive_products_are_not_ordered(shop: Shop) -> None:
    await shop.run(update_product, shop.cup, UpdateProductInput(active=False))
    with pytest.raises(ProductInactive):
        await ordered(shop, line(shop.cup))


async def test_a_day_without_a_tax_rate_is_refused(shop: Shop) -> None:
    with pytest.raises(NoTaxRate):
        await ordered(shop, line(shop.lamp), on=date(2019, 12, 31))


async def test_an_external_id_comes_once(shop: Shop) -> None:
    await ordered(shop, line(shop.lamp), external_id="po:1")
    with pytest.raises(Duplicate) as refusal:
        await ordered(shop, line(shop.lamp), external_id="po:1")
    assert refusal.value.facts["fields"] == ["external_id"]


async def test_round_trips_do_not_grow_with_the_lines(shop: Shop) -> None:
    await ordered(shop, line(shop.lamp))  # fetches the process' block of references
    for lines in (3, 300):
        data = CreatePurchaseOrderInput(
            party_id=shop.supplier, lines=[line(shop.lamp)] * lines, date=MARCH, confirm=True
        )
        order, trips = await shop.counted(create_order, data)
        assert trips.postgres <= 3
        assert len(order.lines) == lines
