"""Statements of tenants' schedules across tenants."""

from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import DateTime, Integer, Text, Uuid, and_, bindparam, cast, literal_column, not_, select, update
from sqlalchemy.dialects.postgresql import JSONB, insert

from db.statement import Statement, any_of, rows_of
from erp.jobs.models import jobs
from erp.scheduling.models import schedule_runs, schedules
from tenancy.api_keys import tenants
from workers.repository import NOW

_MOMENT = DateTime(timezone=True)


class Due(NamedTuple):
    """A schedule whose next slot has come; `now` is the database's clock."""

    tenant_id: UUID
    id: UUID
    version: int
    kind: str
    parameters: dict[str, Any]
    cron: str
    time_zone: str
    missed: str
    next_at: datetime
    settled_to: datetime
    now: datetime


_awake = and_(schedules.c.next_at <= NOW, tenants.c.state == literal_column("'active'"))
_theirs = schedules.join(tenants, tenants.c.tenant_id == schedules.c.tenant_id)
_is_known = schedules.c.kind == any_of("kinds", Text)
#: Of the kinds this program knows: those of a later release must not take the places of the others.
DUE: Statement[Due] = Statement(
    select(*(schedules.c[name] for name in Due._fields[:-1]), NOW.label("now"))
    .select_from(_theirs)
    .where(_awake, _is_known)
    .order_by(schedules.c.next_at)
    .limit(bindparam("at_most")),
    Due,
)
OF_UNKNOWN_KIND: Statement[tuple[UUID, str]] = Statement(
    select(schedules.c.id, schedules.c.kind)
    .select_from(_theirs)
    .where(_awake, not_(_is_known))
    .order_by(schedules.c.next_at)
    .limit(bindparam("at_most"))
)

_seen = rows_of(
    tenants=Uuid, schedules=Uuid, versions=Integer, seen=_MOMENT, nexts=_MOMENT, settled=_MOMENT
).alias("seen_rows")  # fmt: skip
_broken = rows_of(tenants=Uuid, schedules=Uuid, versions=Integer, seen=_MOMENT).alias("broken_rows")
_run = rows_of(
    run_tenants=Uuid, run_schedules=Uuid, run_ids=Uuid, run_slots=_MOMENT, run_triggers=Text, run_missed=Integer,
    run_jobs=Uuid, run_keys=Text, run_kinds=Text, run_queues=Text, run_payloads=JSONB,
)  # fmt: skip
#: Looked at again after an hour: by then a program may run that can read it. What it has missed its policy decides.
PARK: Statement[tuple[Any, ...]] = Statement(
    update(schedules)
    .where(
        schedules.c.tenant_id == _broken.c.tenants, schedules.c.id == _broken.c.schedules,
        schedules.c.version == _broken.c.versions, schedules.c.next_at == _broken.c.seen,
    )
    .values(next_at=NOW + literal_column("interval '1 hour'"))
)  # fmt: skip
#: Only schedules that are as they were read: not changed, not fired by another, nor about to be.
_held = (
    select(schedules.c.tenant_id, schedules.c.id, _seen.c.nexts, _seen.c.settled)
    .join(_seen, and_(schedules.c.tenant_id == _seen.c.tenants, schedules.c.id == _seen.c.schedules))
    .where(schedules.c.version == _seen.c.versions, schedules.c.next_at == _seen.c.seen)
    .with_for_update(of=schedules, skip_locked=True)
    .cte("held")
)
_moved = (
    update(schedules)
    .where(schedules.c.tenant_id == _held.c.tenant_id, schedules.c.id == _held.c.id)
    .values(next_at=_held.c.nexts, settled_to=_held.c.settled)
    .returning(schedules.c.tenant_id, schedules.c.id)
    .cte("moved")
)
_ran = (
    insert(schedule_runs)
    .from_select(
        ["tenant_id", "id", "schedule_id", "slot", "trigger", "missed", "job_id"],
        select(
            _run.c.run_tenants, _run.c.run_ids, _run.c.run_schedules, _run.c.run_slots, _run.c.run_triggers,
            _run.c.run_missed, _run.c.run_jobs,
        ).join(_moved, and_(_moved.c.tenant_id == _run.c.run_tenants, _moved.c.id == _run.c.run_schedules)),
    )
    .on_conflict_do_nothing()
    .returning(schedule_runs.c.tenant_id, schedule_runs.c.id, schedule_runs.c.trigger, schedule_runs.c.job_id)
    .cte("ran")
)  # fmt: skip
_asked = (
    insert(jobs)
    .from_select(
        ["tenant_id", "id", "queue", "kind", "payload", "slot", "correlation_id", "max_attempts"],
        select(
            _ran.c.tenant_id, _ran.c.job_id, _run.c.run_queues, _run.c.run_kinds, _run.c.run_payloads,
            _run.c.run_keys, literal_column("'schedule:'") + cast(_ran.c.id, Text),
            cast(bindparam("attempts"), Integer),
        )
        .join(_run, _run.c.run_ids == _ran.c.id)
        .where(_ran.c.job_id.is_not(None)),
    )
    .on_conflict_do_nothing()
    .cte("asked")
)  # fmt: skip
FIRE: Statement[tuple[str]] = Statement(select(_ran.c.trigger).add_cte(_asked))
