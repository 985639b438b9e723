"""What other slices read of invoices, as statements for their own loads."""

from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Numeric,
    Select,
    Subquery,
    Uuid,
    and_,
    bindparam,
    case,
    cast,
    func,
    literal_column,
    select,
)

from db.statement import TENANT, Bound, Statement
from erp.invoicing.models import invoice_lines, invoices

__all__ = ["InvoicedLine", "drafted_for", "invoiced_by_line", "invoiced_lines", "invoiced_of_line", "reopened_orders"]

_ZERO = cast(0, Numeric)


class InvoicedLine(NamedTuple):
    """How much of an order's line is on its invoices (drafts too, cancelled ones not) and on its credit notes."""

    source_line_id: UUID
    invoiced: Decimal
    credited: Decimal


def _quantity_on(kind: str) -> ColumnElement[Decimal]:
    counted = and_(invoices.c.kind == kind, invoices.c.state != "cancelled")
    return func.coalesce(func.sum(invoice_lines.c.quantity).filter(counted), 0)


_INVOICED = Statement(
    select(
        invoice_lines.c.source_line_id,
        _quantity_on("invoice"),
        _quantity_on("credit_note"),
    )
    .join(
        invoices,
        and_(invoices.c.tenant_id == invoice_lines.c.tenant_id, invoices.c.id == invoice_lines.c.invoice_id),
    )
    .where(
        invoice_lines.c.tenant_id == TENANT,
        invoices.c.order_id == bindparam("order_id", type_=Uuid),
        invoice_lines.c.source_line_id.is_not(None),
    )
    .group_by(invoice_lines.c.source_line_id),
    InvoicedLine,
)


def invoiced_lines(order_id: UUID) -> Bound[InvoicedLine]:
    """The order's lines that are on any invoice or credit note; lock the order first."""
    return _INVOICED(order_id=order_id)


def invoiced_of_line(line_id: ColumnElement[Any]) -> ColumnElement[Any]:
    """How much of an order's line is on invoices and drafts, less its credit notes, as a column."""
    signed = case((invoices.c.kind == "invoice", invoice_lines.c.quantity), else_=-invoice_lines.c.quantity)
    return (
        select(func.coalesce(func.sum(signed), _ZERO))
        .join(
            invoices,
            and_(invoices.c.tenant_id == invoice_lines.c.tenant_id, invoices.c.id == invoice_lines.c.invoice_id),
        )
        .where(
            invoice_lines.c.tenant_id == TENANT,
            invoice_lines.c.source_line_id == line_id,
            invoices.c.state != "cancelled",
        )
        .scalar_subquery()
    )


def invoiced_by_line(order_id: ColumnElement[Any]) -> Subquery:
    """The order's lines on any invoice, draft or credit note: `line_id`, and `invoiced` less what was credited."""
    signed = case((invoices.c.kind == "invoice", invoice_lines.c.quantity), else_=-invoice_lines.c.quantity)
    return (
        select(
            invoice_lines.c.source_line_id.label("line_id"),
            func.coalesce(func.sum(signed).filter(invoices.c.state != "cancelled"), _ZERO).label("invoiced"),
        )
        .join(
            invoices,
            and_(invoices.c.tenant_id == invoice_lines.c.tenant_id, invoices.c.id == invoice_lines.c.invoice_id),
        )
        .where(invoice_lines.c.tenant_id == TENANT, invoices.c.order_id == order_id)
        .group_by(invoice_lines.c.source_line_id)
        .subquery("billed_lines")
    )


def drafted_for(party_id: ColumnElement[Any]) -> ColumnElement[Any]:
    """The gross amount of the party's orders that is on drafts, so on no open item yet, as a column."""
    return (
        select(func.coalesce(func.sum(invoices.c.gross), _ZERO))
        .where(
            invoices.c.tenant_id == TENANT,
            invoices.c.party_id == party_id,
            # Written out, not a parameter: it is the condition of an index.
            literal_column("invoices.state = 'draft'"),
            invoices.c.kind == "invoice",
            invoices.c.order_id.is_not(None),
        )
        .scalar_subquery()
    )


def reopened_orders(party_id: ColumnElement[Any]) -> Select[tuple[UUID]]:
    """The party's orders of which an invoice was cancelled or credited: something may be left to invoice again."""
    return select(invoices.c.order_id).where(
        invoices.c.tenant_id == TENANT,
        invoices.c.party_id == party_id,
        literal_column(
            "invoices.order_id IS NOT NULL AND (invoices.kind = 'credit_note' OR invoices.state = 'cancelled')"
        ),
    )
