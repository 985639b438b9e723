# ruff: noqa: S608  # put together from constants of this module
"""Statements of one tenant's side of the bus: generations, receipts, failures, and its part of history."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import text

from db.statement import Statement
from erp.projections.definition import Delivered


class GenerationRow(NamedTuple):
    """See the table. `below`, `seen_to`: transactions; `first`, `reached`: positions. `job_id`: the operation that
    fills it."""

    consumer: str
    generation: int
    state: str
    complete: bool
    below: int
    seen_to: int
    first: int
    reached: int
    read_all: bool
    applied: int
    position: int
    event_at: datetime | None
    job_id: UUID | None
    started_at: datetime
    finished_at: datetime | None

    @classmethod
    def read(cls, *columns: Any) -> "GenerationRow":
        """xid8 comes as text."""
        values = dict(zip(cls._fields, columns, strict=True))
        return cls(**values | {"below": int(values["below"] or 0), "seen_to": int(values["seen_to"] or 0)})


class FailureRow(NamedTuple):
    id: UUID
    consumer: str
    event_id: UUID
    type: str
    position: int
    state: str
    attempts: int
    error_code: str
    error_detail: str
    version: int
    retry_at: datetime
    created_at: datetime
    ended_at: datetime | None


class Place(NamedTuple):
    """Up to here a consumer has confirmed, and when it last did."""

    xid: int
    position: int
    settled_at: datetime

    @classmethod
    def read(cls, xid: str, position: int, settled_at: datetime) -> "Place":
        return cls(int(xid), position, settled_at)


def delivered(
    tenant_id: UUID, event_id: UUID, xid: str | None, position: int, type_: str, aggregate_type: str,
    aggregate_id: UUID, version: int, data: Mapping[str, Any], occurred_at: datetime,
) -> Delivered:  # fmt: skip
    return Delivered(
        tenant_id, event_id, int(xid or 0), position, type_, aggregate_type, aggregate_id, version, data, occurred_at
    )


_GENERATION = (
    "consumer, generation, state, complete, below::text, seen_to::text, first, reached, read_all, applied, position,"
    " event_at, job_id, started_at, finished_at"
)
_OF = "tenant_id = :tenant_id AND consumer = CAST(:consumer AS text)"
_EVENT = (
    "e.tenant_id, e.event_id, e.xid::text, e.position, e.type, e.aggregate_type, e.aggregate_id, e.version, e.data,"
    " e.occurred_at"
)

#: The first generation of a tenant sees everything, unless there is history of releases that wrote no `xid`.
ENSURE_GENERATION: Statement[tuple[Any, ...]] = Statement(
    text(
        "INSERT INTO event_generations (tenant_id, consumer, generation, state, complete)"
        " SELECT CAST(:tenant_id AS uuid), CAST(:consumer AS text), 1, 'live', NOT EXISTS (SELECT FROM ("
        " SELECT xid FROM events WHERE tenant_id = :tenant_id ORDER BY position LIMIT 1) AS oldest WHERE xid IS NULL)"
        f" WHERE NOT EXISTS (SELECT FROM event_generations WHERE {_OF} AND state = 'live') ON CONFLICT DO NOTHING"
    )
)
#: Whoever applies events for a tenant and consumer holds these rows: one at a time.
LOCK_GENERATIONS: Statement[GenerationRow] = Statement(
    text(
        f"SELECT {_GENERATION} FROM event_generations WHERE {_OF} AND state IN ('live', 'building', 'replaying')"
        " ORDER BY generation FOR UPDATE"
    ),
    GenerationRow.read,
)
#: What was not applied yet, by generation; dead letters wait for somebody. A building one leaves to history what
#: history holds.
ADD_RECEIPTS: Statement[tuple[Any, ...]] = Statement(
    text(
        "INSERT INTO event_receipts (tenant_id, consumer, event_id, generation)"
        " SELECT g.tenant_id, g.consumer, told.id, g.generation"
        " FROM unnest(CAST(:ids AS uuid[]), CAST(:xids AS text[])) AS told (id, xid), event_generations g"
        " WHERE g.tenant_id = :tenant_id AND g.consumer = CAST(:consumer AS text) AND (g.state = 'live'"
        " OR (g.state = 'building' AND told.xid::xid8 >= g.below))"
        " AND NOT EXISTS (SELECT FROM event_failures f WHERE f.tenant_id = g.tenant_id AND f.consumer = g.consumer"
        " AND f.event_id = told.id AND f.state IN ('dead', 'discarded', 'replayed'))"
        " ORDER BY told.id, g.generation ON CONFLICT DO NOTHING RETURNING generation, event_id"
    )
)
DROP_RECEIPTS: Statement[tuple[Any, ...]] = Statement(
    text(f"DELETE FROM event_receipts WHERE {_OF} AND event_id = ANY(CAST(:ids AS uuid[]))")
)
DROP_RECEIPTS_OF: Statement[tuple[Any, ...]] = Statement(
    text(
        "DELETE FROM event_receipts WHERE ctid = ANY(ARRAY(SELECT ctid FROM event_receipts"
        f" WHERE {_OF} AND generation = CAST(:generation AS integer) LIMIT CAST(:at_most AS bigint))) RETURNING 1"
    )
)
#: Read behind the receipts: one that could be added again was dropped by the commit that confirmed beyond its event.
CONFIRMED: Statement[Place] = Statement(
    text("SELECT xid::text, position, settled_at FROM event_consumers WHERE name = CAST(:consumer AS text)"),
    Place.read,
)
LOCK_CONSUMER: Statement[Place] = Statement(
    text(
        "SELECT xid::text, position, settled_at FROM event_consumers WHERE name = CAST(:consumer AS text) FOR UPDATE"
    ),
    Place.read,
)
NOTE_APPLIED: Statement[tuple[Any, ...]] = Statement(
    text(
        "UPDATE event_generations SET applied = applied + CAST(:count AS bigint),"
        " position = greatest(position, CAST(:position AS bigint)),"
        " event_at = greatest(event_at, CAST(:event_at AS timestamptz))"
        f" WHERE {_OF} AND generation = CAST(:generation AS integer)"
    )
)

#: Reads transactions' ends only in this statement: what is below is over, what is not will be delivered.
ADD_GENERATION: Statement[GenerationRow] = Statement(
    text(
        "INSERT INTO event_generations (tenant_id, consumer, generation, state, complete, below, seen_to, first,"
        " reached, job_id) SELECT CAST(:tenant_id AS uuid), CAST(:consumer AS text),"
        " coalesce(max(generation), 0) + 1, CAST(:state AS text), false, pg_snapshot_xmin(pg_current_snapshot()),"
        " pg_snapshot_xmax(pg_current_snapshot()), CAST(:first AS bigint), CAST(:first AS bigint),"
        " CAST(:job_id AS uuid)"
        f" FROM event_generations WHERE {_OF} RETURNING {_GENERATION}"
    ),
    GenerationRow.read,
)
LOCK_GENERATION: Statement[GenerationRow] = Statement(
    text(
        f"SELECT {_GENERATION} FROM event_generations WHERE {_OF} AND generation = CAST(:generation AS integer)"
        " FOR UPDATE"
    ),
    GenerationRow.read,
)
HISTORY: Statement[Delivered] = Statement(
    text(
        f"SELECT {_EVENT} FROM events e WHERE e.tenant_id = :tenant_id AND e.position > CAST(:reached AS bigint)"
        " AND e.type = ANY(CAST(:types AS text[])) AND (e.xid IS NULL OR e.xid < CAST(CAST(:below AS text) AS xid8))"
        " ORDER BY e.position LIMIT CAST(:at_most AS bigint)"
    ),
    delivered,
)
#: Events of history beyond each position: all of it, and what is left.
COUNT_HISTORY: Statement[tuple[int, int]] = Statement(
    text(
        "SELECT count(*), count(*) FILTER (WHERE e.position > CAST(:reached AS bigint)) FROM events e"
        " WHERE e.tenant_id = :tenant_id AND e.position > CAST(:first AS bigint)"
        " AND e.type = ANY(CAST(:types AS text[])) AND (e.xid IS NULL OR e.xid < CAST(CAST(:below AS text) AS xid8))"
    )
)
FIRST_AT: Statement[tuple[Any, ...]] = Statement(
    text(
        "SELECT coalesce(min(position) - 1, 9223372036854775807) FROM events WHERE tenant_id = :tenant_id"
        " AND occurred_at >= CAST(:since AS timestamptz)"
    )
)
SET_REACHED: Statement[tuple[Any, ...]] = Statement(
    text(
        "UPDATE event_generations SET reached = CAST(:reached AS bigint), read_all = CAST(:read_all AS boolean)"
        f" WHERE {_OF} AND generation = CAST(:generation AS integer)"
    )
)
SET_STATE: Statement[tuple[Any, ...]] = Statement(
    text(
        "UPDATE event_generations SET state = CAST(:state AS text), complete = CAST(:complete AS boolean),"
        " finished_at = clock_timestamp()"
        f" WHERE {_OF} AND generation = CAST(:generation AS integer)"
    )
)
DROP_GENERATION: Statement[tuple[Any, ...]] = Statement(
    text(
        f"DELETE FROM event_generations WHERE {_OF} AND generation = CAST(:generation AS integer)"
        " AND state = 'retired'"
    )
)
GENERATIONS: Statement[GenerationRow] = Statement(
    text(f"SELECT {_GENERATION} FROM event_generations WHERE tenant_id = :tenant_id ORDER BY consumer, generation"),
    GenerationRow.read,
)

_FAILURE = (
    "id, consumer, event_id, type, position, state, attempts, error_code, error_detail, version, retry_at,"
    " created_at, ended_at"
)
NOTE_FAILURE: Statement[FailureRow] = Statement(
    text(
        "INSERT INTO event_failures AS f (tenant_id, id, consumer, event_id, type, position, state, retry_at,"
        " error_code, error_detail) VALUES (CAST(:tenant_id AS uuid), CAST(:id AS uuid), CAST(:consumer AS text),"
        " CAST(:event_id AS uuid), CAST(:type AS text), CAST(:position AS bigint),"
        " CASE WHEN CAST(:most AS integer) <= 1 THEN 'dead' ELSE 'waiting' END,"
        " clock_timestamp() + CAST(:backoff AS interval), CAST(:code AS text), CAST(:detail AS text))"
        " ON CONFLICT (tenant_id, consumer, event_id) DO UPDATE SET attempts = f.attempts + 1,"
        " version = f.version + 1, error_code = excluded.error_code, error_detail = excluded.error_detail,"
        " retry_at = clock_timestamp() + CAST(:backoff AS interval) * least(power(2, f.attempts), 256),"
        " state = CASE WHEN f.attempts + 1 >= CAST(:most AS integer) THEN 'dead' ELSE 'waiting' END"
        f" WHERE f.state = 'waiting' RETURNING {_FAILURE}"
    ),
    FailureRow,
)
END_FAILURES: Statement[tuple[Any, ...]] = Statement(
    text(
        "UPDATE event_failures SET state = 'recovered', version = version + 1, ended_at = clock_timestamp()"
        f" WHERE {_OF} AND event_id = ANY(CAST(:ids AS uuid[])) AND state = 'waiting'"
    )
)
LOCK_FAILURE: Statement[FailureRow] = Statement(
    text(f"SELECT {_FAILURE} FROM event_failures WHERE tenant_id = :tenant_id AND id = CAST(:id AS uuid) FOR UPDATE"),
    FailureRow,
)
SET_FAILURE: Statement[FailureRow] = Statement(
    text(
        "UPDATE event_failures SET state = CAST(:state AS text), version = version + 1, ended_at = clock_timestamp()"
        f" WHERE tenant_id = :tenant_id AND id = CAST(:id AS uuid) RETURNING {_FAILURE}"
    ),
    FailureRow,
)
EVENT: Statement[Delivered] = Statement(
    text(f"SELECT {_EVENT} FROM events e WHERE e.tenant_id = :tenant_id AND e.event_id = CAST(:event_id AS uuid)"),
    delivered,
)
