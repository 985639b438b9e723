"""Differences between the books and the shelf: written off or taken on, with a reason, number and entry."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from uuid import UUID

from db.identifiers import new_id
from db.statement import Bound
from erp.accounting.posting import ledger_loads, open_ledger
from erp.inventory.adjustment_repository import (
    ADD_ADJUSTMENT,
    ADD_ADJUSTMENT_LINES,
    AdjustmentLineRow,
    AdjustmentRow,
)
from erp.inventory.backdating import check_may_record_history
from erp.inventory.facts import (
    LocationFacts,
    check_decimals,
    chosen_location,
    locations_facts,
    movement_date,
    stocked_product,
)
from erp.inventory.schemas import (
    AdjustmentLineInput,
    AdjustmentLineView,
    AdjustmentSummary,
    AdjustmentView,
    CreateAdjustmentInput,
)
from erp.inventory.stock import (
    Demand,
    Move,
    Pair,
    Stock,
    book_moves,
    ensure_levels,
    numbered,
    past_loads,
    post_moves,
    stock_loads,
    stock_on,
    value_at,
)
from erp.kernel.errors import Invalid
from erp.kernel.money import money_text
from erp.kernel.quantity import quantity_text
from erp.kernel.text import decimal
from erp.pricing.facts import SellingFacts, selling_facts
from tenancy.locks import stock_operation
from tenancy.trail import Event
from tenancy.work import UnitOfWork


@dataclass(frozen=True, slots=True)
class Difference:
    """A line of an adjustment, read: `quantity` signed, `unit_cost` only where one was given, `at` its place."""

    product_id: UUID
    location_id: UUID
    quantity: Decimal
    unit_cost: Decimal | None
    at: str

    @property
    def pair(self) -> Pair:
        return self.product_id, self.location_id


async def create_adjustment(work: UnitOfWork, data: CreateAdjustmentInput) -> AdjustmentView:
    """Book the differences: Dr/Cr inventory adjustment at the moving average, found stock at its given cost.

    Raises InsufficientStock (reserved stock cannot be written off), CostUnknown, NotStocked, UnknownReference,
    DateInFuture, BackdatedTooFar, BackdatedTooMuch, PeriodClosed, Duplicate, Forbidden (`history`).
    """
    check_may_record_history(work, data.history)
    on = movement_date(work, data.date)
    named = sorted({line.location_id for line in data.lines if line.location_id is not None})
    products = sorted({line.product_id for line in data.lines})
    places, facts = await work.peek(locations_facts(named), selling_facts(products, on))
    lines = read_lines(data.lines, places, facts)
    pairs = [line.pair for line in lines]
    await stock_operation(work, pairs)
    ensure_levels(work, [line.pair for line in lines if line.quantity > 0])
    periods, roles, levels, costs, *past = await work.load(
        *ledger_loads(on), *stock_loads(pairs), *past_loads(work, pairs, on, history=data.history)
    )
    ledger = open_ledger(periods, roles, on, strict_date=data.strict_date)
    stock = await stock_on(work, ledger, pairs, levels, costs, past, history=data.history)
    moves = apply_lines(stock, lines)

    adjustment_id = new_id()
    booking = await book_moves(
        work, ledger, stock, kind="adjustment", counter_role="@inventory_adjustment", source_type="stock_adjustment",
        source_id=adjustment_id,
    )  # fmt: skip
    [number] = await numbered(work, ledger, stock, "adjustment")
    post_moves(work, ledger, stock, booking, number=number, text=data.reason)
    row = AdjustmentRow(
        id=adjustment_id, number=number, date=on, accounting_date=ledger.date, reason=data.reason, text=data.text,
        value=sum((move.value for move in moves), Decimal(0)), line_count=len(moves), entry_id=booking.entry_id,
        external_id=data.external_id, version=1, created_at=work.now,
    )  # fmt: skip
    rows = [
        AdjustmentLineRow(line_no, move.product_id, move.location_id, move.quantity, move.unit_cost, move.value)
        for line_no, move in enumerate(moves, start=1)
    ]
    _save(work, row, rows, moves, stock)
    return adjustment_view(row, rows, work.tenant.base_currency)


def read_lines(
    lines: Sequence[AdjustmentLineInput], places: Sequence[LocationFacts], facts: Sequence[SellingFacts]
) -> list[Difference]:
    """Raises NotStocked, UnknownReference, LocationInactive, NoDefaultLocation, NotRepresentable, Invalid."""
    known = {row.product_id: row for row in facts}
    found = []
    for index, line in enumerate(lines):
        at = f"/lines/{index}"
        rows = [known[line.product_id]] if line.product_id in known else []
        product = stocked_product(rows, line.product_id, pointer=f"{at}/product_id")
        location = chosen_location(places, line.location_id, pointer=f"{at}/location_id")
        quantity = decimal(line.quantity)
        check_decimals(quantity, product, pointer=f"{at}/quantity")
        if line.unit_cost is not None and quantity < 0:
            raise Invalid("What is lost goes at its average cost: leave `unit_cost` out.", pointer=f"{at}/unit_cost")
        unit_cost = None if line.unit_cost is None else decimal(line.unit_cost)
        found.append(Difference(product.product_id, location.id, quantity, unit_cost, at))
    return found


def apply_lines(stock: Stock, lines: Sequence[Difference]) -> list[Move]:
    """One move a line, in order; everything written off is checked together first."""
    found = [Demand(*line.pair, line.quantity, pointer=f"{line.at}/quantity") for line in lines if line.quantity > 0]
    lost = [Demand(*line.pair, -line.quantity, pointer=f"{line.at}/quantity") for line in lines if line.quantity < 0]
    both = {(demand.product_id, demand.location_id) for demand in found}
    stock.require((demand for demand in lost if (demand.product_id, demand.location_id) not in both), issue=True)
    return [_move(stock, line) for line in lines]


def _move(stock: Stock, line: Difference) -> Move:
    if line.quantity < 0:
        return stock.issue(new_id(), *line.pair, -line.quantity, pointer=f"{line.at}/quantity")
    value = (
        stock.average_value(line.product_id, line.quantity, pointer=f"{line.at}/unit_cost")
        if line.unit_cost is None
        else value_at(line.quantity, line.unit_cost, stock.currency)
    )
    return stock.receive(new_id(), *line.pair, line.quantity, value)


def _save(
    work: UnitOfWork, row: AdjustmentRow, rows: Sequence[AdjustmentLineRow], moves: Sequence[Move], stock: Stock
) -> None:
    work.save(_add(row), _add_lines(row.id, rows, moves))
    told: dict[str, Any] = {
        "number": row.number, "date": row.date.isoformat(), "reason": row.reason,
        "value": money_text(row.value, work.tenant.base_currency),
        "lines": [
            {
                "product_id": str(line.product_id), "location_id": str(line.location_id),
                "quantity": quantity_text(line.quantity), "value": money_text(line.value, work.tenant.base_currency),
            }
            for line in rows
        ],
    }  # fmt: skip
    known = {**told, "levels": stock.level_facts()}
    work.publish(Event("stock_adjustment", row.id, 1, "stock_adjustment.posted", known))
    work.audit("stock_adjustment.post", "stock_adjustment", row.id, after=told)


def _add(row: AdjustmentRow) -> Bound[tuple[()]]:
    return ADD_ADJUSTMENT(**row._asdict())


def _add_lines(adjustment_id: UUID, rows: Sequence[AdjustmentLineRow], moves: Sequence[Move]) -> Bound[tuple[()]]:
    return ADD_ADJUSTMENT_LINES(
        adjustment_id=adjustment_id,
        ids=[move.line_id for move in moves],
        line_nos=[row.line_no for row in rows],
        products=[row.product_id for row in rows],
        locations=[row.location_id for row in rows],
        quantities=[row.quantity for row in rows],
        costs=[row.unit_cost for row in rows],
        amounts=[row.value for row in rows],
    )


def adjustment_view(row: AdjustmentRow, rows: Sequence[AdjustmentLineRow], currency: str) -> AdjustmentView:
    return AdjustmentView(**_header(row, currency), lines=[_line_view(line, currency) for line in rows])


def adjustment_summary(row: AdjustmentRow, currency: str) -> AdjustmentSummary:
    return AdjustmentSummary(**_header(row, currency))


def _header(row: AdjustmentRow, currency: str) -> dict[str, Any]:
    return {
        **row._asdict(), "value": money_text(row.value, currency), "date_shifted": row.accounting_date != row.date
    }  # fmt: skip


def _line_view(row: AdjustmentLineRow, currency: str) -> AdjustmentLineView:
    return AdjustmentLineView(
        line_no=row.line_no, product_id=row.product_id, location_id=row.location_id,
        quantity=quantity_text(row.quantity), unit_cost=quantity_text(row.unit_cost),
        value=money_text(row.value, currency),
    )  # fmt: skip
