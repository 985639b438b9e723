"""Confirming an order, and reserving again what it does not hold any more."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any
from uuid import UUID

from erp.inventory.reservations import SALES_TTL, Hold, expiry, reservations_of, save_reservations
from erp.inventory.stock import Stock, level_loads
from erp.parties.facts import PartyFacts
from erp.sales.credit import check_credit, check_may_override, credit_loads, credit_operation, note_override
from erp.sales.documents import OrderView
from erp.sales.errors import OrderChanged
from erp.sales.order_state import check, state_after
from erp.sales.planning import held_by_line, pairs_ahead, pairs_of, plan_holds
from erp.sales.repository import LOCK_ORDER, ORDER_AHEAD, ORDER_LINES
from erp.sales.rows import LineRow, OrderRow
from erp.sales.saving import add_order, held_facts, move_lines, order_of, progress, set_state, tell_order
from erp.sales.schemas import ConfirmOrderInput, ReserveOrderInput
from erp.sales.views import order_view
from tenancy.locks import stock_operation
from tenancy.work import UnitOfWork


async def create_confirmed(
    work: UnitOfWork,
    draft: OrderRow,
    lines: Sequence[LineRow],
    party: PartyFacts,
    *,
    allow_partial: bool,
    override: str | None,
) -> OrderView:
    """Save a new order confirmed, with its reservations. Raises InsufficientStock, CreditLimitExceeded, Forbidden."""
    check_may_override(work, override)
    stock, credit = await _locked_levels(work, lines, draft, limited=party.credit_limit is not None)
    holds = plan_holds(stock, lines, draft.location_id, {}, allow_partial=allow_partial, pointers=True)
    beyond = check_credit(work, draft.gross, credit, override)
    rendered = services_rendered(lines)
    order = draft._replace(state=state_after("draft", "confirm", rendered), confirmed_at=work.now)
    add_order(work, order, rendered)
    held = _hold(work, order, stock, holds)
    facts = {"reserved": held_facts(held, rendered), **beyond}
    tell_order(work, order, "confirmed", facts=facts, lines=rendered, levels=stock.level_facts())
    note_override(work, order.id, beyond)
    return order_view(order, rendered, held)


async def _locked_levels(
    work: UnitOfWork, lines: Sequence[LineRow], order: OrderRow, *, limited: bool
) -> tuple[Stock, list[list[Any]]]:
    """The stock of the order's goods, and what its party owes when that is limited."""
    pairs = pairs_of(lines, order.location_id)
    if not pairs and not limited:
        return Stock([], [], work.tenant.base_currency), []
    await credit_operation(work, order.party_id, limited=limited)
    await stock_operation(work, pairs)
    *credit, levels = await work.load(*credit_loads(order.party_id, limited=limited), level_loads(pairs))
    return Stock(levels, [], work.tenant.base_currency), credit


async def confirm_order(work: UnitOfWork, order_id: UUID, data: ConfirmOrderInput | None = None) -> OrderView:
    """Confirm a draft: its stock is reserved, all of it or (asked for) what is there; services are due.

    Raises NotFound, VersionConflict, InvalidState, InsufficientStock, CreditLimitExceeded, Forbidden.
    """
    asked = data or ConfirmOrderInput()
    check_may_override(work, asked.credit_override)
    [peeked] = await work.peek(ORDER_AHEAD(order_id=order_id))
    seen = order_of(peeked, order_id)
    check(seen.state, "confirm")
    pairs = pairs_ahead(seen)
    await credit_operation(work, seen.party_id, limited=seen.limited)
    await stock_operation(work, pairs)
    found, lines, *credit, levels = await work.load(
        LOCK_ORDER(order_id=order_id), ORDER_LINES(order_id=order_id),
        *credit_loads(seen.party_id, limited=seen.limited), level_loads(pairs),
    )  # fmt: skip
    order = order_of(found, order_id)
    work.check_version(order.version)
    check(order.state, "confirm")
    if order.party_id != seen.party_id or pairs_of(lines, order.location_id) != pairs:
        raise OrderChanged(order_id=str(order_id))
    stock = Stock(levels, [], work.tenant.base_currency)
    holds = plan_holds(stock, lines, order.location_id, {}, allow_partial=asked.allow_partial)
    beyond = check_credit(work, order.gross, credit, asked.credit_override)
    rendered = services_rendered(lines)
    after = set_state(work, order, state=state_after(order.state, "confirm", rendered), confirmed_at=work.now)
    move_lines(work, lines, rendered)
    held = _hold(work, after, stock, holds)
    facts = {"reserved": held_facts(held, rendered), **beyond}
    if services := progress(lines, rendered):
        facts["progress"] = services
    tell_order(work, after, "confirmed", before=order, facts=facts, levels=stock.level_facts())
    note_override(work, order.id, beyond)
    return order_view(after, rendered, held)


async def reserve_order(work: UnitOfWork, order_id: UUID, data: ReserveOrderInput | None = None) -> OrderView:
    """Reserve what a confirmed order does not hold: a backorder goods came in for, or expired reservations.

    Raises NotFound, VersionConflict, InvalidState, InsufficientStock.
    """
    [peeked] = await work.peek(ORDER_AHEAD(order_id=order_id))
    seen = order_of(peeked, order_id)
    check(seen.state, "reserve")
    pairs = pairs_ahead(seen)
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
    facts = {"reserved": held_facts(held, lines)}
    tell_order(work, after, "reserved", before=order, facts=facts, levels=stock.level_facts())
    return order_view(after, lines, held)


def services_rendered(lines: Sequence[LineRow]) -> list[LineRow]:
    """Services need no delivery: what is ordered counts as delivered."""
    return [line if line.goods else line._replace(delivered=line.wanted) for line in lines]


def _hold(work: UnitOfWork, order: OrderRow, stock: Stock, holds: Sequence[Hold]) -> dict[UUID, Decimal]:
    """Queue the reservations with their levels; order line -> what they hold."""
    stock.save_levels(work)
    save_reservations(
        work, holds, expires_at=expiry(work, SALES_TTL), source_type="sales_order", source_id=order.id,
        reference=order.number,
    )  # fmt: skip
    return {hold.line_id: hold.quantity for hold in holds if hold.line_id is not None}
