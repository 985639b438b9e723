"""Statements of schedules and their runs inside one tenant."""

from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import DateTime, Text, Uuid, and_, bindparam, case, cast, delete, func, literal_column, select, update
from sqlalchemy.dialects.postgresql import insert

from db.statement import TENANT, Statement
from erp.jobs.models import jobs
from erp.scheduling.models import schedule_runs, schedules


class ScheduleRow(NamedTuple):
    id: UUID
    version: int
    name: str
    kind: str
    parameters: dict[str, Any]
    cron: str
    time_zone: str
    missed: str
    enabled: bool
    next_at: datetime | None
    settled_to: datetime
    created_at: datetime


class RunRow(NamedTuple):
    id: UUID
    schedule_id: UUID
    slot: datetime
    trigger: str
    missed: int
    job_id: UUID | None
    created_at: datetime
    state: str
    result: dict[str, Any] | None
    error_code: str | None
    finished_at: datetime | None


SCHEDULE_COLUMNS = tuple(schedules.c[name] for name in ScheduleRow._fields)
CHANGING = ("name", "parameters", "cron", "time_zone", "missed", "enabled", "next_at", "settled_to")
_this = (schedules.c.tenant_id == TENANT, schedules.c.id == bindparam("schedule_id", type_=Uuid))

LOCK_SCHEDULE: Statement[ScheduleRow] = Statement(
    select(*SCHEDULE_COLUMNS).where(*_this).with_for_update(), ScheduleRow
)
ADD_SCHEDULE = Statement(
    insert(schedules).values(tenant_id=TENANT, **{name: bindparam(name) for name in ScheduleRow._fields})
)
SET_SCHEDULE = Statement(
    update(schedules)
    .where(*_this)
    .values(version=schedules.c.version + 1, **{name: bindparam(f"new_{name}") for name in CHANGING})
)
DROP_SCHEDULE = Statement(delete(schedules).where(*_this))

_job = and_(jobs.c.tenant_id == schedule_runs.c.tenant_id, jobs.c.id == schedule_runs.c.job_id)
#: A run is removed before its job; where the job is missing all the same, it was over.
_state = case(
    (schedule_runs.c.trigger == literal_column("'skipped'"), literal_column("'skipped'")),
    else_=func.coalesce(jobs.c.state, literal_column("'done'")),
)
RUNS = (
    select(
        *(schedule_runs.c[name] for name in RunRow._fields[:7]), _state.label("state"), jobs.c.result,
        jobs.c.error_code, jobs.c.finished_at,
    )
    .select_from(schedule_runs.outerjoin(jobs, _job))
    .where(schedule_runs.c.tenant_id == TENANT)
)  # fmt: skip
#: The schedule's run that is not over yet.
RUNNING: Statement[RunRow] = Statement(
    RUNS.where(
        schedule_runs.c.schedule_id == bindparam("schedule_id", type_=Uuid),
        jobs.c.phase == literal_column("'unfinished'"),
    )
    .order_by(schedule_runs.c.created_at.desc(), schedule_runs.c.id.desc())
    .limit(1),
    RunRow,
)
ADD_RUN = Statement(
    insert(schedule_runs)
    .values(
        tenant_id=TENANT, id=bindparam("id"), schedule_id=bindparam("schedule_id"),
        slot=cast(bindparam("slot"), DateTime(timezone=True)), trigger=cast(bindparam("trigger"), Text),
        job_id=bindparam("job_id"),
    )
)  # fmt: skip
