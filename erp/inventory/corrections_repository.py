"""Statements of cost corrections."""

from datetime import datetime
from decimal import Decimal
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import Numeric, Uuid, and_, bindparam, cast, func, insert, select

from db.statement import TENANT, Statement, rows_of
from erp.catalog.models import products
from erp.http.filters import eq, in_, span
from erp.http.listing import Listing
from erp.inventory.models import cost_correction_lines, cost_corrections, stock_moves
from erp.kernel.text import Date


class CorrectionRow(NamedTuple):
    id: UUID
    number: str
    date: Date
    accounting_date: Date
    effective_from: Date
    source_type: str
    source_id: UUID
    source_number: str
    currency: str
    value: Decimal
    line_count: int
    entry_id: UUID
    version: int
    created_at: datetime


class CorrectedProduct(NamedTuple):
    """How many issues of a product a correction is about, and by how much all of them."""

    product_id: UUID
    product_code: str
    issues: int
    value: Decimal


class CorrectedMove(NamedTuple):
    """An issue that was corrected. `booked`: the value of its move, as it was recorded."""

    move_id: UUID
    product_id: UUID
    location_id: UUID
    date: Date
    kind: str
    quantity: Decimal
    booked: Decimal
    amount: Decimal
    source_type: str
    source_id: UUID


_columns = tuple(cost_corrections.c[name] for name in CorrectionRow._fields)
_this = cost_correction_lines.c.correction_id == bindparam("correction_id", type_=Uuid)

ADD_CORRECTION: Statement[tuple[()]] = Statement(
    insert(cost_corrections).values(tenant_id=TENANT, **{name: bindparam(name) for name in CorrectionRow._fields})
)
_line = rows_of(moves=Uuid, products=Uuid, amounts=Numeric)
ADD_CORRECTION_LINES: Statement[tuple[()]] = Statement(
    insert(cost_correction_lines).from_select(
        ["tenant_id", "correction_id", "move_id", "product_id", "amount"],
        select(cast(TENANT, Uuid), cast(bindparam("correction_id"), Uuid), *_line.c),
    )
)

CORRECTION: Statement[CorrectionRow] = Statement(
    select(*_columns).where(
        cost_corrections.c.tenant_id == TENANT, cost_corrections.c.id == bindparam("correction_id", type_=Uuid)
    ),
    CorrectionRow,
)
CORRECTED_PRODUCTS: Statement[CorrectedProduct] = Statement(
    select(
        cost_correction_lines.c.product_id, products.c.code, func.count(),
        func.sum(cost_correction_lines.c.amount),
    )
    .select_from(
        cost_correction_lines.join(
            products, and_(products.c.tenant_id == TENANT, products.c.id == cost_correction_lines.c.product_id)
        )
    )
    .where(cost_correction_lines.c.tenant_id == TENANT, _this)
    .group_by(cost_correction_lines.c.product_id, products.c.code)
    .order_by(products.c.code),
    CorrectedProduct,
)  # fmt: skip

CORRECTIONS: Listing[CorrectionRow] = Listing(
    select=select(*_columns).where(cost_corrections.c.tenant_id == TENANT),
    row=CorrectionRow,
    key=cost_corrections.c.id,
    sorts={"created_at": cost_corrections.c.created_at},
    default="-created_at",
    filters={
        "number": eq(cost_corrections.c.number),
        "source_type": in_(cost_corrections.c.source_type),
        "source_id": eq(cost_corrections.c.source_id),
        "source_number": eq(cost_corrections.c.source_number),
        "date": span(cost_corrections.c.date),
        "created_at": span(cost_corrections.c.created_at),
    },
)
CORRECTED_MOVES: Listing[CorrectedMove] = Listing(
    select=select(
        cost_correction_lines.c.move_id, cost_correction_lines.c.product_id, stock_moves.c.location_id,
        stock_moves.c.date, stock_moves.c.kind, stock_moves.c.quantity, stock_moves.c.value,
        cost_correction_lines.c.amount, stock_moves.c.source_type, stock_moves.c.source_id,
    )
    .select_from(
        cost_correction_lines.join(
            stock_moves,
            and_(stock_moves.c.tenant_id == TENANT, stock_moves.c.id == cost_correction_lines.c.move_id),
        )
    )
    .where(cost_correction_lines.c.tenant_id == TENANT, _this),
    row=CorrectedMove,
    key=cost_correction_lines.c.move_id,
    sorts={"move_id": cost_correction_lines.c.move_id},
    default="move_id",
    filters={"product_id": eq(cost_correction_lines.c.product_id), "kind": in_(stock_moves.c.kind)},
)  # fmt: skip
