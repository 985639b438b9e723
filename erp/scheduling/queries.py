"""Reading schedules and their runs."""

from sqlalchemy import Uuid, bindparam, select

from db.statement import TENANT, Statement
from erp.http.filters import eq, in_, span
from erp.http.listing import Listing
from erp.scheduling.models import schedule_runs, schedules
from erp.scheduling.repository import RUNS, SCHEDULE_COLUMNS, RunRow, ScheduleRow

_schedules = select(*SCHEDULE_COLUMNS).where(schedules.c.tenant_id == TENANT)
SCHEDULE: Statement[ScheduleRow] = Statement(
    _schedules.where(schedules.c.id == bindparam("schedule_id", type_=Uuid)), ScheduleRow
)
SCHEDULES: Listing[ScheduleRow] = Listing(
    select=_schedules,
    row=ScheduleRow,
    key=schedules.c.id,
    sorts={"created_at": schedules.c.created_at, "name": schedules.c.name},
    default="-created_at",
    filters={
        "name": eq(schedules.c.name),
        "kind": in_(schedules.c.kind),
        "enabled": eq(schedules.c.enabled),
        "next_at": span(schedules.c.next_at),
    },
)
_run_filters = {"trigger": in_(schedule_runs.c.trigger), "created_at": span(schedule_runs.c.created_at)}
RUNS_OF_ONE: Listing[RunRow] = Listing(
    select=RUNS.where(schedule_runs.c.schedule_id == bindparam("schedule_id", type_=Uuid)),
    row=RunRow,
    key=schedule_runs.c.id,
    sorts={"created_at": schedule_runs.c.created_at},
    default="-created_at",
    filters=_run_filters,
)
