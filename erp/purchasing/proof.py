"""What must be true of purchasing: receipts, bills, and the account between them."""

from typing import Final

from sqlalchemy import Numeric, Select, and_, cast, func, or_, select

from db.statement import TENANT
from erp.accounting.models import account_roles, journal_lines
from erp.accounting.proof_check import Check, check, evidence_row
from erp.inventory.models import incoming_stock
from erp.numbering.audit import number_audit
from erp.purchasing.models import (
    goods_receipt_lines,
    goods_receipts,
    purchase_order_lines,
    purchase_orders,
    supplier_bill_lines,
    supplier_bills,
)

_ZERO = cast(0, Numeric)
_lines = purchase_order_lines.c


def _grni() -> Select[tuple[object, ...]]:
    account = (
        select(account_roles.c.account_code)
        .where(account_roles.c.tenant_id == TENANT, account_roles.c.role == "grni")
        .scalar_subquery()
    )
    balance = (
        select(func.coalesce(func.sum(journal_lines.c.base_amount), _ZERO))
        .where(journal_lines.c.tenant_id == TENANT, journal_lines.c.account_code == account)
        .scalar_subquery()
    )
    owed = (
        select(func.coalesce(func.sum(_lines.billed_value - _lines.received_value), _ZERO))
        .where(_lines.tenant_id == TENANT)
        .scalar_subquery()
    )
    both = select(account.label("account"), owed.label("owed"), balance.label("balance")).subquery("both")
    return evidence_row("accounts", both.c.account, both.c.owed, both.c.balance).where(both.c.owed != both.c.balance)


GRNI = check("grni-account", "The account for goods received holds what was received and not billed.", _grni())

_received = (
    select(
        goods_receipt_lines.c.order_line_id,
        func.sum(goods_receipt_lines.c.quantity).label("quantity"),
        func.sum(goods_receipt_lines.c.value).label("amount"),
    )
    .where(goods_receipt_lines.c.tenant_id == TENANT)
    .group_by(goods_receipt_lines.c.order_line_id)
    .subquery("receipts")
)
RECEIVED = check(
    "purchase-lines-received",
    "What an order line says was received is the sum of its goods receipts, in quantity and value.",
    evidence_row(
        "purchase_order_lines",
        _lines.id,
        func.concat(func.coalesce(_received.c.quantity, _ZERO), " / ", func.coalesce(_received.c.amount, _ZERO)),
        func.concat(_lines.received, " / ", _lines.received_value),
    )
    .select_from(purchase_order_lines.outerjoin(_received, _received.c.order_line_id == _lines.id))
    .where(
        _lines.tenant_id == TENANT,
        or_(
            _lines.received != func.coalesce(_received.c.quantity, _ZERO),
            _lines.received_value != func.coalesce(_received.c.amount, _ZERO),
        ),
    ),
)

_billed = (
    select(
        supplier_bill_lines.c.order_line_id,
        func.sum(supplier_bill_lines.c.quantity).label("quantity"),
        func.sum(supplier_bill_lines.c.receipt_value).label("amount"),
    )
    .select_from(
        supplier_bill_lines.join(
            supplier_bills,
            and_(
                supplier_bills.c.tenant_id == supplier_bill_lines.c.tenant_id,
                supplier_bills.c.id == supplier_bill_lines.c.bill_id,
            ),
        )
    )
    .where(supplier_bill_lines.c.tenant_id == TENANT, supplier_bills.c.state == "posted")
    .group_by(supplier_bill_lines.c.order_line_id)
    .subquery("bills")
)
BILLED = check(
    "purchase-lines-billed",
    "What an order line says was billed is the sum of its bills that stand, in quantity and value cleared.",
    evidence_row(
        "purchase_order_lines",
        _lines.id,
        func.concat(func.coalesce(_billed.c.quantity, _ZERO), " / ", func.coalesce(_billed.c.amount, _ZERO)),
        func.concat(_lines.billed, " / ", _lines.billed_value),
    )
    .select_from(purchase_order_lines.outerjoin(_billed, _billed.c.order_line_id == _lines.id))
    .where(
        _lines.tenant_id == TENANT,
        or_(
            _lines.billed != func.coalesce(_billed.c.quantity, _ZERO),
            _lines.billed_value != func.coalesce(_billed.c.amount, _ZERO),
        ),
    ),
)

#: In the product's own unit, as stock expects it: base_quantity / quantity is the exact ratio of the units.
_coming = (
    select(
        _lines.order_id,
        _lines.product_id,
        func.sum(
            (_lines.quantity - _lines.cancelled - _lines.received) * _lines.base_quantity / _lines.quantity
        ).label("quantity"),
    )
    .select_from(
        purchase_order_lines.join(
            purchase_orders,
            and_(purchase_orders.c.tenant_id == _lines.tenant_id, purchase_orders.c.id == _lines.order_id),
        )
    )
    .where(
        _lines.tenant_id == TENANT,
        _lines.kind == "stocked",
        or_(purchase_orders.c.state == "confirmed", purchase_orders.c.state == "partially_received"),
        _lines.quantity - _lines.cancelled - _lines.received > 0,
    )
    .group_by(_lines.order_id, _lines.product_id)
    .subquery("coming")
)
_expected = (
    select(
        incoming_stock.c.source_id,
        incoming_stock.c.product_id,
        func.sum(incoming_stock.c.quantity).label("quantity"),
    )
    .where(incoming_stock.c.tenant_id == TENANT, incoming_stock.c.source_type == "purchase_order")
    .group_by(incoming_stock.c.source_id, incoming_stock.c.product_id)
    .subquery("expected")
)
_half = cast(0.0000005, Numeric)
INCOMING = check(
    "incoming-stock",
    "Stock expects exactly what placed orders have open.",
    evidence_row(
        "incoming_stock",
        func.concat(
            func.coalesce(_coming.c.order_id, _expected.c.source_id),
            "/",
            func.coalesce(_coming.c.product_id, _expected.c.product_id),
        ),
        func.coalesce(_coming.c.quantity, _ZERO),
        func.coalesce(_expected.c.quantity, _ZERO),
    )
    .select_from(
        _coming.join(
            _expected,
            and_(_expected.c.source_id == _coming.c.order_id, _expected.c.product_id == _coming.c.product_id),
            full=True,
        )
    )
    # Dividing rounds far beyond the sixth decimal, the last one a quantity has.
    .where(func.abs(func.coalesce(_coming.c.quantity, _ZERO) - func.coalesce(_expected.c.quantity, _ZERO)) > _half),
)

RECEIPT_NUMBERS = check(
    "goods-receipt-numbers",
    "Goods receipt numbers have no gap and no duplicate.",
    number_audit("goods_receipt", select(goods_receipts.c.number).where(goods_receipts.c.tenant_id == TENANT)),
)
BILL_NUMBERS = check(
    "supplier-bill-numbers",
    "Our numbers of supplier bills have no gap and no duplicate.",
    number_audit("supplier_bill", select(supplier_bills.c.number).where(supplier_bills.c.tenant_id == TENANT)),
)

CHECKS: Final[tuple[Check, ...]] = (GRNI, RECEIVED, BILLED, INCOMING, RECEIPT_NUMBERS, BILL_NUMBERS)
