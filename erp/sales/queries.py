"""Reading orders, deliveries and returns."""

from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Numeric, Uuid, and_, bindparam, cast, func, select, true

from db.statement import TENANT, Statement
from erp.http.filters import eq, in_, span
from erp.http.listing import Listing
from erp.inventory.claims_repository import held_by_line
from erp.invoicing.facts import invoiced_by_line
from erp.invoicing.models import invoices
from erp.kernel.text import Date
from erp.sales.models import deliveries, sales_order_lines, sales_orders, sales_return_lines, sales_returns
from erp.sales.repository import (
    BILLED_AMOUNTS,
    DELIVERY_COLUMNS,
    LINE_COLUMNS,
    ORDER_COLUMNS,
    RETURN_COLUMNS,
    RETURN_LINE_COLUMNS,
)
from erp.sales.rows import BilledRow, DeliveryRow, LineRow, OrderRow, ReturnLineRow, ReturnRow

_ZERO = cast(0, Numeric)


class StateRow(NamedTuple):
    state: str


class DirectSaleRow(NamedTuple):
    id: UUID
    order_number: str
    delivery_id: UUID | None
    delivery_number: str | None
    invoice_id: UUID
    invoice_number: str
    date: Date
    accounting_date: Date
    currency: str
    net: Decimal
    tax: Decimal
    gross: Decimal
    cost: Decimal
    line_count: int
    external_id: str | None


class DirectCreditRow(NamedTuple):
    id: UUID
    credit_note_number: str
    return_id: UUID | None
    return_number: str | None
    date: Date
    accounting_date: Date
    currency: str
    net: Decimal
    tax: Decimal
    gross: Decimal
    cost: Decimal
    line_count: int
    external_id: str | None


ORDERS: Listing[OrderRow] = Listing(
    select=select(*ORDER_COLUMNS).where(sales_orders.c.tenant_id == TENANT),
    row=OrderRow,
    key=sales_orders.c.id,
    sorts={
        "created_at": sales_orders.c.created_at,
        "date": sales_orders.c.date,
        "number": sales_orders.c.number,
    },
    default="-created_at",
    filters={
        "state": in_(sales_orders.c.state),
        "number": eq(sales_orders.c.number),
        "party_id": eq(sales_orders.c.party_id),
        "reference": eq(sales_orders.c.reference),
        "external_id": eq(sales_orders.c.external_id),
        "direct": eq(sales_orders.c.direct),
        "date": span(sales_orders.c.date),
        "created_at": span(sales_orders.c.created_at),
        "gross": span(sales_orders.c.gross),
    },
)


class ShownLine(NamedTuple):
    """A line with all of its order: `held` for it, `invoiced` of it, and what is billed of the whole order."""

    order: OrderRow
    line: LineRow
    held: Decimal
    invoiced: Decimal
    billed: BilledRow

    @classmethod
    def read(cls, *columns: Any) -> "ShownLine":
        *both, held, invoiced, billed, unpaid = columns
        order, line = both[: len(ORDER_COLUMNS)], both[len(ORDER_COLUMNS) :]
        return cls(OrderRow(*order), LineRow(*line), held, invoiced, BilledRow(billed, unpaid))


_order_id = bindparam("order_id", type_=Uuid)
_held, _invoiced = held_by_line(_order_id), invoiced_by_line(_order_id)
_billed = BILLED_AMOUNTS.subquery("billed_order")
#: All that is shown of an order, by one statement: one snapshot without a transaction's begin and end.
SHOWN_ORDER: Statement[ShownLine] = Statement(
    select(
        *ORDER_COLUMNS, *LINE_COLUMNS, func.coalesce(_held.c.held, _ZERO),
        func.coalesce(_invoiced.c.invoiced, _ZERO), _billed.c.invoiced, _billed.c.open,
    )
    .select_from(sales_orders)
    .join(
        sales_order_lines,
        and_(
            sales_order_lines.c.tenant_id == sales_orders.c.tenant_id,
            sales_order_lines.c.order_id == sales_orders.c.id,
        ),
    )
    .join(_billed, true())
    .outerjoin(_held, _held.c.line_id == sales_order_lines.c.id)
    .outerjoin(_invoiced, _invoiced.c.line_id == sales_order_lines.c.id)
    .where(sales_orders.c.tenant_id == TENANT, sales_orders.c.id == _order_id)
    .order_by(sales_order_lines.c.line_no),
    ShownLine.read,
)  # fmt: skip

#: The state of the order a delivery belongs to.
ORDER_STATE: Statement[StateRow] = Statement(
    select(sales_orders.c.state)
    .join(
        deliveries,
        and_(deliveries.c.tenant_id == sales_orders.c.tenant_id, deliveries.c.order_id == sales_orders.c.id),
    )
    .where(deliveries.c.tenant_id == TENANT, deliveries.c.id == bindparam("delivery_id", type_=Uuid)),
    StateRow,
)

DELIVERIES: Listing[DeliveryRow] = Listing(
    select=select(*DELIVERY_COLUMNS).where(deliveries.c.tenant_id == TENANT),
    row=DeliveryRow,
    key=deliveries.c.id,
    sorts={
        "created_at": deliveries.c.created_at,
        "date": deliveries.c.date,
        "number": deliveries.c.number,
    },
    default="-created_at",
    filters={
        "number": eq(deliveries.c.number),
        "order_id": eq(deliveries.c.order_id),
        "party_id": eq(deliveries.c.party_id),
        "location_id": eq(deliveries.c.location_id),
        "external_id": eq(deliveries.c.external_id),
        "date": span(deliveries.c.date),
        "created_at": span(deliveries.c.created_at),
    },
)

RETURN: Statement[ReturnRow] = Statement(
    select(*RETURN_COLUMNS).where(
        sales_returns.c.tenant_id == TENANT, sales_returns.c.id == bindparam("return_id", type_=Uuid)
    ),
    ReturnRow,
)
RETURN_LINES: Statement[ReturnLineRow] = Statement(
    select(*RETURN_LINE_COLUMNS)
    .where(
        sales_return_lines.c.tenant_id == TENANT,
        sales_return_lines.c.return_id == bindparam("return_id", type_=Uuid),
    )
    .order_by(sales_return_lines.c.line_no),
    ReturnLineRow,
)
RETURNS: Listing[ReturnRow] = Listing(
    select=select(*RETURN_COLUMNS).where(sales_returns.c.tenant_id == TENANT),
    row=ReturnRow,
    key=sales_returns.c.id,
    sorts={
        "created_at": sales_returns.c.created_at,
        "date": sales_returns.c.date,
        "number": sales_returns.c.number,
    },
    default="-created_at",
    filters={
        "number": eq(sales_returns.c.number),
        "delivery_id": eq(sales_returns.c.delivery_id),
        "order_id": eq(sales_returns.c.order_id),
        "credit_note_id": eq(sales_returns.c.credit_note_id),
        "party_id": eq(sales_returns.c.party_id),
        "external_id": eq(sales_returns.c.external_id),
        "date": span(sales_returns.c.date),
        "created_at": span(sales_returns.c.created_at),
    },
)

# A direct sale made one delivery and one invoice; a credit note of it and goods returned later are documents of
# their own.
DIRECT_SALE: Statement[DirectSaleRow] = Statement(
    select(
        sales_orders.c.id, sales_orders.c.number, deliveries.c.id, deliveries.c.number, invoices.c.id,
        invoices.c.number, sales_orders.c.date, invoices.c.accounting_date, sales_orders.c.currency,
        invoices.c.net, invoices.c.tax, invoices.c.gross, func.coalesce(deliveries.c.cost, _ZERO),
        sales_orders.c.line_count, sales_orders.c.external_id,
    )
    .select_from(
        sales_orders.join(
            invoices,
            and_(
                invoices.c.tenant_id == sales_orders.c.tenant_id, invoices.c.order_id == sales_orders.c.id,
                invoices.c.kind == "invoice", invoices.c.state == "posted",
            ),
        ).outerjoin(
            deliveries,
            and_(deliveries.c.tenant_id == sales_orders.c.tenant_id, deliveries.c.order_id == sales_orders.c.id),
        )
    )
    .where(
        sales_orders.c.tenant_id == TENANT, sales_orders.c.id == bindparam("order_id", type_=Uuid),
        sales_orders.c.direct,
    )
    .order_by(invoices.c.created_at)
    .limit(1),
    DirectSaleRow,
)  # fmt: skip

DIRECT_CREDIT: Statement[DirectCreditRow] = Statement(
    select(
        invoices.c.id, invoices.c.number, sales_returns.c.id, sales_returns.c.number, invoices.c.date,
        invoices.c.accounting_date, invoices.c.currency, invoices.c.net, invoices.c.tax, invoices.c.gross,
        func.coalesce(sales_returns.c.cost, _ZERO), invoices.c.line_count, invoices.c.external_id,
    )
    .select_from(
        invoices.outerjoin(
            sales_returns,
            and_(
                sales_returns.c.tenant_id == invoices.c.tenant_id,
                sales_returns.c.credit_note_id == invoices.c.id,
            ),
        )
    )
    .where(
        invoices.c.tenant_id == TENANT, invoices.c.id == bindparam("credit_note_id", type_=Uuid),
        invoices.c.kind == "credit_note", invoices.c.credits_id.is_(None), invoices.c.state == "posted",
    )
    .limit(1),
    DirectCreditRow,
)  # fmt: skip
