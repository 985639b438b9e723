"""What can be read of stock: now, as of a day, incoming, low; and what the proof says when a row is wrong."""

from datetime import date
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from db.identifiers import new_id
from erp.http.listing import Listing
from erp.inventory.history import ON_HAND_THEN, TOTAL, VALUATION_NOW, VALUATION_THEN, parse_day
from erp.inventory.incoming import Incoming, set_incoming
from erp.inventory.queries import LEVELS, MOVES, PLACES, PRODUCT
from erp.inventory.schemas import AdjustmentLineInput, CreateAdjustmentInput, CreateReservationInput
from erp.inventory.service import create_adjustment, create_reservation
from erp.inventory.views import availability_view, level_view, valuation_view
from erp.kernel.errors import Invalid
from tenancy.work import UnitOfWork
from tests.slices.inventory.shop import MARCH, Shop

JANUARY = date(2026, 1, 15)


async def page(shop: Shop, listing: Listing[Any], **query: str) -> list[Any]:
    """The rows a request with this query string shows."""
    asked = listing.parse(query, None)
    rows = await shop.rows(listing.statement(asked.shape)(**asked.values, page_size=asked.limit))
    return [listing.row(*row[:-2]) for row in rows]


async def lose(shop: Shop, product: UUID, quantity: str, on: date = MARCH) -> None:
    line = AdjustmentLineInput(product_id=product, quantity=f"-{quantity}")
    await shop.run(create_adjustment, CreateAdjustmentInput(reason="broken", lines=[line], date=on))


async def reorder_at(shop: Shop, product: UUID, point: str) -> None:
    shop.tamper("UPDATE products SET reorder_point = %s WHERE id = %s", Decimal(point), product)


async def test_availability_tells_on_hand_reserved_available_and_incoming(shop: Shop) -> None:
    await shop.receive(shop.lamp, "10")
    await shop.run(create_reservation, CreateReservationInput(product_id=shop.lamp, quantity="3"))
    order = new_id()

    async def expect(work: UnitOfWork, *rows: Incoming) -> None:
        set_incoming(work, "purchase_order", order, rows)

    await shop.run(
        expect, Incoming(shop.lamp, shop.location, Decimal(4), MARCH), Incoming(shop.lamp, shop.location, Decimal(2))
    )
    [product], places = await shop.rows(PRODUCT(product_id=shop.lamp)), await shop.rows(PLACES(product_id=shop.lamp))
    view = availability_view(product, places)
    assert (view.on_hand, view.reserved, view.available, view.incoming) == ("10", "3", "7", "6")
    [row] = await page(shop, LEVELS, product_id=str(shop.lamp))
    assert level_view(row).incoming == "6"

    await shop.run(expect, Incoming(shop.cup, shop.location, Decimal(1)))
    assert availability_view(product, await shop.rows(PLACES(product_id=shop.lamp))).incoming == "0"
    [expected_only] = await shop.rows(PLACES(product_id=shop.cup))
    assert (expected_only.on_hand, expected_only.incoming) == (0, 1)
    await shop.run(expect)
    assert await shop.count("incoming_stock") == 0


async def test_stock_and_its_value_as_of_a_day(shop: Shop) -> None:
    await shop.receive(shop.lamp, "10", "4.00", on=JANUARY)
    await shop.receive(shop.lamp, "10", "6.00", on=MARCH)
    await lose(shop, shop.lamp, "4", on=date(2026, 3, 11))
    [january] = await page(shop, VALUATION_THEN, as_of="2026-01-31")
    assert (january.quantity, january.value) == (10, 40)
    [march] = await page(shop, VALUATION_THEN, as_of="2026-03-31")
    [now] = await page(shop, VALUATION_NOW)
    assert march == now
    assert valuation_view(now, "GBP").unit_cost == "5"
    assert await page(shop, VALUATION_THEN, as_of="2026-01-01") == []
    [lay] = await page(shop, ON_HAND_THEN, as_of="2026-03-10", location_id=str(shop.location))
    assert lay.on_hand == 20
    for day, worth in ((JANUARY, 40), (MARCH, 100), (date(2026, 3, 11), 80)):
        [total] = await shop.rows(TOTAL(as_of=day))
        assert (total.value, total.inventory_account) == (worth, worth)


def test_a_day_is_a_day() -> None:
    assert parse_day("2026-03-10") == MARCH
    with pytest.raises(Invalid):
        parse_day("tomorrow")


async def test_moves_name_their_journal_line(shop: Shop) -> None:
    await shop.receive(shop.lamp, "10", "4.00")
    [move] = await page(shop, MOVES, product_id=str(shop.lamp), kind="adjustment,receipt")
    assert (move.quantity, move.value, move.unit_cost, move.line_no) == (10, 40, 4, 1)
    lines = await shop.column(
        "SELECT base_amount FROM journal_lines WHERE tenant_id = %(tenant_id)s AND entry_id = %(id)s AND line_no = 1",
        id=move.entry_id,
    )
    assert lines == [40]


async def test_low_stock_is_told_once_a_crossing(shop: Shop) -> None:
    await shop.receive(shop.lamp, "10")
    await reorder_at(shop, shop.lamp, "6")
    told = (
        "SELECT data->>'available' FROM events WHERE tenant_id = %(tenant_id)s AND type = 'stock.low'"
        " ORDER BY version"
    )
    await lose(shop, shop.lamp, "4")
    assert await shop.column(told) == []
    await shop.run(create_reservation, CreateReservationInput(product_id=shop.lamp, quantity="1"))
    await lose(shop, shop.lamp, "1")
    assert await shop.column(told) == ["5"]
    await shop.receive(shop.lamp, "3")
    await lose(shop, shop.lamp, "2")
    assert await shop.column(told) == ["5", "5"]
    [row] = await page(shop, LEVELS, low="true")
    assert row.product_id == shop.lamp


@pytest.mark.parametrize(
    ("check", "sql"),
    [
        ("on-hand", "UPDATE stock_levels SET on_hand = on_hand + 1 WHERE product_id = %s"),
        ("reserved", "UPDATE stock_levels SET reserved = reserved + 1 WHERE product_id = %s"),
        ("product-costs", "UPDATE product_costs SET quantity = quantity + 1 WHERE product_id = %s"),
        ("inventory-account", "UPDATE product_costs SET value = value + 0.01 WHERE product_id = %s"),
        ("moves-posted", "UPDATE stock_moves SET value = value - 0.01 WHERE product_id = %s AND quantity > 0"),
        ("moves-posted", "UPDATE stock_moves SET date = date - 1 WHERE product_id = %s AND quantity > 0"),
        ("inventory-lines-moved", "DELETE FROM stock_moves WHERE product_id = %s AND quantity < 0"),
        ("never-negative", "UPDATE stock_moves SET date = '2026-12-01' WHERE product_id = %s AND quantity > 0"),
        ("adjustment-numbers", "DELETE FROM stock_adjustments WHERE id IN"
                               " (SELECT source_id FROM stock_moves WHERE product_id = %s AND quantity < 0)"),
    ],
)  # fmt: skip
async def test_the_proof_names_the_row_that_is_wrong(shop: Shop, check: str, sql: str) -> None:
    await shop.receive(shop.lamp, "10")
    await lose(shop, shop.lamp, "2")
    assert await shop.wrong() == {}
    shop.tamper(sql, shop.lamp)
    wrong = await shop.wrong()
    assert len(wrong[check]) == 1
