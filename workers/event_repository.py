"""Statements on events across tenants: claim the unpublished ones in order, mark them, say how far behind we are."""

from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Integer, Text, Uuid, bindparam, exists, func, select, update
from sqlalchemy.dialects.postgresql import JSONB, insert

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


class OutboxLag(NamedTuple):
    unpublished: int
    oldest: timedelta | None


_earlier = events.alias("earlier")
#: The first unpublished event of each aggregate. Not "above the last position": a lower one may commit later.
#: Whoever holds an aggregate's head holds the aggregate; other relays skip it, whatever comes behind.
_heads = (
    select(events.c.tenant_id, events.c.aggregate_id, events.c.version, events.c.position)
    .where(
        events.c.published_at.is_(None),
        ~exists().where(
            _earlier.c.tenant_id == events.c.tenant_id, _earlier.c.aggregate_id == events.c.aggregate_id,
            _earlier.c.published_at.is_(None), _earlier.c.version < events.c.version,
        ),
    )
    .order_by(events.c.position)
    .limit(bindparam("at_most"))
    .with_for_update(skip_locked=True)
    .cte("heads")
)  # fmt: skip
_following = events.alias("following")
#: The heads and what follows them, cut so that each aggregate's part is a beginning.
CLAIM_EVENTS: Statement[EventRow] = Statement(
    select(*(_following.c[name] for name in EventRow._fields))
    .join(
        _heads,
        (_following.c.tenant_id == _heads.c.tenant_id) & (_following.c.aggregate_id == _heads.c.aggregate_id),
    )
    .where(_following.c.published_at.is_(None), _following.c.version >= _heads.c.version)
    .order_by(_heads.c.position, _following.c.version)
    .limit(bindparam("at_most")),
    EventRow,
)

_sent = rows_of(tenants=Uuid, aggregates=Uuid, versions=Integer)
MARK_PUBLISHED = Statement(
    update(events)
    .where(
        events.c.tenant_id == _sent.c.tenants, events.c.aggregate_id == _sent.c.aggregates,
        events.c.version == _sent.c.versions,
    )
    .values(published_at=NOW)
)  # fmt: skip

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
            "traceparent",
        ],
        select(*_job.c),
    )
    .on_conflict_do_nothing()
)  # fmt: skip

OUTBOX_LAG: Statement[OutboxLag] = Statement(
    select(func.count(), NOW - func.min(events.c.occurred_at)).where(events.c.published_at.is_(None)), OutboxLag
)
