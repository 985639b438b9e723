"""Cancelling an order or what is left of it: reservations are given back."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from uuid import UUID

from erp.inventory.claims_repository import ReservationRow
from erp.inventory.reservations import reservations_of, take_from
from erp.inventory.stock import Stock, level_loads
from erp.invoicing.facts import InvoicedLine, invoiced_lines
from erp.sales.billing import nothing_left, still_invoiced
from erp.sales.documents import OrderView
from erp.sales.order_state import check, state_after
from erp.sales.planning import held_by_line, named, pairs_of, taken_from
from erp.sales.repository import BILLED, LOCK_ORDER, ORDER, ORDER_LINES
from erp.sales.rows import LineRow
from erp.sales.saving import move_lines, order_of, progress, set_state, tell_order
from erp.sales.schemas import CancelOrderInput
from erp.sales.views import order_view
from tenancy.locks import stock_operation
from tenancy.work import UnitOfWork

_ZERO = Decimal(0)


async def cancel_order(work: UnitOfWork, order_id: UUID, data: CancelOrderInput) -> OrderView:
    """Cancel the lines named, or all that is left: goods not delivered, services not invoiced.

    An order of which something was delivered becomes delivered, any other cancelled once nothing is left. Raises
    NotFound, VersionConflict, InvalidState, MoreThanOpen, NothingToDo.
    """
    found, peeked = await work.peek(ORDER(order_id=order_id), ORDER_LINES(order_id=order_id))
    order = order_of(found, order_id)
    check(order.state, "cancel")
    pairs = pairs_of(peeked, order.location_id)
    await stock_operation(work, pairs)
    found, lines, levels, reserved, invoiced, [billed] = await work.load(
        LOCK_ORDER(order_id=order_id), ORDER_LINES(order_id=order_id), level_loads(pairs),
        reservations_of(order_id), invoiced_lines(order_id), BILLED(order_id=order_id),
    )  # fmt: skip
    order = order_of(found, order_id)
    work.check_version(order.version)
    gone = named(data.lines, lines, cancellable(lines, invoiced))
    after_lines = cancelled(lines, {line.id: quantity for line, quantity in gone})
    state = state_after(order.state, "cancel", after_lines)
    freed = freed_by(after_lines, reserved)
    stock = Stock(levels, [], order.currency)
    for row, quantity in freed:
        stock.release(row.product_id, row.location_id, quantity)
    stock.save_levels(work)
    take_from(work, freed, "released")
    left = nothing_left(after_lines, still_invoiced(invoiced))
    after = set_state(work, order, billed=left, state=state, cancel_reason=data.reason)
    move_lines(work, lines, after_lines)
    facts = {"reason": data.reason, "lines": progress(lines, after_lines)}
    tell_order(work, after, "cancelled", before=order, facts=facts, levels=stock.level_facts())
    return order_view(after, after_lines, left_after(reserved, freed), invoiced, billed)


def cancellable(lines: Sequence[LineRow], invoiced: Sequence[InvoicedLine]) -> dict[int, Decimal]:
    """Line number -> what may still be cancelled. A service counts as delivered, but is due only once invoiced."""
    done = still_invoiced(invoiced)
    return {
        line.line_no: line.open if line.goods else max(_ZERO, line.wanted - done.get(line.id, _ZERO))
        for line in lines
    }


def cancelled(lines: Sequence[LineRow], gone: Mapping[UUID, Decimal]) -> list[LineRow]:
    """The lines without what is gone of them."""
    after = []
    for line in lines:
        quantity = gone.get(line.id, _ZERO)
        rendered = max(_ZERO, quantity - line.open)
        after.append(line._replace(cancelled=line.cancelled + quantity, delivered=line.delivered - rendered))
    return after


def freed_by(lines: Sequence[LineRow], reserved: Sequence[ReservationRow]) -> list[tuple[ReservationRow, Decimal]]:
    """What the reservations hold beyond what is still open."""
    held = held_by_line(reserved)
    excess = {line.id: held.get(line.id, _ZERO) - line.base(line.open) for line in lines}
    return taken_from(reserved, {line_id: quantity for line_id, quantity in excess.items() if quantity > 0})


def left_after(
    reserved: Sequence[ReservationRow], freed: Sequence[tuple[ReservationRow, Decimal]]
) -> dict[UUID, Decimal]:
    """Order line -> what it still holds."""
    held = held_by_line(reserved)
    for row, quantity in freed:
        if row.source_line_id is not None:
            held[row.source_line_id] -= quantity
    return held
