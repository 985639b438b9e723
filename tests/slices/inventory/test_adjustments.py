"""Write-offs and found stock: quantities, value, entry, number, proof."""

from datetime import date
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from db.errors import Duplicate, UnknownReference
from erp.accounting.errors import PeriodClosed
from erp.accounting.posting import ledger_loads, open_ledger
from erp.accounting.schemas import ClosePeriodInput
from erp.accounting.service import close_period
from erp.inventory.errors import CostUnknown, DateInFuture, InsufficientStock, NotStocked
from erp.inventory.schemas import (
    AdjustmentLineInput,
    AdjustmentView,
    CreateAdjustmentInput,
    CreateReservationInput,
)
from erp.inventory.service import create_adjustment, create_reservation
from erp.inventory.stock import Stock, numbered, stock_loads
from erp.kernel.errors import Invalid
from erp.kernel.quantity import NotRepresentable
from tenancy.work import UnitOfWork
from tests.slices.inventory.shop import MARCH, Shop


def line(product: UUID, quantity: str, unit_cost: str | None = None) -> AdjustmentLineInput:
    return AdjustmentLineInput(product_id=product, quantity=quantity, unit_cost=unit_cost)


async def adjust(shop: Shop, *lines: AdjustmentLineInput, on: date = MARCH, **more: Any) -> AdjustmentView:
    data = CreateAdjustmentInput(reason="stock_count", lines=list(lines), date=on, **more)
    return await shop.run(create_adjustment, data)


async def test_found_and_lost_stock_moves_quantity_value_and_ledger_together(shop: Shop) -> None:
    await adjust(shop, line(shop.lamp, "10", "4.00"), line(shop.cup, "3", "1.10"))
    lost = await adjust(shop, line(shop.lamp, "-4"), line(shop.cup, "-1"))
    assert [(one.quantity, one.unit_cost, one.value) for one in lost.lines] == [
        ("-4", "4", "-16.00"), ("-1", "1.1", "-1.10"),
    ]  # fmt: skip
    assert lost.number.startswith("ADJ-2026-")
    assert lost.entry_id is not None
    assert await shop.level(shop.lamp) == ("6", "0")
    balances = await shop.balances()
    assert sorted(balances.values()) == [Decimal("-26.20"), Decimal("26.20")]
    assert await shop.wrong() == {}


async def test_found_stock_without_a_cost_is_worth_the_average(shop: Shop) -> None:
    await adjust(shop, line(shop.lamp, "2", "3.00"), line(shop.lamp, "2", "5.00"))
    found = await adjust(shop, line(shop.lamp, "1"))
    assert found.lines[0].value == "4.00"


async def test_the_first_stock_ever_needs_a_cost(shop: Shop) -> None:
    with pytest.raises(CostUnknown) as refused:
        await adjust(shop, line(shop.cup, "1", "2.00"), line(shop.lamp, "1"))
    assert refused.value.pointer == "/lines/1/unit_cost"
    assert await shop.count("stock_moves") == 0


async def test_what_is_lost_takes_no_cost_of_its_own(shop: Shop) -> None:
    await adjust(shop, line(shop.lamp, "3", "4.00"))
    with pytest.raises(Invalid) as refused:
        await adjust(shop, line(shop.lamp, "-1", "9.00"))
    assert refused.value.pointer == "/lines/0/unit_cost"
    assert await shop.count("stock_moves") == 1


async def test_stock_for_nothing_has_no_entry(shop: Shop) -> None:
    gift = await adjust(shop, line(shop.cup, "5", "0"))
    assert (gift.entry_id, gift.value) == (None, "0.00")
    assert await shop.wrong() == {}


async def test_reserved_stock_cannot_be_written_off(shop: Shop) -> None:
    await shop.receive(shop.lamp, "5")
    await shop.run(create_reservation, CreateReservationInput(product_id=shop.lamp, quantity="4"))
    with pytest.raises(InsufficientStock):
        await adjust(shop, line(shop.lamp, "-2"))
    await adjust(shop, line(shop.lamp, "-1"))
    assert await shop.level(shop.lamp) == ("4", "4")


async def test_two_lines_of_one_product_are_added_up(shop: Shop) -> None:
    await shop.receive(shop.lamp, "5")
    with pytest.raises(InsufficientStock) as refusal:
        await adjust(shop, line(shop.lamp, "-3"), line(shop.lamp, "-3"))
    assert refusal.value.facts["shortages"][0]["requested"] == "6"


async def test_services_half_pieces_unknown_products_and_tomorrow_are_refused(shop: Shop) -> None:
    with pytest.raises(NotStocked):
        await adjust(shop, line(shop.carriage, "1", "1"))
    with pytest.raises(NotRepresentable):
        await adjust(shop, line(shop.lamp, "0.5", "1"))
    with pytest.raises(UnknownReference):
        await adjust(shop, line(shop.location, "1", "1"))
    with pytest.raises(DateInFuture):
        await adjust(shop, line(shop.lamp, "1", "1"), on=date(2999, 1, 1))


async def test_metres_have_three_decimals(shop: Shop) -> None:
    await adjust(shop, line(shop.rope, "1.125", "0.80"))
    assert await shop.level(shop.rope) == ("1.125", "0")


async def test_an_external_id_is_used_once(shop: Shop) -> None:
    await adjust(shop, line(shop.lamp, "1", "1"), external_id="count-1")
    with pytest.raises(Duplicate) as refusal:
        await adjust(shop, line(shop.lamp, "1", "1"), external_id="count-1")
    assert refusal.value.pointer == "/external_id"
    assert await shop.wrong() == {}, "the number of the refused one was given back"


async def test_a_late_document_moves_to_the_first_open_day_or_is_refused(shop: Shop) -> None:
    period = await shop.period(date(2026, 1, 15))
    await shop.run(close_period, period.id, ClosePeriodInput(state="closed", reason="Year end done"))
    with pytest.raises(PeriodClosed):
        await adjust(shop, line(shop.lamp, "1", "1"), on=date(2026, 1, 15), strict_date=True)
    late = await adjust(shop, line(shop.lamp, "1", "1"), on=date(2026, 1, 15))
    assert (late.date, late.accounting_date, late.date_shifted) == (date(2026, 1, 15), date(2026, 2, 1), True)
    assert await shop.wrong() == {}


async def test_a_late_write_off_cannot_take_what_arrived_later(shop: Shop) -> None:
    await shop.receive(shop.lamp, "3", on=date(2026, 2, 1))
    await shop.receive(shop.lamp, "5", on=MARCH)
    with pytest.raises(InsufficientStock) as refusal:
        await adjust(shop, line(shop.lamp, "-4"), on=date(2026, 2, 20))
    assert refusal.value.facts["shortages"][0]["available"] == "3"
    await adjust(shop, line(shop.lamp, "-3"), on=date(2026, 2, 20))
    assert await shop.wrong() == {}


async def test_a_late_write_off_cannot_take_what_a_later_document_needed(shop: Shop) -> None:
    await shop.receive(shop.lamp, "5", on=date(2026, 2, 1))
    await adjust(shop, line(shop.lamp, "-5"), on=date(2026, 2, 10))
    await shop.receive(shop.lamp, "9", on=MARCH)
    with pytest.raises(InsufficientStock):
        await adjust(shop, line(shop.lamp, "-1"), on=date(2026, 2, 5))


async def test_an_adjustment_takes_four_round_trips_however_many_lines(shop: Shop) -> None:
    many = [line(shop.lamp, "1", "2.00"), line(shop.cup, "1", "2.00"), line(shop.rope, "1", "2.00")] * 30
    data = CreateAdjustmentInput(reason="opening_stock", lines=many, date=MARCH)
    _, few = await shop.counted(create_adjustment, CreateAdjustmentInput(reason="x_y", lines=many[:1], date=MARCH))
    _, counted = await shop.counted(create_adjustment, data)
    assert (few.postgres, counted.postgres) == (4, 4)
    assert len(counted.statements) == len(few.statements)


async def test_goods_cannot_move_once_the_numbers_are_taken(shop: Shop) -> None:
    """What the moves make of levels and costs is written before the numbers, for which others wait."""
    await shop.receive(shop.lamp, "10")
    pairs = [(shop.lamp, shop.location)]

    async def too_late(work: UnitOfWork) -> None:
        periods, roles, levels, costs = await work.load(*ledger_loads(MARCH), *stock_loads(pairs))
        ledger, stock = open_ledger(periods, roles, MARCH), Stock(levels, costs, "GBP")
        stock.issue(None, shop.lamp, shop.location, Decimal(1))
        await numbered(work, ledger, stock, "adjustment")
        stock.issue(None, shop.lamp, shop.location, Decimal(1))

    with pytest.raises(RuntimeError, match="make all of them before"):
        await shop.run(too_late)
    assert await shop.level(shop.lamp) == ("10", "0")
    assert await shop.wrong() == {}
