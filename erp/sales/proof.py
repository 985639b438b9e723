"""What must be true of orders, deliveries and returns."""

from typing import Final

from sqlalchemy import ColumnElement, Numeric, Select, Subquery, Table, and_, case, cast, exists, func, or_, select

from db.statement import TENANT
from erp.accounting.proof_check import Check, check, evidence_row
from erp.inventory.models import stock_moves
from erp.invoicing.models import invoice_lines, invoices
from erp.numbering.audit import number_audit
from erp.sales.models import (
    deliveries,
    delivery_lines,
    sales_order_lines,
    sales_orders,
    sales_return_lines,
    sales_returns,
)

_ZERO = cast(0, Numeric)


def _sum(table: Table, by: ColumnElement[object], what: ColumnElement[object], name: str) -> Subquery:
    return (
        select(by.label("key"), func.sum(what).label("total"))
        .where(table.c.tenant_id == TENANT, by.is_not(None))
        .group_by(by)
        .subquery(name)
    )


def _equals(
    name: str, rule: str, table: Table, kept: ColumnElement[object], summed: Subquery, *only: ColumnElement[bool]
) -> Check:
    """A quantity kept on a row against the sum of the rows it stands for."""
    total = func.coalesce(summed.c.total, _ZERO)
    return check(
        name,
        rule,
        evidence_row(table.name, table.c.id, total, kept)
        .select_from(table.outerjoin(summed, summed.c.key == table.c.id))
        .where(table.c.tenant_id == TENANT, kept != total, *only),
    )


DELIVERED = _equals(
    "delivered",
    "What an order line counts as delivered is the sum of its delivery lines.",
    sales_order_lines,
    sales_order_lines.c.delivered,
    _sum(delivery_lines, delivery_lines.c.order_line_id, delivery_lines.c.quantity, "dropped"),
    sales_order_lines.c.kind == "stocked",
)
RETURNED_OF_ORDER = _equals(
    "returned-of-orders",
    "What came back of an order line is the sum over its delivery lines.",
    sales_order_lines,
    sales_order_lines.c.returned,
    _sum(delivery_lines, delivery_lines.c.order_line_id, delivery_lines.c.returned, "came_back"),
)
RETURNED = _equals(
    "returned-of-deliveries",
    "What came back of a delivery line is the sum of its return lines.",
    delivery_lines,
    delivery_lines.c.returned,
    _sum(sales_return_lines, sales_return_lines.c.delivery_line_id, sales_return_lines.c.quantity, "taken_back"),
)
RETURNED_COST = _equals(
    "returned-at-cost",
    "Goods came back at what they cost when they left.",
    delivery_lines,
    delivery_lines.c.returned_cost,
    _sum(sales_return_lines, sales_return_lines.c.delivery_line_id, sales_return_lines.c.cost, "given_back"),
)

_signed = case((invoices.c.kind == "invoice", invoice_lines.c.quantity), else_=-invoice_lines.c.quantity)
_invoiced = (
    select(invoice_lines.c.source_line_id.label("key"), func.sum(_signed).label("total"))
    .join(
        invoices,
        and_(invoices.c.tenant_id == invoice_lines.c.tenant_id, invoices.c.id == invoice_lines.c.invoice_id),
    )
    .where(
        invoice_lines.c.tenant_id == TENANT,
        invoice_lines.c.source_line_id.is_not(None),
        invoices.c.state == "posted",
    )
    .group_by(invoice_lines.c.source_line_id)
    .subquery("invoiced")
)
INVOICED = check(
    "invoiced-was-delivered",
    "No more of an order line is invoiced than was delivered.",
    evidence_row("sales_order_lines", sales_order_lines.c.id, sales_order_lines.c.delivered, _invoiced.c.total)
    .select_from(sales_order_lines.join(_invoiced, _invoiced.c.key == sales_order_lines.c.id))
    .where(sales_order_lines.c.tenant_id == TENANT, _invoiced.c.total > sales_order_lines.c.delivered),
)

_on_invoices = (
    select(invoice_lines.c.source_line_id.label("key"), func.sum(_signed).label("total"))
    .join(
        invoices,
        and_(invoices.c.tenant_id == invoice_lines.c.tenant_id, invoices.c.id == invoice_lines.c.invoice_id),
    )
    .where(
        invoice_lines.c.tenant_id == TENANT,
        invoice_lines.c.source_line_id.is_not(None),
        invoices.c.state != "cancelled",
    )
    .group_by(invoice_lines.c.source_line_id)
    .subquery("on_invoices")
)
_taken_back = invoices.alias("taken_back")
_to_invoice = sales_order_lines.c.quantity - sales_order_lines.c.cancelled - sales_order_lines.c.returned
BILLED = check(
    "billed-orders",
    "Of an order marked as billed nothing is left to invoice, unless an invoice of it was taken back.",
    evidence_row("sales_order_lines", sales_order_lines.c.id, _to_invoice, func.coalesce(_on_invoices.c.total, _ZERO))
    .select_from(
        sales_order_lines.join(
            sales_orders,
            and_(
                sales_orders.c.tenant_id == sales_order_lines.c.tenant_id,
                sales_orders.c.id == sales_order_lines.c.order_id,
                sales_orders.c.billed,
            ),
        ).outerjoin(_on_invoices, _on_invoices.c.key == sales_order_lines.c.id)
    )
    .where(
        sales_order_lines.c.tenant_id == TENANT,
        _to_invoice > func.coalesce(_on_invoices.c.total, _ZERO),
        ~exists().where(
            _taken_back.c.tenant_id == TENANT,
            _taken_back.c.order_id == sales_orders.c.id,
            or_(_taken_back.c.kind == "credit_note", _taken_back.c.state == "cancelled"),
        ),
    ),
)


def _moved(kind: str, lines: Table, sign: int) -> Select[tuple[object, ...]]:
    """Document lines against their stock moves: same quantity, same cost."""
    return (
        evidence_row(
            lines.name,
            lines.c.id,
            func.concat_ws(" at ", sign * stock_moves.c.quantity, sign * stock_moves.c.value),
            func.concat_ws(" at ", lines.c.base_quantity, lines.c.cost),
        )
        .select_from(
            lines.outerjoin(
                stock_moves,
                and_(
                    stock_moves.c.tenant_id == lines.c.tenant_id,
                    stock_moves.c.source_line_id == lines.c.id,
                    stock_moves.c.kind == kind,
                ),
            )
        )
        .where(
            lines.c.tenant_id == TENANT,
            or_(
                stock_moves.c.id.is_(None),
                sign * stock_moves.c.quantity != lines.c.base_quantity,
                sign * stock_moves.c.value != lines.c.cost,
            ),
        )
    )


DELIVERIES_MOVED = check(
    "deliveries-moved", "Every delivery line has its stock move: same quantity, same cost.",
    _moved("delivery", delivery_lines, -1),
)  # fmt: skip
RETURNS_MOVED = check(
    "returns-moved", "Every return line has its stock move: same quantity, same cost.",
    _moved("return", sales_return_lines, 1),
)  # fmt: skip

_lines = (
    select(
        sales_order_lines.c.order_id,
        func.count().label("lines"),
        func.sum(sales_order_lines.c.net).label("net"),
        func.sum(sales_order_lines.c.gross).label("gross"),
    )
    .where(sales_order_lines.c.tenant_id == TENANT)
    .group_by(sales_order_lines.c.order_id)
    .subquery("lines")
)
TOTALS = check(
    "order-totals",
    "An order's totals are the sums of its lines.",
    evidence_row(
        "sales_orders",
        sales_orders.c.id,
        func.concat_ws(" / ", _lines.c.lines, _lines.c.net, _lines.c.gross),
        func.concat_ws(" / ", sales_orders.c.line_count, sales_orders.c.net, sales_orders.c.gross),
    )
    .select_from(sales_orders.outerjoin(_lines, _lines.c.order_id == sales_orders.c.id))
    .where(
        sales_orders.c.tenant_id == TENANT,
        or_(
            _lines.c.lines.is_distinct_from(sales_orders.c.line_count),
            _lines.c.net.is_distinct_from(sales_orders.c.net),
            _lines.c.gross.is_distinct_from(sales_orders.c.gross),
        ),
    ),
)

DELIVERY_NUMBERS = check(
    "delivery-numbers", "Numbers of deliveries have no gap and no duplicate.",
    number_audit("delivery", select(deliveries.c.number).where(deliveries.c.tenant_id == TENANT)),
)  # fmt: skip
RETURN_NUMBERS = check(
    "return-numbers", "Numbers of returns have no gap and no duplicate.",
    number_audit("return", select(sales_returns.c.number).where(sales_returns.c.tenant_id == TENANT)),
)  # fmt: skip

CHECKS: Final[tuple[Check, ...]] = (
    DELIVERED, RETURNED_OF_ORDER, RETURNED, RETURNED_COST, INVOICED, BILLED, DELIVERIES_MOVED, RETURNS_MOVED, TOTALS,
    DELIVERY_NUMBERS, RETURN_NUMBERS,
)  # fmt: skip
