"""Statements of the schedule: take a slot, ask for the tenants' jobs, clean up."""

from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    DateTime,
    Float,
    Integer,
    Interval,
    Table,
    Text,
    Uuid,
    bindparam,
    case,
    cast,
    delete,
    exists,
    extract,
    func,
    literal_column,
    null,
    or_,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import insert

from db.metadata import metadata
from db.statement import Statement, rows_of
from erp.eventstore.models import event_verifications
from erp.inventory.models import reservations
from erp.jobs.models import cron_runs, jobs
from erp.operations.system_schedules import SYSTEM_COLUMNS, TENANT_ZONE
from erp.scheduling.models import schedule_runs, schedules, system_schedules
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
_leads = (
    leases.c.name == bindparam("lease", type_=Text), leases.c.holder == bindparam("holder", type_=Text),
    leases.c.term == bindparam("term", type_=BigInteger), leases.c.expires_at > NOW,
)  # fmt: skip
#: Only under a lease that holds, and holds until this commits: a deposed leader takes no slot. The key of
#: (job, slot) lets one process win, also when two of them believe they lead.
_taken = (
    insert(cron_runs)
    .from_select(
        ["job", "slot", "term", "holder"],
        select(cast(bindparam("job"), Text), _slot.c.at, leases.c.term, leases.c.holder)
        .where(*_leads)
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
#: The same for a moment that is known: of a cron expression, or when somebody asked for it.
TAKE_MOMENT = Statement(
    insert(cron_runs)
    .from_select(
        ["job", "slot", "trigger", "missed", "term", "holder"],
        select(
            cast(bindparam("job"), Text), cast(bindparam("slot"), DateTime(timezone=True)),
            cast(bindparam("trigger"), Text), cast(bindparam("missed"), Integer), leases.c.term, leases.c.holder,
        )
        .where(*_leads)
        .with_for_update(read=True, of=leases),
    )
    .on_conflict_do_nothing()
    .returning(cron_runs.c.slot)
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

_due = rows_of(zones=Text, slots=Text)
#: One job a tenant, kind and slot, however often it is asked for. A tenant with a schedule of its own of the kind
#: `unless` (switched off or not) has decided for itself.
ADD_TENANT_JOBS = Statement(
    insert(jobs)
    .from_select(
        _COLUMNS,
        select(tenants.c.tenant_id, func.gen_random_uuid(), *_asked, cast(None, Text), _due.c.slots)
        .join(_due, _due.c.zones == tenants.c.time_zone)
        .where(
            _active,
            ~exists().where(
                schedules.c.tenant_id == tenants.c.tenant_id, schedules.c.kind == cast(bindparam("unless"), Text)
            ),
            ~exists().where(
                jobs.c.tenant_id == tenants.c.tenant_id, jobs.c.kind == bindparam("of_kind", type_=Text),
                jobs.c.slot == _due.c.slots,
            ),
        ),
    )
    .on_conflict_do_nothing()
    .returning(jobs.c.id)
)  # fmt: skip

_declared = rows_of(jobs=Text, everies=Float, crons=Text, zones=Text, misseds=Text)
#: A task that goes by tenants' clocks begins with their last day: an upgrade over its hour must not cost them one.
_register = insert(system_schedules).from_select(
    ["job", "every", "declared_cron", "declared_time_zone", "declared_missed", "settled_to"],
    select(
        *_declared.c,
        case(
            (_declared.c.zones == literal_column(f"'{TENANT_ZONE}'"), NOW - literal_column("interval '1 day'")),
            else_=NOW,
        ),
    ),
)
_DECLARED = ("every", "declared_cron", "declared_time_zone", "declared_missed")
#: What the code declares now, in the order of the names: two who begin at once do not wait for each other in a ring.
REGISTER = Statement(
    _register.on_conflict_do_update(
        index_elements=[system_schedules.c.job],
        set_={name: _register.excluded[name] for name in _DECLARED},
        where=or_(*(system_schedules.c[name].is_distinct_from(_register.excluded[name]) for name in _DECLARED)),
    )
)
READ_SCHEDULE = Statement(
    select(*SYSTEM_COLUMNS, NOW.label("now")).where(system_schedules.c.job == bindparam("of_job", type_=Text))
)
_this = system_schedules.c.job == bindparam("of_job", type_=Text)
#: By the leader only: one that was deposed takes no slot, so it must not settle one either.
SETTLE = Statement(
    update(system_schedules)
    .where(_this, exists().where(*_leads))
    .values(settled_to=func.greatest(system_schedules.c.settled_to, bindparam("to", type_=DateTime(timezone=True))))
)
#: In a transaction that has taken a slot under the lease.
SETTLE_TAKEN = Statement(
    update(system_schedules)
    .where(_this)
    .values(settled_to=func.greatest(system_schedules.c.settled_to, bindparam("to", type_=DateTime(timezone=True))))
)
CLEAR_REQUEST = Statement(
    update(system_schedules)
    .where(_this, system_schedules.c.requested_at == bindparam("at", type_=DateTime(timezone=True)))
    .values(requested_at=null())
)

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
DROP_VERIFICATIONS = _drop(event_verifications, event_verifications.c.created_at)
DROP_TENANT_RUNS = _drop(schedule_runs, schedule_runs.c.created_at)
#: A commit that is not carried out everywhere is kept, however old. What was given up is kept for as long as its
#: coordinator could still come back to ask.
DROP_DECISIONS = _drop(
    decisions, decisions.c.decided_at,
    or_(decisions.c.finished_at.is_not(None), decisions.c.decision == literal_column("'abort'")),
)  # fmt: skip
