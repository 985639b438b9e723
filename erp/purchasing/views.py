"""From rows to what clients see and what events tell."""

from collections.abc import Sequence
from typing import Any

from erp.kernel.money import money_text
from erp.kernel.quantity import quantity_text
from erp.purchasing.bill_schemas import SupplierBillLineView, SupplierBillSummary, SupplierBillView
from erp.purchasing.rows import BillLineRow, BillRow, LineRow, OrderRow, ReceiptLineRow, ReceiptRow
from erp.purchasing.schemas import (
    DirectReceiptView,
    GoodsReceiptLineView,
    GoodsReceiptSummary,
    GoodsReceiptView,
    PurchaseLineView,
    PurchaseOrderSummary,
    PurchaseOrderView,
)

_LINE_QUANTITIES = (
    "quantity", "base_quantity", "unit_price", "discount_percent", "tax_rate", "cancelled", "received", "billed",
)  # fmt: skip


def _written(row: Any, currency: str, *, amounts: Sequence[str] = (), numbers: Sequence[str] = ()) -> dict[str, Any]:
    """The row's fields, amounts and other decimals as their wire strings."""
    fields: dict[str, Any] = row._asdict()
    for name in amounts:
        fields[name] = money_text(fields[name], currency)
    for name in numbers:
        fields[name] = quantity_text(fields[name])
    return fields


def order_summary(row: OrderRow) -> PurchaseOrderSummary:
    return PurchaseOrderSummary(**_written(row, row.currency, amounts=("net", "tax", "gross")))


def order_view(row: OrderRow, lines: Sequence[LineRow]) -> PurchaseOrderView:
    fields = _written(row, row.currency, amounts=("net", "tax", "gross"))
    return PurchaseOrderView(**fields, lines=[_order_line(line, row.currency) for line in lines])


def _order_line(line: LineRow, currency: str) -> PurchaseLineView:
    fields = _written(line, currency, amounts=("net", "tax", "gross", "received_value"), numbers=_LINE_QUANTITIES)
    del fields["order_id"], fields["billed_value"]
    return PurchaseLineView(**fields, open=quantity_text(line.open))


def receipt_summary(row: ReceiptRow) -> GoodsReceiptSummary:
    return GoodsReceiptSummary(**_receipt(row))


def receipt_view(row: ReceiptRow, lines: Sequence[ReceiptLineRow]) -> GoodsReceiptView:
    return GoodsReceiptView(**_receipt(row), lines=[_receipt_line(line, row.currency) for line in lines])


def _receipt(row: ReceiptRow) -> dict[str, Any]:
    return {**_written(row, row.currency, amounts=("value",)), "date_shifted": row.accounting_date != row.date}


def _receipt_line(line: ReceiptLineRow, currency: str) -> GoodsReceiptLineView:
    fields = _written(line, currency, amounts=("value",), numbers=("quantity", "base_quantity"))
    del fields["id"]
    return GoodsReceiptLineView(**fields)


def direct_view(order: OrderRow, receipt: ReceiptRow) -> DirectReceiptView:
    return DirectReceiptView(
        id=receipt.id, version=receipt.version, order=order_summary(order), receipt=receipt_summary(receipt)
    )


def bill_summary(row: BillRow) -> SupplierBillSummary:
    return SupplierBillSummary(**_bill(row))


def bill_view(row: BillRow, lines: Sequence[BillLineRow]) -> SupplierBillView:
    return SupplierBillView(**_bill(row), lines=[_bill_line(line, row.currency) for line in lines])


def _bill(row: BillRow) -> dict[str, Any]:
    amounts = ("net", "tax", "rounding", "gross", "receipt_value", "variance")
    return {**_written(row, row.currency, amounts=amounts), "date_shifted": row.accounting_date != row.date}


def _bill_line(line: BillLineRow, currency: str) -> SupplierBillLineView:
    return SupplierBillLineView(
        **_written(
            line, currency, amounts=("net", "tax", "gross", "receipt_value"),
            numbers=("quantity", "unit_price", "discount_percent", "tax_rate"),
        )
    )  # fmt: skip


# -- what events and the audit tell ----------------------------------------------------------


def order_facts(row: OrderRow) -> dict[str, Any]:
    return {
        "number": row.number,
        "state": row.state,
        "party_id": str(row.party_id),
        "date": row.date.isoformat(),
        "currency": row.currency,
        "net": money_text(row.net, row.currency),
        "gross": money_text(row.gross, row.currency),
        "line_count": row.line_count,
    }


def receipt_facts(row: ReceiptRow) -> dict[str, Any]:
    return {
        "number": row.number,
        "order_id": str(row.order_id),
        "party_id": str(row.party_id),
        "location_id": str(row.location_id),
        "date": row.date.isoformat(),
        "accounting_date": row.accounting_date.isoformat(),
        "value": money_text(row.value, row.currency),
        "line_count": row.line_count,
        "entry_id": row.entry_id and str(row.entry_id),
    }


def bill_facts(row: BillRow) -> dict[str, Any]:
    return {
        "number": row.number,
        "supplier_number": row.supplier_number,
        "state": row.state,
        "party_id": str(row.party_id),
        "date": row.date.isoformat(),
        "due_date": row.due_date.isoformat(),
        "accounting_date": row.accounting_date.isoformat(),
        "net": money_text(row.net, row.currency),
        "tax": money_text(row.tax, row.currency),
        "gross": money_text(row.gross, row.currency),
        "variance": money_text(row.variance, row.currency),
        "entry_id": row.entry_id and str(row.entry_id),
    }
