"""What hinders the closing of a period, each as one statement: documents up to the period's last day."""

from datetime import date, datetime
from typing import Any, Final, NamedTuple
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Date,
    Select,
    Text,
    Uuid,
    and_,
    bindparam,
    case,
    cast,
    exists,
    func,
    literal_column,
    or_,
    select,
)
from sqlalchemy.dialects.postgresql import JSONB, insert

from db.statement import TENANT, Statement
from erp.accounting.models import periods
from erp.closing.models import period_checks
from erp.http.filters import eq, span
from erp.http.listing import Listing
from erp.invoicing.models import invoice_lines, invoices
from erp.jobs.models import jobs
from erp.payments.models import payments
from erp.purchasing.models import goods_receipts, purchase_order_lines, purchase_orders
from erp.sales.models import deliveries, sales_order_lines, sales_orders

#: Documents shown of each finding.
EXAMPLES: Final = 20


class Found(NamedTuple):
    id: str
    number: str
    total: int


class PeriodRow(NamedTuple):
    id: UUID
    start_date: date
    end_date: date


class CheckRow(NamedTuple):
    id: UUID
    period_id: UUID
    hinders: bool
    findings: list[dict[str, Any]]
    created_at: datetime


_first, _last = cast(bindparam("first"), Date), cast(bindparam("last"), Date)
_draft: ColumnElement[str] = literal_column("'draft'")


def _finding(table: Any, *conditions: Any, number: Any = None) -> Statement[Found]:
    """The first documents of the table that meet the conditions, and how many do."""
    named = table.c.number if number is None else number
    query: Select[Any] = (
        select(cast(table.c.id, Text), named, func.count().over())
        .where(table.c.tenant_id == TENANT, *conditions)
        .order_by(table.c.created_at, table.c.id)
        .limit(EXAMPLES)
    )
    return Statement(query, Found)


def _invoiced_of(line: Any) -> Any:
    """What of an order's line is on invoices, drafts too, less what was credited."""
    signed = case((invoices.c.kind == literal_column("'credit_note'"), -invoice_lines.c.quantity),
                  else_=invoice_lines.c.quantity)  # fmt: skip
    return (
        select(func.coalesce(func.sum(signed), 0))
        .select_from(
            invoice_lines.join(
                invoices,
                and_(invoices.c.tenant_id == invoice_lines.c.tenant_id, invoices.c.id == invoice_lines.c.invoice_id),
            )
        )
        .where(
            invoice_lines.c.tenant_id == TENANT, invoice_lines.c.source_line_id == line.c.id,
            invoices.c.order_id == line.c.order_id, invoices.c.state != literal_column("'cancelled'"),
        )
        .correlate(line)
        .scalar_subquery()
    )  # fmt: skip


_delivered = exists().where(
    deliveries.c.tenant_id == TENANT, deliveries.c.order_id == sales_orders.c.id, deliveries.c.date <= _last
)
_to_invoice = exists().where(
    sales_order_lines.c.tenant_id == TENANT, sales_order_lines.c.order_id == sales_orders.c.id,
    sales_order_lines.c.delivered - sales_order_lines.c.returned > _invoiced_of(sales_order_lines),
    or_(_delivered, sales_order_lines.c.kind == literal_column("'service'")),
)  # fmt: skip
_received = exists().where(
    goods_receipts.c.tenant_id == TENANT, goods_receipts.c.order_id == purchase_orders.c.id,
    goods_receipts.c.date <= _last,
)  # fmt: skip
_to_bill = exists().where(
    purchase_order_lines.c.tenant_id == TENANT, purchase_order_lines.c.order_id == purchase_orders.c.id,
    purchase_order_lines.c.received > purchase_order_lines.c.billed,
)  # fmt: skip
_none: ColumnElement[str] = literal_column("''")

#: rule -> (whether it hinders, its statement)
RULES: Final[dict[str, tuple[bool, Statement[Found]]]] = {
    "draft_invoices": (
        True,
        _finding(
            invoices, invoices.c.state == _draft, invoices.c.date.between(_first, _last),
            number=func.coalesce(invoices.c.number, _none),
        ),
    ),
    "draft_sales_orders": (
        False,
        _finding(sales_orders, sales_orders.c.state == _draft, sales_orders.c.date.between(_first, _last)),
    ),
    "draft_purchase_orders": (
        False,
        _finding(purchase_orders, purchase_orders.c.state == _draft, purchase_orders.c.date.between(_first, _last)),
    ),
    "deliveries_not_invoiced": (
        True,
        _finding(
            sales_orders, ~sales_orders.c.billed, sales_orders.c.date <= _last,
            sales_orders.c.state.in_(
                [literal_column(f"'{state}'") for state in ("confirmed", "partially_delivered", "delivered")]
            ),
            _to_invoice,
        ),
    ),
    "receipts_not_billed": (
        True,
        _finding(
            purchase_orders,
            purchase_orders.c.state.in_([literal_column("'partially_received'"), literal_column("'received'")]),
            _received, _to_bill,
        ),
    ),
    "unallocated_payments": (
        True,
        _finding(
            payments, payments.c.unallocated > 0, payments.c.date <= _last,
            payments.c.state == literal_column("'posted'")
        ),
    ),
}  # fmt: skip

PERIOD: Statement[PeriodRow] = Statement(
    select(periods.c.id, periods.c.start_date, periods.c.end_date).where(
        periods.c.tenant_id == TENANT,
        or_(
            periods.c.id == cast(bindparam("period_id"), Uuid),
            cast(bindparam("day"), Date).between(periods.c.start_date, periods.c.end_date),
        ),
    ),
    PeriodRow,
)
ADD_CHECK = Statement(
    insert(period_checks).values(
        tenant_id=TENANT, id=bindparam("id"), period_id=bindparam("period_id"), hinders=bindparam("hinders"),
        findings=cast(bindparam("findings"), JSONB), created_at=bindparam("created_at"),
    )
)  # fmt: skip
UNFINISHED_JOB: Statement[tuple[UUID]] = Statement(
    select(jobs.c.id).where(
        jobs.c.tenant_id == TENANT,
        jobs.c.unique_key == bindparam("unique_key", type_=Text),
        jobs.c.phase == literal_column("'unfinished'"),
    )
)
_checks = select(*(period_checks.c[name] for name in CheckRow._fields)).where(period_checks.c.tenant_id == TENANT)
CHECK: Statement[CheckRow] = Statement(
    _checks.where(period_checks.c.id == bindparam("check_id", type_=Uuid)), CheckRow
)  # fmt: skip
CHECKS: Listing[CheckRow] = Listing(
    select=_checks,
    row=CheckRow,
    key=period_checks.c.id,
    sorts={"created_at": period_checks.c.created_at},
    default="-created_at",
    filters={
        "period_id": eq(period_checks.c.period_id),
        "hinders": eq(period_checks.c.hinders),
        "created_at": span(period_checks.c.created_at),
    },
)
