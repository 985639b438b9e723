"""From rows to what the API shows of orders, deliveries and returns."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Literal
from uuid import UUID

from msgspec.structs import asdict

from erp.invoicing.facts import InvoicedLine
from erp.kernel.money import money_text
from erp.kernel.quantity import quantity_text
from erp.sales.billing import still_invoiced
from erp.sales.documents import (
    DeliveryLineView,
    DeliverySummary,
    DeliveryView,
    OrderLineView,
    OrderSummary,
    OrderView,
    ReturnLineView,
    ReturnSummary,
    ReturnView,
)
from erp.sales.queries import ShownLine
from erp.sales.rows import (
    BilledRow,
    DeliveryLineRow,
    DeliveryRow,
    LineRow,
    OrderRow,
    ReturnLineRow,
    ReturnRow,
)
from erp.sales.saving import order_of

_ZERO = Decimal(0)
_NOT_BILLED = BilledRow(_ZERO, _ZERO)


def order_summary(row: OrderRow) -> OrderSummary:
    currency = row.currency
    return OrderSummary(
        id=row.id, version=row.version, number=row.number, state=row.state, party_id=row.party_id,
        location_id=row.location_id, date=row.date, currency=currency, prices_include_tax=row.prices_include_tax,
        tax_rounding=row.tax_rounding, payment_terms_days=row.payment_terms_days, net=money_text(row.net, currency),
        tax=money_text(row.tax, currency), gross=money_text(row.gross, currency), line_count=row.line_count,
        reference=row.reference, text=row.text, cancel_reason=row.cancel_reason, direct=row.direct,
        external_id=row.external_id, confirmed_at=row.confirmed_at, created_at=row.created_at,
    )  # fmt: skip


def order_view(
    row: OrderRow,
    lines: Sequence[LineRow],
    held: Mapping[UUID, Decimal],
    invoiced: Sequence[InvoicedLine] = (),
    billed: BilledRow = _NOT_BILLED,
) -> OrderView:
    """`held`: order line -> reserved for it, in the product's unit."""
    return _order_view(row, lines, held, still_invoiced(invoiced), billed)


def shown_order(shown: Sequence[ShownLine], order_id: UUID) -> OrderView:
    """Raises NotFound."""
    order = order_of([one.order for one in shown[:1]], order_id)
    return _order_view(
        order, [one.line for one in shown], {one.line.id: one.held for one in shown},
        {one.line.id: one.invoiced for one in shown}, shown[0].billed,
    )  # fmt: skip


def _order_view(
    row: OrderRow,
    lines: Sequence[LineRow],
    held: Mapping[UUID, Decimal],
    done: Mapping[UUID, Decimal],
    billed: BilledRow,
) -> OrderView:
    return OrderView(
        **asdict(order_summary(row)),
        invoice_state=_invoice_state(lines, done),
        payment_state=_payment_state(billed),
        invoiced_amount=money_text(billed.invoiced, row.currency),
        unpaid_amount=money_text(billed.open, row.currency),
        lines=[_line_view(line, row.currency, held, done) for line in lines],
    )


def _line_view(
    line: LineRow, currency: str, held: Mapping[UUID, Decimal], invoiced: Mapping[UUID, Decimal]
) -> OrderLineView:
    reserved = line.in_unit(held.get(line.id, _ZERO))
    return OrderLineView(
        id=line.id, line_no=line.line_no, product_id=line.product_id,
        kind="stocked" if line.goods else "service", description=line.description,
        quantity=quantity_text(line.quantity), unit_code=line.unit_code,
        base_quantity=quantity_text(line.base_quantity), unit_price=quantity_text(line.unit_price),
        discount_percent=quantity_text(line.discount_percent), tax_group_id=line.tax_group_id,
        tax_rate=quantity_text(line.tax_rate), net=money_text(line.net, currency),
        tax=money_text(line.tax, currency), gross=money_text(line.gross, currency),
        cancelled=quantity_text(line.cancelled), reserved=quantity_text(reserved),
        delivered=quantity_text(line.delivered), returned=quantity_text(line.returned),
        invoiced=quantity_text(invoiced.get(line.id, _ZERO)), open=quantity_text(line.open),
        backorder=quantity_text(line.open - reserved if line.goods else _ZERO),
    )  # fmt: skip


def _invoice_state(
    lines: Sequence[LineRow], invoiced: Mapping[UUID, Decimal]
) -> Literal["none", "partly_invoiced", "invoiced"]:
    if not any(invoiced.values()):
        return "none"
    missing = any(line.wanted - line.returned > invoiced.get(line.id, _ZERO) for line in lines)
    return "partly_invoiced" if missing else "invoiced"


def _payment_state(billed: BilledRow) -> Literal["none", "unpaid", "partly_paid", "paid"]:
    if not billed.invoiced:
        return "none"
    if billed.open <= 0:
        return "paid"
    return "unpaid" if billed.open >= billed.invoiced else "partly_paid"


def delivery_summary(row: DeliveryRow, currency: str) -> DeliverySummary:
    return DeliverySummary(**_dated(row, currency))


def delivery_view(
    row: DeliveryRow, lines: Sequence[DeliveryLineRow], order_state: str, currency: str
) -> DeliveryView:
    header = {**_dated(row, currency), "order_state": order_state}
    return DeliveryView(**header, lines=[_delivered(line, currency) for line in lines])


def _dated(row: DeliveryRow | ReturnRow, currency: str) -> dict[str, Any]:
    return {
        **row._asdict(), "cost": money_text(row.cost, currency), "date_shifted": row.accounting_date != row.date
    }  # fmt: skip


def _delivered(line: DeliveryLineRow, currency: str) -> DeliveryLineView:
    return DeliveryLineView(
        id=line.id, line_no=line.line_no, order_line_id=line.order_line_id, product_id=line.product_id,
        quantity=quantity_text(line.quantity), unit_code=line.unit_code,
        base_quantity=quantity_text(line.base_quantity), unit_cost=quantity_text(line.unit_cost),
        cost=money_text(line.cost, currency), returned=quantity_text(line.returned),
    )  # fmt: skip


def return_summary(row: ReturnRow, currency: str) -> ReturnSummary:
    return ReturnSummary(**_dated(row, currency))


def return_view(row: ReturnRow, lines: Sequence[ReturnLineRow], currency: str) -> ReturnView:
    return ReturnView(**_dated(row, currency), lines=[_returned(line, currency) for line in lines])


def _returned(line: ReturnLineRow, currency: str) -> ReturnLineView:
    return ReturnLineView(
        id=line.id, line_no=line.line_no, delivery_line_id=line.delivery_line_id, product_id=line.product_id,
        quantity=quantity_text(line.quantity), unit_code=line.unit_code,
        base_quantity=quantity_text(line.base_quantity), unit_cost=quantity_text(line.unit_cost),
        cost=money_text(line.cost, currency),
    )  # fmt: skip
