"""Write-side statements of purchase orders, goods receipts and bills."""

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Date, DateTime, Integer, Numeric, Text, Uuid, and_, bindparam, cast, insert, select, update

from db.statement import TENANT, Bound, Statement, any_of, rows_of
from erp.purchasing.models import (
    goods_receipt_lines,
    goods_receipts,
    purchase_order_lines,
    purchase_orders,
    supplier_bill_lines,
    supplier_bills,
)
from erp.purchasing.rows import BillLineRow, BillRow, LineRow, OrderRow, ReceiptLineRow, ReceiptRow

ORDER_COLUMNS = tuple(purchase_orders.c[name] for name in OrderRow._fields)
LINE_COLUMNS = tuple(purchase_order_lines.c[name] for name in LineRow._fields)
RECEIPT_COLUMNS = tuple(goods_receipts.c[name] for name in ReceiptRow._fields)
RECEIPT_LINE_COLUMNS = tuple(goods_receipt_lines.c[name] for name in ReceiptLineRow._fields)
BILL_COLUMNS = tuple(supplier_bills.c[name] for name in BillRow._fields)
BILL_LINE_COLUMNS = tuple(supplier_bill_lines.c[name] for name in BillLineRow._fields)

# -- orders --------------------------------------------------------------------------------

_these_orders = and_(purchase_orders.c.tenant_id == TENANT, purchase_orders.c.id == any_of("order_ids", Uuid))

ORDERS: Statement[OrderRow] = Statement(select(*ORDER_COLUMNS).where(_these_orders), OrderRow)
#: In the order of their ids. The key itself never changes, so foreign keys to it need not wait.
LOCK_ORDERS: Statement[OrderRow] = Statement(
    select(*ORDER_COLUMNS).where(_these_orders).order_by(purchase_orders.c.id).with_for_update(key_share=True),
    OrderRow,
)
#: Load them behind the locks of their orders: lines change only under those.
ORDER_LINES: Statement[LineRow] = Statement(
    select(*LINE_COLUMNS)
    .where(purchase_order_lines.c.tenant_id == TENANT, purchase_order_lines.c.order_id == any_of("order_ids", Uuid))
    .order_by(purchase_order_lines.c.order_id, purchase_order_lines.c.line_no),
    LineRow,
)
ADD_ORDER: Statement[tuple[()]] = Statement(
    insert(purchase_orders).values(tenant_id=TENANT, **{name: bindparam(name) for name in OrderRow._fields})
)
SET_ORDER: Statement[tuple[()]] = Statement(
    update(purchase_orders)
    .where(purchase_orders.c.tenant_id == TENANT, purchase_orders.c.id == bindparam("order_id", type_=Uuid))
    .values(
        state=bindparam("new_state", type_=Text),
        reason=bindparam("new_reason", type_=Text),
        confirmed_at=bindparam("new_confirmed_at", type_=DateTime(timezone=True)),
        version=purchase_orders.c.version + 1,
    )
)
_changed = rows_of(ids=Uuid, states=Text)
SET_STATES: Statement[tuple[()]] = Statement(
    update(purchase_orders)
    .where(purchase_orders.c.tenant_id == TENANT, purchase_orders.c.id == _changed.c.ids)
    .values(state=_changed.c.states, version=purchase_orders.c.version + 1)
)

_line = rows_of(
    id=Uuid, order_id=Uuid, line_no=Integer, product_id=Uuid, kind=Text, description=Text, quantity=Numeric,
    unit_code=Text, base_quantity=Numeric, unit_price=Numeric, discount_percent=Numeric, tax_group_id=Uuid,
    tax_rate=Numeric, net=Numeric, tax=Numeric, gross=Numeric, cancelled=Numeric, received=Numeric,
    received_value=Numeric, billed=Numeric, billed_value=Numeric,
)  # fmt: skip
_ADD_LINES: Statement[tuple[()]] = Statement(
    insert(purchase_order_lines).from_select(
        ["tenant_id", *LineRow._fields], select(cast(TENANT, Uuid), *(_line.c[name] for name in LineRow._fields))
    )
)
_moved = rows_of(
    ids=Uuid, cancelled=Numeric, received=Numeric, received_value=Numeric, billed=Numeric, billed_value=Numeric
)
_lines = purchase_order_lines.c
_MOVED = ("cancelled", "received", "received_value", "billed", "billed_value")
#: Differences: the checks of the table hold whatever was read before.
_MOVE_LINES: Statement[tuple[()]] = Statement(
    update(purchase_order_lines)
    .where(_lines.tenant_id == TENANT, _lines.id == _moved.c.ids)
    .values({name: _lines[name] + _moved.c[name] for name in _MOVED})
)


def add_lines(lines: Sequence[LineRow]) -> Bound[tuple[()]]:
    return _ADD_LINES(**arrays(LineRow._fields, lines))


def move_lines(before: Sequence[LineRow], after: Sequence[LineRow]) -> Bound[tuple[()]]:
    """The lines that changed, as differences."""
    pairs = [(old, new) for old, new in zip(before, after, strict=True) if old != new]
    return _MOVE_LINES(
        ids=[new.id for _, new in pairs],
        **{name: [getattr(new, name) - getattr(old, name) for old, new in pairs] for name in _MOVED},
    )


def arrays(names: Iterable[str], rows: Sequence[Any]) -> dict[str, list[Any]]:
    """Column name -> the values of all rows, as `rows_of` takes them."""
    return {name: [getattr(row, name) for row in rows] for name in names}


# -- goods receipts ------------------------------------------------------------------------

ADD_RECEIPT: Statement[tuple[()]] = Statement(
    insert(goods_receipts).values(tenant_id=TENANT, **{name: bindparam(name) for name in ReceiptRow._fields})
)
_receipt_line = rows_of(
    id=Uuid, line_no=Integer, order_line_id=Uuid, product_id=Uuid, kind=Text, quantity=Numeric, unit_code=Text,
    base_quantity=Numeric, value=Numeric,
)  # fmt: skip
ADD_RECEIPT_LINES: Statement[tuple[()]] = Statement(
    insert(goods_receipt_lines).from_select(
        ["tenant_id", "receipt_id", *ReceiptLineRow._fields],
        select(cast(TENANT, Uuid), cast(bindparam("receipt_id"), Uuid), *_receipt_line.c),
    )
)

# -- bills ---------------------------------------------------------------------------------

_this_bill = and_(supplier_bills.c.tenant_id == TENANT, supplier_bills.c.id == bindparam("bill_id", type_=Uuid))

BILL: Statement[BillRow] = Statement(select(*BILL_COLUMNS).where(_this_bill), BillRow)
LOCK_BILL: Statement[BillRow] = Statement(
    select(*BILL_COLUMNS).where(_this_bill).with_for_update(key_share=True), BillRow
)
BILL_LINES: Statement[BillLineRow] = Statement(
    select(*BILL_LINE_COLUMNS)
    .where(
        supplier_bill_lines.c.tenant_id == TENANT,
        supplier_bill_lines.c.bill_id == bindparam("bill_id", type_=Uuid),
    )
    .order_by(supplier_bill_lines.c.line_no),
    BillLineRow,
)
ADD_BILL: Statement[tuple[()]] = Statement(
    insert(supplier_bills).values(tenant_id=TENANT, **{name: bindparam(name) for name in BillRow._fields})
)
_bill_line = rows_of(
    line_no=Integer, order_id=Uuid, order_line_id=Uuid, product_id=Uuid, description=Text, quantity=Numeric,
    unit_code=Text, unit_price=Numeric, discount_percent=Numeric, tax_group_id=Uuid, tax_rate=Numeric, net=Numeric,
    tax=Numeric, gross=Numeric, receipt_value=Numeric,
)  # fmt: skip
ADD_BILL_LINES: Statement[tuple[()]] = Statement(
    insert(supplier_bill_lines).from_select(
        ["tenant_id", "bill_id", *BillLineRow._fields],
        select(cast(TENANT, Uuid), cast(bindparam("bill_id"), Uuid), *_bill_line.c),
    )
)
CANCEL_BILL: Statement[tuple[()]] = Statement(
    update(supplier_bills)
    .where(_this_bill)
    .values(
        state="cancelled",
        cancelled_on=bindparam("on", type_=Date),
        cancel_reason=bindparam("why", type_=Text),
        cancel_entry_id=bindparam("reversal", type_=Uuid),
        version=supplier_bills.c.version + 1,
    )
)
