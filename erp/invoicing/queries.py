"""Reading invoices and credit notes, from a replica."""

from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Text, Uuid, bindparam, cast, func, literal, select
from sqlalchemy.dialects.postgresql import ARRAY, aggregate_order_by

from db.statement import TENANT, Statement
from erp.accounting.facts import open_amount_of
from erp.http.filters import eq, in_, prefix, span
from erp.http.listing import Listing
from erp.invoicing.models import invoices
from erp.invoicing.repository import INVOICE_COLUMNS, InvoiceRow


class ShownInvoice(NamedTuple):
    """A document with what is open of it and the credit notes that take it back."""

    invoice: InvoiceRow
    open_amount: Decimal | None
    credited_by: list[UUID]


def _shown(*columns: Any) -> ShownInvoice:
    return ShownInvoice(InvoiceRow(*columns[:-2]), columns[-2], columns[-1])


_credit = invoices.alias("credit")
_credited_by = (
    select(
        func.coalesce(
            func.array_agg(aggregate_order_by(_credit.c.id, _credit.c.created_at, _credit.c.id)),
            cast(literal("{}", Text), ARRAY(Uuid)),
        )
    )
    .where(_credit.c.tenant_id == invoices.c.tenant_id, _credit.c.credits_id == invoices.c.id)
    .scalar_subquery()
)
_open = open_amount_of(invoices.c.id).label("open_amount")

INVOICE: Statement[ShownInvoice] = Statement(
    select(*INVOICE_COLUMNS, _open, _credited_by).where(
        invoices.c.tenant_id == TENANT, invoices.c.id == bindparam("invoice_id", type_=Uuid)
    ),
    _shown,
)

INVOICES: Listing[ShownInvoice] = Listing(
    select=select(*INVOICE_COLUMNS, _open, cast(literal("{}", Text), ARRAY(Uuid)).label("credited_by")).where(
        invoices.c.tenant_id == TENANT
    ),
    row=_shown,
    key=invoices.c.id,
    sorts={"created_at": invoices.c.created_at, "date": invoices.c.date},
    default="-created_at",
    filters={
        "kind": eq(invoices.c.kind),
        "state": in_(invoices.c.state),
        "number": (eq(invoices.c.number), prefix(invoices.c.number)),
        "party_id": in_(invoices.c.party_id),
        "order_id": eq(invoices.c.order_id),
        "credits_id": eq(invoices.c.credits_id),
        "date": (eq(invoices.c.date), span(invoices.c.date)),
        "due_date": span(invoices.c.due_date),
        "created_at": span(invoices.c.created_at),
        "external_id": eq(invoices.c.external_id),
    },
)
