"""Write-side statements of orders, deliveries and returns."""

from sqlalchemy import (
    Boolean,
    ColumnElement,
    DateTime,
    Integer,
    Numeric,
    Text,
    Uuid,
    and_,
    bindparam,
    case,
    cast,
    delete,
    func,
    insert,
    or_,
    select,
    update,
)

from db.statement import TENANT, Statement, rows_of
from erp.accounting.facts import open_amount_of
from erp.invoicing.models import invoices
from erp.parties.models import parties
from erp.sales.models import (
    deliveries,
    delivery_lines,
    sales_order_lines,
    sales_orders,
    sales_return_lines,
    sales_returns,
)
from erp.sales.rows import (
    BilledRow,
    DeliveryLineRow,
    DeliveryRow,
    LineRow,
    OrderAhead,
    OrderRow,
    ReturnLineRow,
    ReturnRow,
)

_ZERO = cast(0, Numeric)

ORDER_COLUMNS = tuple(sales_orders.c[name] for name in OrderRow._fields)
LINE_COLUMNS = tuple(sales_order_lines.c[name] for name in LineRow._fields)
DELIVERY_COLUMNS = tuple(deliveries.c[name] for name in DeliveryRow._fields)
DELIVERY_LINE_COLUMNS = tuple(delivery_lines.c[name] for name in DeliveryLineRow._fields)
RETURN_COLUMNS = tuple(sales_returns.c[name] for name in ReturnRow._fields)
RETURN_LINE_COLUMNS = tuple(sales_return_lines.c[name] for name in ReturnLineRow._fields)

_this_order = and_(sales_orders.c.tenant_id == TENANT, sales_orders.c.id == bindparam("order_id", type_=Uuid))

ORDER: Statement[OrderRow] = Statement(select(*ORDER_COLUMNS).where(_this_order), OrderRow)
#: To know what a step has to lock; read again under the locks.
ORDER_AHEAD: Statement[OrderAhead] = Statement(
    select(
        sales_orders.c.state,
        sales_orders.c.party_id,
        sales_orders.c.location_id,
        parties.c.credit_limit.is_not(None),
        func.array(
            select(sales_order_lines.c.product_id)
            .where(
                sales_order_lines.c.tenant_id == TENANT,
                sales_order_lines.c.order_id == bindparam("order_id", type_=Uuid),
                sales_order_lines.c.kind == "stocked",
            )
            .scalar_subquery()
        ),
    )
    .join(parties, and_(parties.c.tenant_id == sales_orders.c.tenant_id, parties.c.id == sales_orders.c.party_id))
    .where(_this_order),
    OrderAhead,
)
LOCK_ORDER: Statement[OrderRow] = Statement(
    select(*ORDER_COLUMNS).where(_this_order).with_for_update(key_share=True), OrderRow
)
#: Load it behind the order's lock: the lines change only under that.
ORDER_LINES: Statement[LineRow] = Statement(
    select(*LINE_COLUMNS)
    .where(
        sales_order_lines.c.tenant_id == TENANT,
        sales_order_lines.c.order_id == bindparam("order_id", type_=Uuid),
    )
    .order_by(sales_order_lines.c.line_no),
    LineRow,
)

#: A direct sale is invoiced as it is made.
ADD_ORDER: Statement[tuple[()]] = Statement(
    insert(sales_orders).values(
        tenant_id=TENANT, billed=bindparam("direct"), **{name: bindparam(name) for name in OrderRow._fields}
    )
)

_new_line = rows_of(
    ids=Uuid, line_nos=Integer, products=Uuid, kinds=Text, descriptions=Text, quantities=Numeric, units=Text,
    base_quantities=Numeric, base_decimals=Integer, prices=Numeric, discounts=Numeric, tax_groups=Uuid,
    tax_rates=Numeric, nets=Numeric, taxes=Numeric, grosses=Numeric, cancelleds=Numeric, delivereds=Numeric,
    returneds=Numeric,
)  # fmt: skip
#: The names of the arrays, in the order of a LineRow's fields.
LINE_ARRAYS = tuple(_new_line.c.keys())
ADD_LINES: Statement[tuple[()]] = Statement(
    insert(sales_order_lines).from_select(
        ["tenant_id", "order_id", *LineRow._fields],
        select(cast(TENANT, Uuid), cast(bindparam("order_id"), Uuid), *_new_line.c),
    )
)
DROP_LINES: Statement[tuple[()]] = Statement(
    delete(sales_order_lines).where(
        sales_order_lines.c.tenant_id == TENANT,
        sales_order_lines.c.order_id == bindparam("order_id", type_=Uuid),
    )
)

#: What a draft may change of itself.
CHANGING = (
    "party_id", "location_id", "date", "prices_include_tax", "tax_rounding", "payment_terms_days", "net", "tax",
    "gross", "line_count", "reference", "text", "external_id",
)  # fmt: skip
SET_DRAFT: Statement[tuple[()]] = Statement(
    update(sales_orders)
    .where(_this_order)
    .values(version=sales_orders.c.version + 1, **{name: bindparam(f"new_{name}") for name in CHANGING})
)
SET_STATE: Statement[tuple[()]] = Statement(
    update(sales_orders)
    .where(_this_order)
    .values(
        state=bindparam("new_state", type_=Text),
        confirmed_at=bindparam("new_confirmed_at", type_=DateTime(timezone=True)),
        cancel_reason=bindparam("new_cancel_reason", type_=Text),
        billed=or_(sales_orders.c.billed, bindparam("now_billed", type_=Boolean)),
        version=sales_orders.c.version + 1,
    )
)

_moved_line = rows_of(ids=Uuid, cancelleds=Numeric, delivereds=Numeric, returneds=Numeric)
#: Differences: the checks of the table hold whatever was read before.
MOVE_LINES: Statement[tuple[()]] = Statement(
    update(sales_order_lines)
    .where(sales_order_lines.c.tenant_id == TENANT, sales_order_lines.c.id == _moved_line.c.ids)
    .values(
        cancelled=sales_order_lines.c.cancelled + _moved_line.c.cancelleds,
        delivered=sales_order_lines.c.delivered + _moved_line.c.delivereds,
        returned=sales_order_lines.c.returned + _moved_line.c.returneds,
    )
)

_of_order = and_(invoices.c.tenant_id == TENANT, invoices.c.order_id == bindparam("order_id", type_=Uuid))


def _signed(amount: ColumnElement[object]) -> ColumnElement[object]:
    return case((invoices.c.kind == "invoice", amount), else_=-amount)


#: One row, whatever there is.
BILLED_AMOUNTS = select(
    func.coalesce(func.sum(_signed(invoices.c.gross)), _ZERO).label("invoiced"),
    func.coalesce(func.sum(_signed(func.coalesce(open_amount_of(invoices.c.id), _ZERO))), _ZERO).label("open"),
).where(_of_order, invoices.c.state == "posted")
BILLED: Statement[BilledRow] = Statement(BILLED_AMOUNTS, BilledRow)

ADD_DELIVERY: Statement[tuple[()]] = Statement(
    insert(deliveries).values(tenant_id=TENANT, **{name: bindparam(name) for name in DeliveryRow._fields})
)
_drop = rows_of(
    ids=Uuid, line_nos=Integer, order_lines=Uuid, products=Uuid, quantities=Numeric, units=Text,
    base_quantities=Numeric, base_decimals=Integer, unit_costs=Numeric, costs=Numeric, returneds=Numeric,
    returned_costs=Numeric,
)  # fmt: skip
DELIVERY_LINE_ARRAYS = tuple(_drop.c.keys())
ADD_DELIVERY_LINES: Statement[tuple[()]] = Statement(
    insert(delivery_lines).from_select(
        ["tenant_id", "delivery_id", *DeliveryLineRow._fields],
        select(cast(TENANT, Uuid), cast(bindparam("delivery_id"), Uuid), *_drop.c),
    )
)

_this_delivery = and_(deliveries.c.tenant_id == TENANT, deliveries.c.id == bindparam("delivery_id", type_=Uuid))
DELIVERY: Statement[DeliveryRow] = Statement(select(*DELIVERY_COLUMNS).where(_this_delivery), DeliveryRow)
LOCK_DELIVERY: Statement[DeliveryRow] = Statement(
    select(*DELIVERY_COLUMNS).where(_this_delivery).with_for_update(key_share=True), DeliveryRow
)
DELIVERY_LINES: Statement[DeliveryLineRow] = Statement(
    select(*DELIVERY_LINE_COLUMNS)
    .where(
        delivery_lines.c.tenant_id == TENANT,
        delivery_lines.c.delivery_id == bindparam("delivery_id", type_=Uuid),
    )
    .order_by(delivery_lines.c.line_no),
    DeliveryLineRow,
)
TOUCH_DELIVERY: Statement[tuple[()]] = Statement(
    update(deliveries).where(_this_delivery).values(version=deliveries.c.version + 1)
)
_came_back = rows_of(ids=Uuid, quantities=Numeric, amounts=Numeric)
MOVE_DELIVERY_LINES: Statement[tuple[()]] = Statement(
    update(delivery_lines)
    .where(delivery_lines.c.tenant_id == TENANT, delivery_lines.c.id == _came_back.c.ids)
    .values(
        returned=delivery_lines.c.returned + _came_back.c.quantities,
        returned_cost=delivery_lines.c.returned_cost + _came_back.c.amounts,
    )
)

ADD_RETURN: Statement[tuple[()]] = Statement(
    insert(sales_returns).values(tenant_id=TENANT, **{name: bindparam(name) for name in ReturnRow._fields})
)
_returned = rows_of(
    ids=Uuid, line_nos=Integer, delivery_lines=Uuid, products=Uuid, quantities=Numeric, units=Text,
    base_quantities=Numeric, unit_costs=Numeric, costs=Numeric,
)  # fmt: skip
RETURN_LINE_ARRAYS = tuple(_returned.c.keys())
ADD_RETURN_LINES: Statement[tuple[()]] = Statement(
    insert(sales_return_lines).from_select(
        ["tenant_id", "return_id", *ReturnLineRow._fields],
        select(cast(TENANT, Uuid), cast(bindparam("return_id"), Uuid), *_returned.c),
    )
)
