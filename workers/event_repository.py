"""Statements on events across tenants: take those that are to be published, in order; say how far behind we are."""

from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Integer,
    Table,
    Text,
    Uuid,
    bindparam,
    cast,
    delete,
    func,
    literal_column,
    select,
    true,
)
from sqlalchemy.dialects.postgresql import JSONB, insert

from db.metadata import metadata
from db.statement import Statement, rows_of
from erp.jobs.models import jobs
from tenancy.trail import events
from workers.repository import NOW


class EventRow(NamedTuple):
    tenant_id: UUID
    position: int
    event_id: UUID
    aggregate_type: str
    aggregate_id: UUID
    version: int
    type: str
    data: dict[str, Any]
    correlation_id: str | None
    causation_id: UUID | None
    traceparent: str | None
    occurred_at: datetime
    schema_version: int = 1
    xid: str | None = None


class OutboxLag(NamedTuple):
    unpublished: int
    oldest: timedelta | None


#: The events that are to be published. A trigger of `events` fills it, the relay empties it.
outbox = Table(
    "outbox", metadata,
    Column("tenant_id", Uuid, primary_key=True),
    Column("aggregate_id", Uuid, primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("position", BigInteger),
)  # fmt: skip

# Rows of the outbox are never updated, so that a place read under the lock of its head stays the row's own.
_place: ColumnElement[Any] = literal_column("ctid")
_at_most = cast(bindparam("at_most"), BigInteger)

_one: ColumnElement[Any] = literal_column("1")
_oldest = outbox.alias("oldest")
#: Heads are looked for among the oldest rows only: a long queue of few aggregates has few heads, and all of it would
#: be read for them in every turn.
_window = (
    select(_oldest.c.position)
    .order_by(_oldest.c.position)
    .offset(_at_most * literal_column("4"))
    .limit(_one)
    .scalar_subquery()
)
_earlier = outbox.alias("earlier")
#: The first event of each aggregate. Not "above the last position": a lower one may commit later.
#: Whoever holds an aggregate's head holds the aggregate; other relays skip it, whatever comes behind.
_heads = (
    select(outbox.c.tenant_id, outbox.c.aggregate_id, outbox.c.version, outbox.c.position)
    .where(
        outbox.c.position <= func.coalesce(_window, literal_column("9223372036854775807")),
        # A subquery that is asked row by row, by index: a join might be planned to read the whole queue.
        outbox.c.version
        == select(func.min(_earlier.c.version))
        .where(_earlier.c.tenant_id == outbox.c.tenant_id, _earlier.c.aggregate_id == outbox.c.aggregate_id)
        .scalar_subquery(),
    )
    .order_by(outbox.c.position)
    .limit(_at_most)
    .with_for_update(skip_locked=True)
    .cte("heads")
)
_behind = outbox.alias("behind")
_heads_found = func.greatest(_one, func.count(), type_=BigInteger)
#: Every head gets an equal part of the batch for itself and what follows it, which therefore is a beginning.
_part = (
    select(literal_column("behind.ctid").label("place"), _behind.c.version)
    .where(
        _behind.c.tenant_id == _heads.c.tenant_id, _behind.c.aggregate_id == _heads.c.aggregate_id,
        _behind.c.version >= _heads.c.version,
    )
    .order_by(_behind.c.version)
    .limit(select(func.greatest(_one, _at_most // _heads_found)).select_from(_heads).scalar_subquery())
    .lateral("part")
)  # fmt: skip
_batch = (
    select(
        _heads.c.tenant_id, _heads.c.aggregate_id, _heads.c.position.label("head"), _part.c.version, _part.c.place
    )
    .select_from(_heads.join(_part, true()))
    .cte("batch")
)  # fmt: skip
_taken = (
    delete(outbox)
    .where(_place == func.any(func.array(select(_batch.c.place).scalar_subquery())))
    .returning(outbox.c.version)
    .cte("taken")
)
_event = (
    select(*(events.c[name] for name in EventRow._fields))
    .where(
        events.c.tenant_id == _batch.c.tenant_id, events.c.aggregate_id == _batch.c.aggregate_id,
        events.c.version == _batch.c.version,
    )
    .limit(_one)
    .lateral("event")
)  # fmt: skip
#: Takes at most `at_most` events out of the outbox, for good when the transaction commits; in the order of their
#: aggregates' heads, those of one aggregate without a gap.
TAKE_EVENTS: Statement[EventRow] = Statement(
    select(*(_event.c[name] for name in EventRow._fields))
    .select_from(_batch.join(_event, true()))
    .order_by(_batch.c.head, _batch.c.version)
    .add_cte(_taken),
    EventRow,
)

_job = rows_of(
    tenants=Uuid, ids=Uuid, queues=Text, kinds=Text, payloads=JSONB, unique_keys=Text, event_ids=Uuid,
    correlation_ids=Text, causation_ids=Uuid, traceparents=Text,
)  # fmt: skip
#: One job per event and kind for ever, so that a batch sent twice asks for the same jobs once.
ADD_JOBS = Statement(
    insert(jobs)
    .from_select(
        [
            "tenant_id", "id", "queue", "kind", "payload", "unique_key", "event_id", "correlation_id", "causation_id",
            "traceparent", "max_attempts",
        ],
        select(*_job.c, cast(bindparam("max_attempts"), Integer)),
    )
    .on_conflict_do_nothing()
)  # fmt: skip

OUTBOX_LAG: Statement[OutboxLag] = Statement(
    select(
        func.count(),
        select(NOW - events.c.occurred_at)
        .join(
            _oldest,
            (_oldest.c.tenant_id == events.c.tenant_id)
            & (_oldest.c.aggregate_id == events.c.aggregate_id)
            & (_oldest.c.version == events.c.version),
        )
        .order_by(_oldest.c.position)
        .limit(_one)
        .scalar_subquery(),
    ).select_from(outbox),
    OutboxLag,
)
