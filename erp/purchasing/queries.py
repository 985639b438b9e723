"""Reading purchase orders, goods receipts and supplier bills."""

from sqlalchemy import Uuid, bindparam, select

from db.statement import TENANT, Statement
from erp.http.filters import eq, in_, prefix, span
from erp.http.listing import Listing
from erp.purchasing.models import goods_receipt_lines, goods_receipts, purchase_orders, supplier_bills
from erp.purchasing.repository import BILL_COLUMNS, ORDER_COLUMNS, RECEIPT_COLUMNS, RECEIPT_LINE_COLUMNS
from erp.purchasing.rows import BillRow, OrderRow, ReceiptLineRow, ReceiptRow

ORDER_LIST: Listing[OrderRow] = Listing(
    select=select(*ORDER_COLUMNS).where(purchase_orders.c.tenant_id == TENANT),
    row=OrderRow,
    key=purchase_orders.c.id,
    sorts={
        "created_at": purchase_orders.c.created_at,
        "date": purchase_orders.c.date,
        "number": purchase_orders.c.number,
    },
    default="-created_at",
    filters={
        "number": (eq(purchase_orders.c.number), prefix(purchase_orders.c.number)),
        "state": in_(purchase_orders.c.state),
        "party_id": in_(purchase_orders.c.party_id),
        "location_id": eq(purchase_orders.c.location_id),
        "external_id": eq(purchase_orders.c.external_id),
        "date": span(purchase_orders.c.date),
        "expected_on": span(purchase_orders.c.expected_on),
        "created_at": span(purchase_orders.c.created_at),
    },
)

_receipts = select(*RECEIPT_COLUMNS).where(goods_receipts.c.tenant_id == TENANT)
RECEIPT: Statement[ReceiptRow] = Statement(
    _receipts.where(goods_receipts.c.id == bindparam("receipt_id", type_=Uuid)), ReceiptRow
)
RECEIPT_LINES: Statement[ReceiptLineRow] = Statement(
    select(*RECEIPT_LINE_COLUMNS)
    .where(
        goods_receipt_lines.c.tenant_id == TENANT,
        goods_receipt_lines.c.receipt_id == bindparam("receipt_id", type_=Uuid),
    )
    .order_by(goods_receipt_lines.c.line_no),
    ReceiptLineRow,
)
RECEIPT_LIST: Listing[ReceiptRow] = Listing(
    select=_receipts,
    row=ReceiptRow,
    key=goods_receipts.c.id,
    sorts={
        "created_at": goods_receipts.c.created_at,
        "date": goods_receipts.c.date,
        "number": goods_receipts.c.number,
    },
    default="-created_at",
    filters={
        "number": (eq(goods_receipts.c.number), prefix(goods_receipts.c.number)),
        "order_id": in_(goods_receipts.c.order_id),
        "party_id": in_(goods_receipts.c.party_id),
        "location_id": eq(goods_receipts.c.location_id),
        "reference": eq(goods_receipts.c.reference),
        "external_id": eq(goods_receipts.c.external_id),
        "date": span(goods_receipts.c.date),
        "created_at": span(goods_receipts.c.created_at),
    },
)

BILL_LIST: Listing[BillRow] = Listing(
    select=select(*BILL_COLUMNS).where(supplier_bills.c.tenant_id == TENANT),
    row=BillRow,
    key=supplier_bills.c.id,
    sorts={
        "created_at": supplier_bills.c.created_at,
        "date": supplier_bills.c.date,
        "due_date": supplier_bills.c.due_date,
        "number": supplier_bills.c.number,
    },
    default="-created_at",
    filters={
        "number": (eq(supplier_bills.c.number), prefix(supplier_bills.c.number)),
        "supplier_number": eq(supplier_bills.c.supplier_number),
        "state": in_(supplier_bills.c.state),
        "party_id": in_(supplier_bills.c.party_id),
        "external_id": eq(supplier_bills.c.external_id),
        "date": span(supplier_bills.c.date),
        "due_date": span(supplier_bills.c.due_date),
        "created_at": span(supplier_bills.c.created_at),
    },
)
