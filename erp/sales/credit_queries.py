"""What a customer owes and has ordered, added up on the day it is asked for."""

from decimal import Decimal
from typing import NamedTuple

from sqlalchemy import Numeric, Uuid, and_, bindparam, cast, func, literal_column, select

from db.statement import TENANT, Statement
from erp.accounting.facts import open_receivables_of
from erp.invoicing.facts import drafted_for, invoiced_of_line, reopened_orders
from erp.payments.facts import advances_of
from erp.sales.models import sales_order_lines, sales_orders


class ExposureRow(NamedTuple):
    """Amounts in the tenant's currency. `ordered` is not rounded: a line may be invoiced in parts.

    `receivables`: open invoices less open credit notes; `advances`: paid and not used yet; `drafted`: of orders, on
    invoices that are not posted yet; `ordered`: of confirmed orders, on no invoice at all.
    """

    receivables: Decimal
    advances: Decimal
    drafted: Decimal
    ordered: Decimal


_party = bindparam("party_id", type_=Uuid)
_zero = cast(0, Numeric)

#: Orders of which something may be left to invoice: those not marked as billed, by an index that holds no others,
#: and those where an invoice was taken back since.
_committed = (
    select(sales_orders.c.id)
    .where(
        sales_orders.c.tenant_id == TENANT,
        sales_orders.c.party_id == _party,
        literal_column(
            "NOT sales_orders.billed AND sales_orders.state IN ('confirmed', 'partially_delivered', 'delivered')"
        ),
    )
    .union(reopened_orders(_party))
    .cte("committed")
)
_lines = sales_order_lines.c
_left = func.greatest(_lines.quantity - _lines.cancelled - _lines.returned - invoiced_of_line(_lines.id), _zero)
_ordered = (
    select(func.coalesce(func.sum(_lines.gross * _left / _lines.quantity), _zero))
    .select_from(
        _committed.join(sales_order_lines, and_(_lines.tenant_id == TENANT, _lines.order_id == _committed.c.id))
    )
    .scalar_subquery()
)

EXPOSURE: Statement[ExposureRow] = Statement(
    select(open_receivables_of(_party), advances_of(_party), drafted_for(_party), _ordered), ExposureRow
)
