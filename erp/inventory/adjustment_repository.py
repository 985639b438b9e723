"""Write-side statements of adjustments."""

from datetime import datetime
from decimal import Decimal
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import Integer, Numeric, Uuid, bindparam, cast, insert, select

from db.statement import TENANT, Statement, rows_of
from erp.inventory.models import stock_adjustment_lines, stock_adjustments
from erp.kernel.text import Date


class AdjustmentRow(NamedTuple):
    id: UUID
    number: str
    date: Date
    accounting_date: Date
    reason: str
    text: str
    value: Decimal
    line_count: int
    entry_id: UUID | None
    external_id: str | None
    version: int
    created_at: datetime


class AdjustmentLineRow(NamedTuple):
    line_no: int
    product_id: UUID
    location_id: UUID
    quantity: Decimal
    unit_cost: Decimal
    value: Decimal


ADJUSTMENT_COLUMNS = tuple(stock_adjustments.c[name] for name in AdjustmentRow._fields)
ADJUSTMENT_LINE_COLUMNS = tuple(stock_adjustment_lines.c[name] for name in AdjustmentLineRow._fields)

ADD_ADJUSTMENT: Statement[tuple[()]] = Statement(
    insert(stock_adjustments).values(tenant_id=TENANT, **{name: bindparam(name) for name in AdjustmentRow._fields})
)

_line = rows_of(
    ids=Uuid, line_nos=Integer, products=Uuid, locations=Uuid, quantities=Numeric, costs=Numeric, amounts=Numeric
)
ADD_ADJUSTMENT_LINES: Statement[tuple[()]] = Statement(
    insert(stock_adjustment_lines).from_select(
        ["tenant_id", "adjustment_id", "id", *AdjustmentLineRow._fields],
        select(cast(TENANT, Uuid), cast(bindparam("adjustment_id"), Uuid), *_line.c),
    )
)
