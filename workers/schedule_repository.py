"""Statements of the schedule: take a slot, ask for the tenants' jobs, clean up."""

from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Date,
    DateTime,
    Float,
    Integer,
    Interval,
    Table,
    Text,
    Uuid,
    bindparam,
    cast,
    delete,
    exists,
    extract,
    func,
    literal_column,
    or_,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import insert

from db.metadata import metadata
from db.statement import Statement, rows_of
from erp.inventory.models import reservations
from erp.jobs.models import cron_runs, jobs
from tenancy.api_keys import tenants
from tenancy.trail import idempotency_keys
from workers.lease import leases
from workers.repository import NOW

decisions = Table(
    "two_phase_decisions", metadata,
    Column("id", Uuid, primary_key=True),
    Column("decision", Text),
    Column("decided_at", DateTime(timezone=True)),
    Column("finished_at", DateTime(timezone=True)),
)  # fmt: skip


class SlotTaken(NamedTuple):
    """`won`: this process runs the task for the slot. `wait`: seconds until the next slot. `now`: the database's."""

    slot: datetime
    won: bool
    wait: float
    now: datetime


_every: Any = bindparam("every", type_=Float)
_begin = func.to_timestamp(func.floor(extract("epoch", NOW) / _every) * _every)
_slot = select(_begin.label("at"), NOW.label("now")).cte("slot").prefix_with("MATERIALIZED")
#: Only under a lease that holds, and holds until this commits: a deposed leader takes no slot. The key of
#: (job, slot) lets one process win, also when two of them believe they lead.
_taken = (
    insert(cron_runs)
    .from_select(
        ["job", "slot", "term", "holder"],
        select(cast(bindparam("job"), Text), _slot.c.at, leases.c.term, leases.c.holder)
        .where(
            leases.c.name == bindparam("lease", type_=Text), leases.c.holder == bindparam("holder", type_=Text),
            leases.c.term == bindparam("term", type_=BigInteger), leases.c.expires_at > NOW,
        )
        .with_for_update(read=True, of=leases),
    )
    .on_conflict_do_nothing()
    .returning(cron_runs.c.slot)
    .cte("taken")
)  # fmt: skip
TAKE_SLOT: Statement[SlotTaken] = Statement(
    select(
        _slot.c.at, exists(select(_taken.c.slot)),
        cast(extract("epoch", _slot.c.at) + _every - extract("epoch", _slot.c.now), Float), _slot.c.now,
    ),
    SlotTaken,
)  # fmt: skip
NOTE_RUN = Statement(
    update(cron_runs)
    .where(cron_runs.c.job == bindparam("of_job", type_=Text), cron_runs.c.slot == bindparam("of_slot"))
    .values(finished_at=NOW, affected=bindparam("changed", type_=BigInteger))
)

_COLUMNS = ["tenant_id", "id", "max_attempts", "queue", "kind", "unique_key", "slot"]
_active = tenants.c.state == literal_column("'active'")
_asked = (
    cast(bindparam("attempts"), Integer), cast(bindparam("to_queue"), Text), cast(bindparam("of_kind"), Text)
)  # fmt: skip

#: One probe of an index per tenant, and a job only where something is due: an idle tenant costs no job.
ADD_EXPIRY_JOBS = Statement(
    insert(jobs)
    .from_select(
        _COLUMNS,
        select(
            tenants.c.tenant_id, func.gen_random_uuid(), *_asked, cast(bindparam("of_kind"), Text),
            cast(None, Text),
        ).where(
            _active,
            exists().where(
                reservations.c.tenant_id == tenants.c.tenant_id,
                reservations.c.state == literal_column("'active'"), reservations.c.expires_at <= NOW,
            ),
        ),
    )
    .on_conflict_do_nothing()
    .returning(jobs.c.id)
)  # fmt: skip

ZONES = Statement(select(tenants.c.time_zone).where(_active).distinct())

_day = rows_of(zones=Text, days=Date)
_of_day = cast(_day.c.days, Text)
#: One job a tenant, kind and local day, whenever the day's hour has come: a late coordinator makes up for it.
ADD_DAILY_JOBS = Statement(
    insert(jobs)
    .from_select(
        _COLUMNS,
        select(tenants.c.tenant_id, func.gen_random_uuid(), *_asked, cast(None, Text), _of_day)
        .join(_day, _day.c.zones == tenants.c.time_zone)
        .where(
            _active,
            ~exists().where(
                jobs.c.tenant_id == tenants.c.tenant_id, jobs.c.kind == bindparam("of_kind", type_=Text),
                jobs.c.slot == _of_day,
            ),
        ),
    )
    .on_conflict_do_nothing()
    .returning(jobs.c.id)
)  # fmt: skip

_older_than = NOW - cast(bindparam("age"), Interval)


def _drop(table: Table, age: ColumnElement[Any], *conditions: ColumnElement[bool]) -> Statement[tuple[Any, ...]]:
    """Delete the oldest rows, found by an index on their age and then by their place in the table.

    Joined by key instead, a generic plan would read the whole table for every batch.
    """
    place: ColumnElement[Any] = literal_column("ctid")
    oldest = select(place).select_from(table).where(age < _older_than, *conditions).order_by(age)
    batch = oldest.limit(bindparam("at_most")).scalar_subquery()
    return Statement(delete(table).where(place == func.any(func.array(batch))).returning(literal_column("1")))


DROP_KEYS = _drop(idempotency_keys, idempotency_keys.c.created_at)
DROP_JOBS = _drop(
    jobs, jobs.c.finished_at,
    jobs.c.phase.in_([literal_column(f"'{phase}'") for phase in ("done", "discarded", "cancelled")]),
)  # fmt: skip
DROP_RUNS = _drop(cron_runs, cron_runs.c.slot)
#: A commit that is not carried out everywhere is kept, however old. What was given up is kept for as long as its
#: coordinator could still come back to ask.
DROP_DECISIONS = _drop(
    decisions, decisions.c.decided_at,
    or_(decisions.c.finished_at.is_not(None), decisions.c.decision == literal_column("'abort'")),
)  # fmt: skip
