"""Deliveries: goods leave, reservations are used, cost of goods is posted, the note gets its number, all at once."""

from collections.abc import Sequence
from decimal import Decimal
from typing import NamedTuple
from uuid import UUID

from db.identifiers import new_id
from erp.accounting.posting import Ledger, ledger_loads, open_ledger
from erp.inventory.facts import movement_date
from erp.inventory.reservations import reservations_of, take_from
from erp.inventory.stock import (
    Booking,
    Move,
    Stock,
    book_moves,
    numbered,
    past_loads,
    post_moves,
    stock_loads,
    stock_on,
)
from erp.kernel.money import money_text
from erp.kernel.quantity import quantity_text
from erp.sales.documents import DeliveryView
from erp.sales.order_state import check, state_after
from erp.sales.planning import Drop, held_by_line, pairs_ahead, plan_delivery, taken_from
from erp.sales.repository import LOCK_ORDER, ORDER_AHEAD, ORDER_LINES
from erp.sales.rows import DeliveryLineRow, DeliveryRow, LineRow, OrderRow
from erp.sales.saving import add_delivery, add_delivery_lines, move_lines, order_of, set_state, tell_order
from erp.sales.schemas import DeliverOrderInput
from erp.sales.views import delivery_view
from tenancy.locks import stock_operation
from tenancy.trail import Event
from tenancy.work import UnitOfWork

_ZERO = Decimal(0)


async def deliver_order(work: UnitOfWork, order_id: UUID, data: DeliverOrderInput) -> DeliveryView:
    """One delivery of the order; what is left stays open as backorder.

    Raises NotFound, VersionConflict, InvalidState, MoreThanOpen, NothingToDo, InsufficientStock, DateInFuture,
    BackdatedTooFar, BackdatedTooMuch, PeriodClosed, Duplicate.
    """
    on = movement_date(work, data.date)
    [peeked] = await work.peek(ORDER_AHEAD(order_id=order_id))
    seen = order_of(peeked, order_id)
    check(seen.state, "deliver")
    pairs = pairs_ahead(seen)
    await stock_operation(work, pairs)
    periods, roles, found, lines, levels, costs, reserved, *past = await work.load(
        *ledger_loads(on), LOCK_ORDER(order_id=order_id), ORDER_LINES(order_id=order_id), *stock_loads(pairs),
        reservations_of(order_id), *past_loads(work, pairs, on),
    )  # fmt: skip
    order = order_of(found, order_id)
    work.check_version(order.version)
    check(order.state, "deliver")
    ledger = open_ledger(periods, roles, on, strict_date=data.strict_date)
    stock = await stock_on(work, ledger, pairs, levels, costs, past)
    drops = plan_delivery(stock, lines, order.location_id, held_by_line(reserved), data.lines)
    moves = issue(stock, drops, order.location_id)
    after_lines = delivered(lines, drops)
    state = state_after(order.state, "deliver", after_lines)

    booked = await book_delivery(
        work, ledger, stock, new_delivery(work, order, ledger, drops, moves, data.text, data.external_id)
    )
    add_delivery_lines(work, booked.row.id, booked.lines)
    [number] = await numbered(work, ledger, stock, "delivery")
    row, rows = post_delivery(work, ledger, stock, booked, number), booked.lines
    take_from(work, taken_from(reserved, {drop.line.id: drop.reserved for drop in drops}), "consumed")
    after = set_state(work, order, state=state)
    move_lines(work, lines, after_lines)
    facts = {
        "delivery": row.number, "delivery_id": str(row.id),
        "lines": [
            {"line_no": drop.line.line_no, "delivered": quantity_text(drop.quantity)} for drop in drops
        ],
    }  # fmt: skip
    tell_order(work, after, "delivered", before=order, facts=facts)
    return delivery_view(row, rows, after.state, order.currency)


def issue(stock: Stock, drops: Sequence[Drop], location_id: UUID) -> list[Move]:
    """One move a drop, carrying the id of its delivery line."""
    return [
        stock.issue(new_id(), drop.line.product_id, location_id, drop.base, reserved=drop.reserved) for drop in drops
    ]


def delivered(lines: Sequence[LineRow], drops: Sequence[Drop]) -> list[LineRow]:
    """The lines once the drops have left."""
    gone = {drop.line.id: drop.quantity for drop in drops}
    return [line._replace(delivered=line.delivered + gone.get(line.id, _ZERO)) for line in lines]


class Booked(NamedTuple):
    """A note whose goods are booked; it has no number yet."""

    row: DeliveryRow
    lines: list[DeliveryLineRow]
    booking: Booking


def new_delivery(
    work: UnitOfWork,
    order: OrderRow,
    ledger: Ledger,
    drops: Sequence[Drop],
    moves: Sequence[Move],
    text: str,
    external_id: str | None,
) -> tuple[DeliveryRow, list[DeliveryLineRow]]:
    """The note, as far as it is known without its number and its entry."""
    rows = [
        _line(line_no, drop, move) for line_no, (drop, move) in enumerate(zip(drops, moves, strict=True), start=1)
    ]
    return DeliveryRow(
        id=new_id(), number="", order_id=order.id, party_id=order.party_id, location_id=order.location_id,
        date=ledger.document_date, accounting_date=ledger.date, cost=sum((row.cost for row in rows), _ZERO),
        line_count=len(rows), entry_id=None, text=text, external_id=external_id, version=1, created_at=work.now,
    ), rows  # fmt: skip


def _line(line_no: int, drop: Drop, move: Move) -> DeliveryLineRow:
    return DeliveryLineRow(
        id=move.line_id or new_id(), line_no=line_no, order_line_id=drop.line.id, product_id=drop.line.product_id,
        quantity=drop.quantity, unit_code=drop.line.unit_code, base_quantity=drop.base,
        base_decimals=drop.line.base_decimals, unit_cost=move.unit_cost,
        cost=-move.value, returned=_ZERO, returned_cost=_ZERO,
    )  # fmt: skip


async def book_delivery(
    work: UnitOfWork, ledger: Ledger, stock: Stock, note: tuple[DeliveryRow, list[DeliveryLineRow]]
) -> Booked:
    """Queue the moves and their entry's lines (Dr cost of goods / Cr inventory); `add_delivery_lines` is apart."""
    row, lines = note
    booking = await book_moves(
        work, ledger, stock, kind="delivery", counter_role="@cogs", source_type="delivery", source_id=row.id
    )
    return Booked(row._replace(entry_id=booking.entry_id), lines, booking)


def post_delivery(work: UnitOfWork, ledger: Ledger, stock: Stock, booked: Booked, number: str) -> DeliveryRow:
    """Queue the note and the heading of its entry."""
    row, rows = booked.row._replace(number=number), booked.lines
    post_moves(work, ledger, stock, booked.booking, number=number, text=row.text)
    add_delivery(work, row)
    currency = work.tenant.base_currency
    told = {
        "number": row.number, "order_id": str(row.order_id), "party_id": str(row.party_id),
        "date": row.date.isoformat(), "accounting_date": row.accounting_date.isoformat(),
        "cost": money_text(row.cost, currency), "line_count": row.line_count, "external_id": row.external_id,
    }  # fmt: skip
    lines = [
        {
            "order_line_id": str(line.order_line_id), "product_id": str(line.product_id),
            "quantity": quantity_text(line.quantity), "base_quantity": quantity_text(line.base_quantity),
            "cost": money_text(line.cost, currency),
        }
        for line in rows
    ]  # fmt: skip
    known = {**told, "lines": lines, "levels": stock.level_facts()}
    work.publish(Event("delivery", row.id, 1, "delivery.posted", known))
    work.audit("delivery.post", "delivery", row.id, after=told)
    return row
