"""Reading read models: always the live generation."""

from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, Numeric, Table, and_, bindparam, case, cast, func, literal_column, select, text
from sqlalchemy import Date as SqlDate

from db.statement import TENANT, Statement
from erp.http.filters import Filter, eq, in_, span
from erp.http.listing import Listing
from erp.kernel.text import Date
from erp.projections.models import (
    event_failures,
    event_generations,
    receivables,
    sales_by_customer,
    sales_by_day,
    sales_by_product,
    stock_movements_by_day,
)
from erp.projections.repository import FailureRow


class StateRow(NamedTuple):
    """A consumer's live generation and what is built beside it; `now` and `confirmed_at` by the same clock."""

    generation: int | None
    complete: bool | None
    position: int | None
    event_at: datetime | None
    confirmed_at: datetime | None
    age: float | None
    building: int | None
    building_applied: int | None
    replaying: bool
    dead: int


class DayRow(NamedTuple):
    day: Date
    documents: int
    net: Decimal
    tax: Decimal
    gross: Decimal


class ProductRow(NamedTuple):
    day: Date
    product_id: UUID
    quantity: Decimal
    net: Decimal


class CustomerRow(NamedTuple):
    day: Date
    party_id: UUID
    documents: int
    net: Decimal
    tax: Decimal
    gross: Decimal


class MovementRow(NamedTuple):
    id: UUID
    day: Date
    product_id: UUID
    location_id: UUID
    received: Decimal
    delivered: Decimal
    returned: Decimal
    adjusted: Decimal
    value: Decimal


class AgeingRow(NamedTuple):
    party_id: UUID
    not_due: Decimal
    days_1_30: Decimal
    days_31_60: Decimal
    days_61_90: Decimal
    over_90: Decimal
    total: Decimal


STATE: Statement[StateRow] = Statement(
    text(
        "SELECT g.generation, g.complete, g.position, g.event_at, c.settled_at,"
        " extract(epoch FROM clock_timestamp() - c.settled_at)::float, b.generation, b.applied,"
        " EXISTS (SELECT FROM event_generations r WHERE r.tenant_id = :tenant_id AND r.consumer = asked.name"
        " AND r.state = 'replaying'), (SELECT count(*)::integer FROM event_failures f"
        " WHERE f.tenant_id = :tenant_id AND f.consumer = asked.name AND f.state = 'dead')"
        " FROM (SELECT CAST(:consumer AS text) AS name) AS asked"
        " LEFT JOIN event_generations g ON g.tenant_id = :tenant_id AND g.consumer = asked.name AND g.state = 'live'"
        " LEFT JOIN event_generations b ON b.tenant_id = :tenant_id AND b.consumer = asked.name"
        " AND b.state = 'building' LEFT JOIN event_consumers c ON c.name = asked.name"
    ),
    StateRow,
)
CONSUMERS_SEEN: Statement[tuple[Any, ...]] = Statement(
    text(
        "SELECT c.name, c.xid::text, c.position, c.settled_at,"
        " extract(epoch FROM clock_timestamp() - c.settled_at)::float,"
        " (SELECT count(*)::integer FROM event_failures f WHERE f.consumer = c.name AND f.state = 'dead'),"
        " (SELECT count(*)::integer FROM event_failures f WHERE f.consumer = c.name AND f.state = 'waiting')"
        " FROM event_consumers c ORDER BY c.name"
    )
)


def _live(table: Table, consumer: str) -> ColumnElement[bool]:
    live = select(event_generations.c.generation).where(
        event_generations.c.tenant_id == TENANT,
        event_generations.c.consumer == literal_column(f"'{consumer}'"),
        event_generations.c.state == literal_column("'live'"),
    )
    return and_(table.c.tenant_id == TENANT, table.c.generation == live.scalar_subquery())


def _by_day(table: Table, row: Any, consumer: str, *, key: str, **filters: Filter) -> Listing[Any]:
    """The live generation of a read model that has a row a day and `key`."""
    rows = select(*(table.c[name] for name in row._fields)).where(_live(table, consumer))
    day = table.c.day
    return Listing(
        select=rows, row=row, key=table.c[key], sorts={"day": day}, default="day",
        filters={"day": span(day), **filters},
    )  # fmt: skip


BY_DAY = _by_day(sales_by_day, DayRow, "sales", key="day")
BY_PRODUCT = _by_day(
    sales_by_product, ProductRow, "sales", key="product_id", product_id=eq(sales_by_product.c.product_id)
)
BY_CUSTOMER = _by_day(
    sales_by_customer, CustomerRow, "sales", key="party_id", party_id=eq(sales_by_customer.c.party_id)
)
MOVEMENTS = _by_day(
    stock_movements_by_day, MovementRow, "stock-movements", key="id",
    product_id=eq(stock_movements_by_day.c.product_id), location_id=eq(stock_movements_by_day.c.location_id),
)  # fmt: skip

_late: Any = cast(bindparam("on"), SqlDate) - receivables.c.due_date
_ZERO = cast(0, Numeric)


def _bucket(condition: ColumnElement[bool]) -> ColumnElement[Any]:
    return func.sum(case((condition, receivables.c.open_amount), else_=_ZERO))


_ageing = (
    select(
        receivables.c.party_id,
        _bucket(_late <= 0).label("not_due"),
        _bucket(_late.between(1, 30)).label("days_1_30"),
        _bucket(_late.between(31, 60)).label("days_31_60"),
        _bucket(_late.between(61, 90)).label("days_61_90"),
        _bucket(_late > 90).label("over_90"),
        func.sum(receivables.c.open_amount).label("total"),
    )
    .where(_live(receivables, "receivables"))
    .group_by(receivables.c.party_id)
    .subquery("ageing")
)
AGEING: Listing[AgeingRow] = Listing(
    select=select(*(_ageing.c[name] for name in AgeingRow._fields)),
    row=AgeingRow,
    key=_ageing.c.party_id,
    sorts={"party_id": _ageing.c.party_id},
    default="party_id",
    filters={"party_id": eq(_ageing.c.party_id)},
)

_failures = select(*(event_failures.c[name] for name in FailureRow._fields)).where(
    event_failures.c.tenant_id == TENANT
)
FAILURE: Statement[FailureRow] = Statement(
    _failures.where(event_failures.c.id == bindparam("dead_letter_id")), FailureRow
)
FAILURES: Listing[FailureRow] = Listing(
    select=_failures,
    row=FailureRow,
    key=event_failures.c.id,
    sorts={"created_at": event_failures.c.created_at},
    default="-created_at",
    filters={"consumer": eq(event_failures.c.consumer), "state": in_(event_failures.c.state)},
)
