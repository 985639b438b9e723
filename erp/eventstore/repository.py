"""Statements of the event store: streams, what of them concerns a level, what verifications found."""

from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import (
    DateTime,
    Integer,
    Text,
    Uuid,
    bindparam,
    case,
    cast,
    func,
    literal_column,
    null,
    select,
    text,
    update,
)
from sqlalchemy.dialects.postgresql import JSONB, insert

from db.statement import TENANT, Statement, any_of
from erp.eventstore.folding import StreamEvent
from erp.eventstore.levels import LevelChange, StoredLevel
from erp.eventstore.models import event_verifications
from erp.inventory.models import stock_levels
from erp.jobs.models import jobs
from erp.sales.models import sales_order_lines, sales_orders
from erp.sales.repository import LINE_COLUMNS, ORDER_COLUMNS
from erp.sales.rows import LineRow, OrderRow
from tenancy.trail import events


class VerificationRow(NamedTuple):
    """`operation`: the state of the one of the same id; None where nobody asked for it, or it is long over."""

    id: UUID
    kind: str
    state: str
    checked: int
    incomplete: int
    differing: int
    difference: dict[str, Any] | None
    version: int
    created_at: datetime
    finished_at: datetime | None
    operation: str | None


class LevelPlace(NamedTuple):
    id: UUID
    product_id: UUID
    location_id: UUID
    version: int
    on_hand: Decimal
    reserved: Decimal


class LineOfOrder(NamedTuple):
    order_id: UUID
    line: LineRow

    @classmethod
    def read(cls, order_id: UUID, *columns: Any) -> "LineOfOrder":
        return cls(order_id, LineRow(*columns))


EVENT_COLUMNS = tuple(events.c[name] for name in StreamEvent._fields)
_operation = (
    select(jobs.c.state)
    .where(
        jobs.c.tenant_id == event_verifications.c.tenant_id, jobs.c.id == event_verifications.c.id, jobs.c.operation
    )
    .correlate(event_verifications)
    .scalar_subquery()
)  # fmt: skip
#: As shown: one whose operation ended without finding out has ended too.
VERIFICATION_STATE = case(
    (event_verifications.c.state != literal_column("'running'"), event_verifications.c.state),
    (_operation == literal_column("'failed'"), literal_column("'failed'")),
    (_operation.in_([literal_column("'cancelled'"), literal_column("'discarded'")]), literal_column("'cancelled'")),
    else_=event_verifications.c.state,
)
_shown = {"state": VERIFICATION_STATE.label("state"), "operation": _operation.label("operation")}
VERIFICATION_COLUMNS = tuple(
    _shown[name] if name in _shown else event_verifications.c[name] for name in VerificationRow._fields
)
#: Of one that has just begun: there is no operation yet.
_ADDED = tuple(
    null().label(name) if name == "operation" else event_verifications.c[name] for name in VerificationRow._fields
)

STREAM: Statement[StreamEvent] = Statement(
    select(*EVENT_COLUMNS)
    .where(
        events.c.tenant_id == TENANT, events.c.aggregate_id == bindparam("aggregate_id", type_=Uuid),
        events.c.aggregate_type == bindparam("aggregate_type", type_=Text),
    )
    .order_by(events.c.version),
    StreamEvent,
)  # fmt: skip
STREAMS: Statement[StreamEvent] = Statement(
    select(*EVENT_COLUMNS)
    .where(
        events.c.tenant_id == TENANT, events.c.aggregate_id == any_of("aggregate_ids", Uuid),
        events.c.aggregate_type == bindparam("aggregate_type", type_=Text),
    )
    .order_by(events.c.aggregate_id, events.c.version),
    StreamEvent,
)  # fmt: skip
#: The stream's version, and who has it: an aggregate's id is unique over all kinds.
STREAM_VERSION: Statement[tuple[Any, ...]] = Statement(
    select(events.c.version, events.c.aggregate_type)
    .where(events.c.tenant_id == TENANT, events.c.aggregate_id == bindparam("aggregate_id", type_=Uuid))
    .order_by(events.c.version.desc())
    .limit(1)
)

_ids = (
    select(sales_orders.c.id)
    .where(sales_orders.c.tenant_id == TENANT, sales_orders.c.id > bindparam("after", type_=Uuid))
    .order_by(sales_orders.c.id)
    .limit(bindparam("at_most", type_=Integer))
)
#: A page of orders, of their lines and of their events: ask for all three in one snapshot.
ORDER_PAGE: Statement[OrderRow] = Statement(
    select(*ORDER_COLUMNS)
    .where(sales_orders.c.tenant_id == TENANT, sales_orders.c.id.in_(_ids))
    .order_by(sales_orders.c.id),
    OrderRow,
)
LINE_PAGE: Statement[LineOfOrder] = Statement(
    select(sales_order_lines.c.order_id, *LINE_COLUMNS)
    .where(sales_order_lines.c.tenant_id == TENANT, sales_order_lines.c.order_id.in_(_ids))
    .order_by(sales_order_lines.c.order_id, sales_order_lines.c.line_no),
    LineOfOrder.read,
)
EVENT_PAGE: Statement[StreamEvent] = Statement(
    select(*EVENT_COLUMNS)
    .where(events.c.tenant_id == TENANT, events.c.aggregate_id.in_(_ids))
    .order_by(events.c.aggregate_id, events.c.version),
    StreamEvent,
)

LEVEL: Statement[LevelPlace] = Statement(
    select(*(stock_levels.c[name] for name in LevelPlace._fields)).where(
        stock_levels.c.tenant_id == TENANT, stock_levels.c.id == bindparam("level_id", type_=Uuid)
    ),
    LevelPlace,
)
LOCK_LEVEL: Statement[LevelPlace] = Statement(
    select(*(stock_levels.c[name] for name in LevelPlace._fields))
    .where(stock_levels.c.tenant_id == TENANT, stock_levels.c.id == bindparam("level_id", type_=Uuid))
    .with_for_update(key_share=True),
    LevelPlace,
)
TOUCH_LEVEL: Statement[tuple[()]] = Statement(
    update(stock_levels)
    .where(stock_levels.c.tenant_id == TENANT, stock_levels.c.id == bindparam("level_id", type_=Uuid))
    .values(version=stock_levels.c.version + 1)
)

#: Written as text: what PostgreSQL does with the list inside an event has no plainer form. All changes of one level;
#: the tenant's events are read through, for documents are not kept by level.
LEVEL_CHANGES: Statement[LevelChange] = Statement(
    text(
        "SELECT (told.one->>'version')::integer AS version, (told.one->>'on_hand')::numeric,"
        " (told.one->>'reserved')::numeric, e.type, e.occurred_at"
        " FROM events e, LATERAL jsonb_array_elements(e.data->'levels') AS told (one)"
        " WHERE e.tenant_id = :tenant_id AND left(e.type, 2) <> 'x-'"
        " AND e.data @> jsonb_build_object('levels', jsonb_build_array(jsonb_build_object("
        "'product_id', CAST(:product AS text), 'location_id', CAST(:location AS text))))"
        " AND told.one->>'product_id' = CAST(:product AS text)"
        " AND told.one->>'location_id' = CAST(:location AS text)"
        " ORDER BY version, e.position"
    ),
    LevelChange,
)
COUNT_STREAMS: Statement[tuple[int]] = Statement(
    select(
        select(func.count()).select_from(sales_orders).where(sales_orders.c.tenant_id == TENANT).scalar_subquery()
        + select(func.count()).select_from(stock_levels).where(stock_levels.c.tenant_id == TENANT).scalar_subquery()
    )
)

#: Nothing comes back when a run of before has begun it.
ADD_VERIFICATION: Statement[VerificationRow] = Statement(
    insert(event_verifications)
    .values(
        tenant_id=TENANT, id=bindparam("id", type_=Uuid), kind=bindparam("kind", type_=Text),
        created_at=bindparam("created_at", type_=DateTime(timezone=True)),
    )
    .on_conflict_do_nothing()
    .returning(*_ADDED),
    VerificationRow,
)  # fmt: skip
LOCK_VERIFICATION: Statement[VerificationRow] = Statement(
    select(*VERIFICATION_COLUMNS)
    .where(event_verifications.c.tenant_id == TENANT, event_verifications.c.id == bindparam("of_id", type_=Uuid))
    .with_for_update(),
    VerificationRow,
)
END_VERIFICATION: Statement[VerificationRow] = Statement(
    update(event_verifications)
    .where(event_verifications.c.tenant_id == TENANT, event_verifications.c.id == bindparam("of_id", type_=Uuid))
    .values(
        state=bindparam("new_state", type_=Text), checked=bindparam("new_checked", type_=Integer),
        incomplete=bindparam("new_incomplete", type_=Integer), differing=bindparam("new_differing", type_=Integer),
        difference=cast(bindparam("new_difference"), JSONB),
        version=event_verifications.c.version + 1,
        finished_at=bindparam("at", type_=DateTime(timezone=True)),
    )
    .returning(*VERIFICATION_COLUMNS),
    VerificationRow,
)  # fmt: skip


def stored(level: LevelPlace) -> StoredLevel:
    return StoredLevel(level.version, level.on_hand, level.reserved)
