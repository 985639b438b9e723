"""Confirming an order, and reserving again what it does not hold any more."""

from collections.abc import Sequence
from decimal import Decimal
from uuid import UUID

from erp.inventory.reservations import Hold, expiry, reservations_of, save_reservations
from erp.inventory.stock import Stock, level_loads
from erp.sales.documents import OrderView
from erp.sales.errors import OrderChanged
from erp.sales.order_state import check, state_after
from erp.sales.planning import held_by_line, pairs_of, plan_holds
from erp.sales.repository import LOCK_ORDER, ORDER, ORDER_LINES
from erp.sales.rows import LineRow, OrderRow
from erp.sales.saving import add_order, held_facts, move_lines, order_of, set_state, tell_order
from erp.sales.schemas import ReserveOrderInput
from erp.sales.views import order_view
from tenancy.locks import stock_operation
from tenancy.work import UnitOfWork

TTL = "sales.reservation_ttl"


async def create_confirmed(
    work: UnitOfWork, draft: OrderRow, lines: Sequence[LineRow], *, allow_partial: bool
) -> OrderView:
    """Save a new order confirmed, with its reservations. Raises InsufficientStock."""
    stock = await _locked_levels(work, lines, draft.location_id)
    holds = plan_holds(stock, lines, draft.location_id, {}, allow_partial=allow_partial, pointers=True)
    rendered = services_rendered(lines)
    order = draft._replace(state=state_after("draft", "confirm", rendered), confirmed_at=work.now)
    add_order(work, order, rendered)
    held = _hold(work, order, stock, holds)
    tell_order(work, order, "confirmed", facts={"reserved": held_facts(held, rendered)}, lines=rendered)
    return order_view(order, rendered, held)


async def _locked_levels(work: UnitOfWork, lines: Sequence[LineRow], location_id: UUID) -> Stock:
    pairs = pairs_of(lines, location_id)
    if not pairs:
        return Stock([], [], work.tenant.base_currency)
    await stock_operation(work, pairs)
    [levels] = await work.load(level_loads(pairs))
    return Stock(levels, [], work.tenant.base_currency)


async def confirm_order(work: UnitOfWork, order_id: UUID, data: ReserveOrderInput | None = None) -> OrderView:
    """Confirm a draft: its stock is reserved, all of it or (asked for) what is there; services are due.

    Raises NotFound, VersionConflict, InvalidState, InsufficientStock.
    """
    found, peeked = await work.peek(ORDER(order_id=order_id), ORDER_LINES(order_id=order_id))
    order = order_of(found, order_id)
    check(order.state, "confirm")
    pairs = pairs_of(peeked, order.location_id)
    await stock_operation(work, pairs)
    found, lines, levels = await work.load(
        LOCK_ORDER(order_id=order_id), ORDER_LINES(order_id=order_id), level_loads(pairs)
    )
    order = order_of(found, order_id)
    work.check_version(order.version)
    check(order.state, "confirm")
    if pairs_of(lines, order.location_id) != pairs:
        raise OrderChanged(order_id=str(order_id))
    stock = Stock(levels, [], work.tenant.base_currency)
    partial = data is not None and data.allow_partial
    holds = plan_holds(stock, lines, order.location_id, {}, allow_partial=partial)
    rendered = services_rendered(lines)
    after = set_state(work, order, state=state_after(order.state, "confirm", rendered), confirmed_at=work.now)
    move_lines(work, lines, rendered)
    held = _hold(work, after, stock, holds)
    tell_order(work, after, "confirmed", before=order, facts={"reserved": held_facts(held, rendered)})
    return order_view(after, rendered, held)


async def reserve_order(work: UnitOfWork, order_id: UUID, data: ReserveOrderInput | None = None) -> OrderView:
    """Reserve what a confirmed order does not hold: a backorder goods came in for, or expired reservations.

    Raises NotFound, VersionConflict, InvalidState, InsufficientStock.
    """
    found, peeked = await work.peek(ORDER(order_id=order_id), ORDER_LINES(order_id=order_id))
    order = order_of(found, order_id)
    check(order.state, "reserve")
    pairs = pairs_of(peeked, order.location_id)
    await stock_operation(work, pairs)
    found, lines, levels, reserved = await work.load(
        LOCK_ORDER(order_id=order_id), ORDER_LINES(order_id=order_id), level_loads(pairs),
        reservations_of(order_id),
    )  # fmt: skip
    order = order_of(found, order_id)
    work.check_version(order.version)
    state = state_after(order.state, "reserve", lines)
    stock, before = Stock(levels, [], work.tenant.base_currency), held_by_line(reserved)
    partial = data is not None and data.allow_partial
    holds = plan_holds(stock, lines, order.location_id, before, allow_partial=partial)
    if not holds:
        return order_view(order, lines, before)
    after = set_state(work, order, state=state)
    added = _hold(work, after, stock, holds)
    held = {line.id: before.get(line.id, Decimal(0)) + added.get(line.id, Decimal(0)) for line in lines}
    tell_order(work, after, "reserved", before=order, facts={"reserved": held_facts(held, lines)})
    return order_view(after, lines, held)


def services_rendered(lines: Sequence[LineRow]) -> list[LineRow]:
    """Services need no delivery: what is ordered counts as delivered."""
    return [line if line.goods else line._replace(delivered=line.wanted) for line in lines]


def _hold(work: UnitOfWork, order: OrderRow, stock: Stock, holds: Sequence[Hold]) -> dict[UUID, Decimal]:
    """Queue the reservations with their levels; order line -> what they hold."""
    stock.save_levels(work)
    save_reservations(
        work, holds, expires_at=expiry(work, TTL), source_type="sales_order", source_id=order.id,
        reference=order.number,
    )  # fmt: skip
    return {hold.line_id: hold.quantity for hold in holds if hold.line_id is not None}
