"""Queueing the rows and events of orders, deliveries and returns. One statement per table, whatever the lines."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, TypeVar
from uuid import UUID

from erp.kernel.errors import NotFound
from erp.kernel.money import money_text
from erp.kernel.quantity import quantity_text
from erp.sales.repository import (
    ADD_DELIVERY,
    ADD_DELIVERY_LINES,
    ADD_LINES,
    ADD_ORDER,
    ADD_RETURN,
    ADD_RETURN_LINES,
    DELIVERY_LINE_ARRAYS,
    LINE_ARRAYS,
    MOVE_LINES,
    RETURN_LINE_ARRAYS,
    SET_STATE,
)
from erp.sales.rows import DeliveryLineRow, DeliveryRow, LineRow, OrderAhead, OrderRow, ReturnLineRow, ReturnRow
from tenancy.trail import Event
from tenancy.work import UnitOfWork

Seen = TypeVar("Seen", OrderRow, OrderAhead)

_ZERO = Decimal(0)
#: The form of the data of `sales_order.*`: since 2 an order can be rebuilt from its events (see erp/eventstore).
ORDER_SCHEMA = 2


def order_of(found: Sequence[Seen], order_id: UUID) -> Seen:
    """Raises NotFound."""
    if not found:
        raise NotFound(order_id=str(order_id))
    return found[0]


def arrays(names: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> dict[str, list[Any]]:
    """Rows as the array parameters of a set-based statement."""
    return {name: list(column) for name, column in zip(names, zip(*rows, strict=True), strict=True)}


def add_order(work: UnitOfWork, row: OrderRow, lines: Sequence[LineRow]) -> None:
    work.save(ADD_ORDER(**row._asdict()))
    add_lines(work, row.id, lines)


def add_lines(work: UnitOfWork, order_id: UUID, lines: Sequence[LineRow]) -> None:
    work.save(ADD_LINES(order_id=order_id, **arrays(LINE_ARRAYS, lines)))


def add_delivery(work: UnitOfWork, row: DeliveryRow) -> None:
    work.save(ADD_DELIVERY(**row._asdict()))


def add_delivery_lines(work: UnitOfWork, delivery_id: UUID, lines: Sequence[DeliveryLineRow]) -> None:
    """They may go ahead of the note, which bears a number; behind the lines of the order."""
    work.save(ADD_DELIVERY_LINES(delivery_id=delivery_id, **arrays(DELIVERY_LINE_ARRAYS, lines)))


def add_return(work: UnitOfWork, row: ReturnRow) -> None:
    work.save(ADD_RETURN(**row._asdict()))


def add_return_lines(work: UnitOfWork, return_id: UUID, lines: Sequence[ReturnLineRow]) -> None:
    """They may go ahead of the receipt, which bears a number."""
    work.save(ADD_RETURN_LINES(return_id=return_id, **arrays(RETURN_LINE_ARRAYS, lines)))


def move_lines(work: UnitOfWork, before: Sequence[LineRow], after: Sequence[LineRow]) -> None:
    """Queue how far the lines have come: what was cancelled, delivered and returned since `before`."""
    changes = [
        (new.id, new.cancelled - old.cancelled, new.delivered - old.delivered, new.returned - old.returned)
        for old, new in zip(before, after, strict=True)
    ]
    changes = [change for change in changes if any(change[1:])]
    if changes:
        work.save(MOVE_LINES(**arrays(("ids", "cancelleds", "delivereds", "returneds"), changes)))


def set_state(work: UnitOfWork, before: OrderRow, *, billed: bool = False, **changes: Any) -> OrderRow:
    """Queue a new version of the order with these changes of its state. `billed`: nothing is left to invoice."""
    after = before._replace(**changes, version=before.version + 1)
    work.save(
        SET_STATE(
            order_id=after.id, new_state=after.state, new_confirmed_at=after.confirmed_at,
            new_cancel_reason=after.cancel_reason, now_billed=billed,
        )
    )  # fmt: skip
    return after


def tell_order(
    work: UnitOfWork,
    row: OrderRow,
    what: str,
    *,
    before: OrderRow | None = None,
    facts: Mapping[str, Any] | None = None,
    lines: Sequence[LineRow] | None = None,
    levels: Sequence[Mapping[str, Any]] = (),
) -> None:
    """The event and the audit entry of one change. `lines`: where the event has to carry them whole.

    `levels`: what the change did to stock levels (`Stock.level_facts`).
    """
    header = order_facts(row)
    told = {**header, **order_terms(row), **(facts or {})}
    if lines is not None:
        told["lines"] = [line_facts(line, row.currency) for line in lines]
    if levels:
        told["levels"] = levels
    work.publish(Event("sales_order", row.id, row.version, f"sales_order.{what}", told, ORDER_SCHEMA))
    work.audit(
        f"sales_order.{what}", "sales_order", row.id, before=order_facts(before) if before else None,
        after={**header, **(facts or {})},
    )  # fmt: skip


def order_facts(row: OrderRow) -> dict[str, Any]:
    return {
        "number": row.number, "state": row.state, "party_id": str(row.party_id), "date": row.date.isoformat(),
        "location_id": str(row.location_id), "currency": row.currency, "net": money_text(row.net, row.currency),
        "tax": money_text(row.tax, row.currency), "gross": money_text(row.gross, row.currency),
        "line_count": row.line_count, "external_id": row.external_id,
    }  # fmt: skip


def order_terms(row: OrderRow) -> dict[str, Any]:
    """The rest of the order, for whoever rebuilds it from its events."""
    return {
        "prices_include_tax": row.prices_include_tax, "tax_rounding": row.tax_rounding,
        "payment_terms_days": row.payment_terms_days, "reference": row.reference, "text": row.text,
        "cancel_reason": row.cancel_reason, "direct": row.direct,
        "confirmed_at": row.confirmed_at and row.confirmed_at.isoformat(),
    }  # fmt: skip


def line_facts(line: LineRow, currency: str) -> dict[str, Any]:
    return {
        "id": str(line.id), "line_no": line.line_no, "product_id": str(line.product_id), "kind": line.kind,
        "quantity": quantity_text(line.quantity), "unit_code": line.unit_code,
        "base_quantity": quantity_text(line.base_quantity), "unit_price": quantity_text(line.unit_price),
        "net": money_text(line.net, currency), "tax": money_text(line.tax, currency),
        "gross": money_text(line.gross, currency), "description": line.description,
        "base_decimals": line.base_decimals, "discount_percent": quantity_text(line.discount_percent),
        "tax_group_id": line.tax_group_id and str(line.tax_group_id), "tax_rate": quantity_text(line.tax_rate),
        "delivered": quantity_text(line.delivered),
    }  # fmt: skip


def progress(before: Sequence[LineRow], after: Sequence[LineRow]) -> list[dict[str, Any]]:
    """How far the lines came by a change, for an event: differences of what is cancelled, delivered and returned."""
    return [
        {"line_no": new.line_no}
        | {
            name: quantity_text(getattr(new, name) - getattr(old, name))
            for name in ("cancelled", "delivered", "returned")
            if getattr(new, name) != getattr(old, name)
        }
        for old, new in zip(before, after, strict=True)
        if (new.cancelled, new.delivered, new.returned) != (old.cancelled, old.delivered, old.returned)
    ]


def held_facts(held: Mapping[UUID, Decimal], lines: Sequence[LineRow]) -> list[dict[str, Any]]:
    """What each line holds, for an event."""
    return [
        {"line_no": line.line_no, "reserved": quantity_text(line.in_unit(held[line.id]))}
        for line in lines
        if held.get(line.id)
    ]
