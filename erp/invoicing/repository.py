"""Write-side statements of invoices."""

from datetime import datetime
from decimal import Decimal
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import Boolean, DateTime, Integer, Numeric, Text, Uuid, bindparam, cast, delete, func, select, update
from sqlalchemy import Date as SqlDate
from sqlalchemy.dialects.postgresql import insert

from db.statement import TENANT, Statement, any_of, rows_of
from erp.accounting.facts import open_amount_of, overdue_documents
from erp.accounting.posting import PeriodRow, open_period_on
from erp.invoicing.models import invoice_lines, invoice_reminders, invoices
from erp.kernel.text import Date


class InvoiceRow(NamedTuple):
    """A document as stored; number, accounting_date and posted_at are there when it is posted."""

    id: UUID
    kind: str
    state: str
    number: str | None
    party_id: UUID
    date: Date
    due_date: Date
    accounting_date: Date | None
    currency: str
    prices_include_tax: bool
    tax_rounding: str
    net: Decimal
    tax: Decimal
    gross: Decimal
    line_count: int
    order_id: UUID | None
    credits_id: UUID | None
    entry_id: UUID | None
    text: str
    external_id: str | None
    version: int
    created_at: datetime
    posted_at: datetime | None


class LineRow(NamedTuple):
    line_no: int
    product_id: UUID | None
    description: str
    quantity: Decimal
    unit_code: str
    unit_price: Decimal
    discount_percent: Decimal
    tax_group_id: UUID | None
    tax_rate: Decimal
    net: Decimal
    tax: Decimal
    gross: Decimal
    account: str
    source_line_id: UUID | None
    credits_line_no: int | None


class CreditedRow(NamedTuple):
    """What posted credit notes took back of one line so far."""

    line_no: int
    quantity: Decimal
    net: Decimal
    tax: Decimal


class NotedRow(NamedTuple):
    id: UUID
    invoice_id: UUID


class OverdueRow(NamedTuple):
    invoice_id: UUID
    number: str
    party_id: UUID
    due_date: Date
    open_amount: Decimal
    currency: str


INVOICE_COLUMNS = tuple(invoices.c[name] for name in InvoiceRow._fields)
LINE_COLUMNS = tuple(invoice_lines.c[name] for name in LineRow._fields)
_this_invoice = (invoices.c.tenant_id == TENANT, invoices.c.id == bindparam("invoice_id", type_=Uuid))

PEEK_INVOICE: Statement[InvoiceRow] = Statement(select(*INVOICE_COLUMNS).where(*_this_invoice), InvoiceRow)
#: The period comes before the document in the order of locks, and the document's date decides which one it is.
_document = select(invoices.c.date).where(*_this_invoice).cte("document")
PERIOD_OF_INVOICE: Statement[PeriodRow] = open_period_on(select(_document.c.date).scalar_subquery())
LOCK_INVOICE: Statement[InvoiceRow] = Statement(
    select(*INVOICE_COLUMNS).where(*_this_invoice).with_for_update(), InvoiceRow
)
LINES: Statement[LineRow] = Statement(
    select(*LINE_COLUMNS)
    .where(invoice_lines.c.tenant_id == TENANT, invoice_lines.c.invoice_id == bindparam("invoice_id", type_=Uuid))
    .order_by(invoice_lines.c.line_no),
    LineRow,
)

ADD_INVOICE: Statement[tuple[()]] = Statement(
    insert(invoices).values(tenant_id=TENANT, **{name: bindparam(name) for name in InvoiceRow._fields})
)

_line = rows_of(
    line_nos=Integer, product_ids=Uuid, descriptions=Text, quantities=Numeric, unit_codes=Text, unit_prices=Numeric,
    discounts=Numeric, tax_groups=Uuid, tax_rates=Numeric, nets=Numeric, taxes=Numeric, grosses=Numeric,
    accounts=Text, sources=Uuid, credited_lines=Integer,
)  # fmt: skip
ADD_LINES: Statement[tuple[()]] = Statement(
    insert(invoice_lines).from_select(
        ["tenant_id", "invoice_id", *LineRow._fields],
        select(cast(TENANT, Uuid), cast(bindparam("invoice_id"), Uuid), *_line.c),
    )
)
DROP_LINES: Statement[tuple[()]] = Statement(
    delete(invoice_lines).where(
        invoice_lines.c.tenant_id == TENANT, invoice_lines.c.invoice_id == bindparam("invoice_id", type_=Uuid)
    )
)

SET_DRAFT: Statement[tuple[()]] = Statement(
    update(invoices)
    .where(*_this_invoice)
    .values(
        date=bindparam("new_date", type_=SqlDate),
        due_date=bindparam("new_due_date", type_=SqlDate),
        prices_include_tax=bindparam("new_prices_include_tax", type_=Boolean),
        tax_rounding=bindparam("new_tax_rounding"),
        net=bindparam("new_net", type_=Numeric),
        tax=bindparam("new_tax", type_=Numeric),
        gross=bindparam("new_gross", type_=Numeric),
        line_count=bindparam("new_line_count", type_=Integer),
        text=bindparam("new_text"),
        version=invoices.c.version + 1,
    )
)
SET_POSTED: Statement[tuple[()]] = Statement(
    update(invoices)
    .where(*_this_invoice)
    .values(
        state="posted",
        number=bindparam("new_number"),
        accounting_date=bindparam("new_accounting_date", type_=SqlDate),
        entry_id=bindparam("new_entry_id", type_=Uuid),
        posted_at=bindparam("new_posted_at", type_=DateTime(timezone=True)),
        version=invoices.c.version + 1,
    )
)
SET_CANCELLED: Statement[tuple[()]] = Statement(
    update(invoices).where(*_this_invoice).values(state="cancelled", version=invoices.c.version + 1)
)

_credit = invoices.alias("credit")
#: The credited invoice's row is locked before, so no other credit note of it can be on its way.
CREDITED: Statement[CreditedRow] = Statement(
    select(
        invoice_lines.c.credits_line_no,
        func.sum(invoice_lines.c.quantity),
        func.sum(invoice_lines.c.net),
        func.sum(invoice_lines.c.tax),
    )
    .join(_credit, (_credit.c.tenant_id == invoice_lines.c.tenant_id) & (_credit.c.id == invoice_lines.c.invoice_id))
    .where(
        invoice_lines.c.tenant_id == TENANT,
        _credit.c.credits_id == bindparam("invoice_id", type_=Uuid),
        _credit.c.state == "posted",
    )
    .group_by(invoice_lines.c.credits_line_no),
    CreditedRow,
)

_overdue = overdue_documents("invoice")
_noted = invoice_reminders.alias("noted")
_new_reminder = insert(invoice_reminders).from_select(
    ["tenant_id", "id", "invoice_id", "level", "noted_on"],
    select(
        cast(TENANT, Uuid),
        func.gen_random_uuid(),
        _overdue.c.document_id,
        cast(bindparam("level"), Integer),
        cast(bindparam("today"), SqlDate),
    )
    .where(
        ~select(_noted.c.id)
        .where(
            _noted.c.tenant_id == TENANT,
            _noted.c.invoice_id == _overdue.c.document_id,
            _noted.c.level == cast(bindparam("level"), Integer),
        )
        .exists()
    )
    .order_by(_overdue.c.due_date, _overdue.c.document_id)
    .limit(bindparam("limit_", type_=Integer)),
)
#: Two runs at once: the unique index lets one of them note an invoice, the other skips it.
NOTE_OVERDUE: Statement[NotedRow] = Statement(
    _new_reminder.on_conflict_do_nothing(index_elements=["tenant_id", "invoice_id", "level"]).returning(
        invoice_reminders.c.id, invoice_reminders.c.invoice_id
    ),
    NotedRow,
)
OVERDUE_FACTS: Statement[OverdueRow] = Statement(
    select(
        invoices.c.id, invoices.c.number, invoices.c.party_id, invoices.c.due_date,
        func.coalesce(open_amount_of(invoices.c.id), 0), invoices.c.currency,
    ).where(invoices.c.tenant_id == TENANT, invoices.c.id == any_of("invoice_ids", Uuid)),
    OverdueRow,
)  # fmt: skip
