"""What other slices read of invoices, as statements for their own loads."""

from decimal import Decimal
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, Uuid, and_, bindparam, func, select

from db.statement import TENANT, Bound, Statement
from erp.invoicing.models import invoice_lines, invoices

__all__ = ["InvoicedLine", "invoiced_lines"]


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
