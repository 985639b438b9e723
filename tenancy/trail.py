"""What every command leaves behind in its own transaction: events, an audit entry, jobs, the stored answer."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from psycopg.types.json import Jsonb
from sqlalchemy import (
    BigInteger,
    Column,
    DateTime,
    Integer,
    LargeBinary,
    Table,
    Text,
    Uuid,
    bindparam,
    cast,
    func,
    select,
)
from sqlalchemy.dialects.postgresql import JSONB, insert

from db.identifiers import new_id
from db.statement import REGISTERED, TENANT, Bound, Statement, metadata, rows_of
from fleet.configuration.snapshot import current
from fleet.tracing import inject
from tenancy.caller import Caller
from tenancy.job_keys import MAX_ATTEMPTS


@dataclass(frozen=True, slots=True)
class Event:
    """A fact about one aggregate; `version` is the aggregate's version the fact made.

    `schema`: the form of `data`. Who reads events brings those of older forms up to the newest one. `id`: what jobs
    and events that follow from it name as their cause.
    """

    aggregate_type: str
    aggregate_id: UUID
    version: int
    type: str
    data: Mapping[str, Any] = field(default_factory=dict)
    schema: int = 1
    id: UUID = field(default_factory=new_id, compare=False)


@dataclass(frozen=True, slots=True)
class AuditEntry:
    action: str
    target_type: str
    target_id: UUID
    before: Mapping[str, Any] | None
    after: Mapping[str, Any] | None


class StoredAnswer(NamedTuple):
    """`position`: where the primary's log stood when this was found, so not before the answer's own commit."""

    fingerprint: bytes
    status: int
    body: bytes
    headers: dict[str, str]
    position: str


events = Table(
    "events", metadata,
    Column("tenant_id", Uuid, primary_key=True),
    Column("position", BigInteger),
    Column("event_id", Uuid),
    Column("aggregate_type", Text),
    Column("aggregate_id", Uuid, primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("type", Text),
    Column("data", JSONB),
    Column("principal_id", Uuid),
    Column("correlation_id", Text),
    Column("causation_id", Uuid),
    Column("traceparent", Text),
    Column("occurred_at", DateTime(timezone=True)),
    Column("schema_version", Integer),
    Column("xid", Text),  # xid8: the transaction that wrote it
)  # fmt: skip

audit_entries = Table(
    "audit_entries", metadata,
    Column("tenant_id", Uuid, primary_key=True),
    Column("id", Uuid, primary_key=True),
    Column("at", DateTime(timezone=True)),
    Column("principal_id", Uuid),
    Column("principal_kind", Text),
    Column("principal_name", Text),
    Column("address", Text),
    Column("action", Text),
    Column("target_type", Text),
    Column("target_id", Uuid),
    Column("before", JSONB),
    Column("after", JSONB),
    Column("correlation_id", Text),
)  # fmt: skip

idempotency_keys = Table(
    "idempotency_keys", metadata,
    Column("tenant_id", Uuid, primary_key=True),
    Column("principal_id", Uuid, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("fingerprint", LargeBinary),
    Column("status", Integer),
    Column("body", LargeBinary),
    Column("headers", JSONB),
    Column("created_at", DateTime(timezone=True)),
)  # fmt: skip

_event = rows_of(
    event_ids=Uuid, aggregate_types=Text, aggregate_ids=Uuid, versions=Integer, types=Text, datas=JSONB,
    schemas=Integer,
)  # fmt: skip
_ADD_EVENTS = Statement(
    insert(events).from_select(
        ["tenant_id", "event_id", "aggregate_type", "aggregate_id", "version", "type", "data", "schema_version",
         "principal_id", "correlation_id", "causation_id", "traceparent", "occurred_at"],
        select(
            cast(TENANT, Uuid), *_event.c, cast(bindparam("principal_id"), Uuid),
            cast(bindparam("correlation_id"), Text), cast(bindparam("causation_id"), Uuid),
            cast(bindparam("traceparent"), Text),
            cast(bindparam("occurred_at"), DateTime(timezone=True)),
        ),
    )
)  # fmt: skip

_entry = rows_of(ids=Uuid, actions=Text, target_types=Text, target_ids=Uuid, befores=JSONB, afters=JSONB)
_ADD_AUDIT = Statement(
    insert(audit_entries).from_select(
        ["tenant_id", "id", "action", "target_type", "target_id", "before", "after", "at", "principal_id",
         "principal_kind", "principal_name", "address", "correlation_id"],
        select(
            cast(TENANT, Uuid), *_entry.c, cast(bindparam("at"), DateTime(timezone=True)),
            cast(bindparam("principal_id"), Uuid), cast(bindparam("principal_kind"), Text),
            cast(bindparam("principal_name"), Text), cast(bindparam("address"), Text),
            cast(bindparam("correlation_id"), Text),
        ),
    )
)  # fmt: skip

_STORED = Statement(
    select(
        idempotency_keys.c.fingerprint, idempotency_keys.c.status, idempotency_keys.c.body,
        idempotency_keys.c.headers, cast(func.pg_current_wal_insert_lsn(), Text),
    ).where(
        idempotency_keys.c.tenant_id == TENANT,
        idempotency_keys.c.principal_id == bindparam("principal_id"),
        idempotency_keys.c.key == bindparam("key"),
    ),
    StoredAnswer,
)  # fmt: skip
_STORE = Statement(
    insert(idempotency_keys)
    .values(
        tenant_id=TENANT, principal_id=bindparam("principal_id"), key=bindparam("key"),
        fingerprint=bindparam("fingerprint"), status=bindparam("status"), body=bindparam("body"),
        headers=bindparam("headers"),
    )
    .on_conflict_do_nothing()
)  # fmt: skip

#: What every command leaves behind, as one statement: a parameter that two of them name has one value. Triggers fire
#: at its end; the other two run when the last one has.
_TRAIL = f"WITH told AS ({_ADD_EVENTS.sql}) {_ADD_AUDIT.sql}"
_TRAIL_WITH_ANSWER = f"WITH told AS ({_ADD_EVENTS.sql}), answered AS ({_STORE.sql}) {_ADD_AUDIT.sql}"
REGISTERED.update((_TRAIL, _TRAIL_WITH_ANSWER))


def stored_answer(principal_id: UUID, key: str) -> Bound[StoredAnswer]:
    """What a finished twin stored. Ask behind the key's lock, in a statement (a snapshot) of its own."""
    return _STORED(principal_id=principal_id, key=key)


def store_answer(
    principal_id: UUID, key: str, fingerprint: bytes, status: int, body: bytes, headers: Mapping[str, str]
) -> Bound[Any]:
    return _STORE(
        principal_id=principal_id, key=key, fingerprint=fingerprint, status=status, body=body,
        headers=Jsonb(dict(headers)),
    )  # fmt: skip


def add_events(
    published: list[Event], *, principal_id: UUID, correlation_id: str, causation_id: UUID | None, at: datetime
) -> Bound[Any]:
    return _ADD_EVENTS(
        event_ids=[event.id for event in published],
        aggregate_types=[event.aggregate_type for event in published],
        aggregate_ids=[event.aggregate_id for event in published],
        versions=[event.version for event in published],
        types=[event.type for event in published],
        datas=[Jsonb(event.data) for event in published],
        schemas=[event.schema for event in published],
        principal_id=principal_id, correlation_id=correlation_id, causation_id=causation_id,
        traceparent=inject().get("traceparent"), occurred_at=at,
    )  # fmt: skip


def add_audit(
    entries: list[AuditEntry],
    *,
    at: datetime,
    principal_id: UUID,
    principal_kind: str,
    principal_name: str,
    address: str,
    correlation_id: str,
) -> Bound[Any]:
    return _ADD_AUDIT(
        ids=[new_id() for _ in entries],
        actions=[entry.action for entry in entries],
        target_types=[entry.target_type for entry in entries],
        target_ids=[entry.target_id for entry in entries],
        befores=[None if entry.before is None else Jsonb(entry.before) for entry in entries],
        afters=[None if entry.after is None else Jsonb(entry.after) for entry in entries],
        at=at, principal_id=principal_id, principal_kind=principal_kind, principal_name=principal_name,
        address=address, correlation_id=correlation_id,
    )  # fmt: skip


def trail_of(
    caller: Caller, at: datetime, told: list[Event], entries: list[AuditEntry], answer: Bound[Any] | None
) -> list[Bound[Any]]:
    """The statements that leave all this behind; one when there are events and entries, as a command has them."""
    parts: list[Bound[Any]] = [] if answer is None else [answer]
    if told:
        parts.append(
            add_events(
                told, principal_id=caller.principal_id, correlation_id=caller.correlation_id,
                causation_id=caller.causation_id, at=at,
            )
        )  # fmt: skip
    if entries:
        parts.append(
            add_audit(
                entries, at=at, principal_id=caller.principal_id, principal_kind=caller.kind,
                principal_name=caller.name, address=caller.address, correlation_id=caller.correlation_id,
            )
        )  # fmt: skip
    if not told or not entries:
        return parts
    parameters = {name: value for part in parts for name, value in part.parameters.items()}
    return [Bound(_TRAIL if answer is None else _TRAIL_WITH_ANSWER, parameters, None, True)]


#: Raw on purpose: the table belongs to a layer above; a unit of work only leaves rows in it.
_ADD_JOB = (
    "INSERT INTO jobs (tenant_id, id, queue, kind, payload, run_at, unique_key, correlation_id, causation_id,"
    " traceparent, max_attempts)"
    " VALUES (%(tenant_id)s, %(id)s, %(queue)s, %(kind)s, %(payload)s, coalesce(%(run_at)s, clock_timestamp()),"
    " %(unique_key)s, %(correlation_id)s, %(causation_id)s, %(traceparent)s, %(max_attempts)s)"
    " ON CONFLICT DO NOTHING"
)


def add_job(
    job_id: UUID,
    *,
    queue: str,
    kind: str,
    payload: Mapping[str, Any],
    run_at: datetime | None,
    unique_key: str | None,
    correlation_id: str,
    causation_id: UUID | None,
) -> Bound[Any]:
    parameters = {
        "id": job_id, "queue": queue, "kind": kind, "payload": Jsonb(dict(payload)), "run_at": run_at,
        "unique_key": unique_key, "correlation_id": correlation_id, "causation_id": causation_id,
        "traceparent": inject().get("traceparent"), "max_attempts": current().get(MAX_ATTEMPTS),
    }  # fmt: skip
    return Bound(_ADD_JOB, parameters, None, True)
