"""Rows of schedules as the API shows them."""

from datetime import datetime
from itertools import islice

from erp.kernel.timetable import timetable
from erp.scheduling.repository import RunRow, ScheduleRow
from erp.scheduling.schemas import ScheduleRunView, ScheduleSummary, ScheduleView

#: Moments ahead that a schedule shows.
AHEAD = 5


def schedule_summary(row: ScheduleRow) -> ScheduleSummary:
    return ScheduleSummary(
        id=row.id, version=row.version, name=row.name, kind=row.kind, parameters=row.parameters, cron=row.cron,
        time_zone=row.time_zone,
        missed=row.missed,  # type: ignore[arg-type]  # a CHECK keeps it to the literals
        enabled=row.enabled, next_at=row.next_at, created_at=row.created_at,
    )  # fmt: skip


def schedule_view(row: ScheduleRow) -> ScheduleView:
    summary = schedule_summary(row)
    facts = {name: getattr(summary, name) for name in summary.__struct_fields__}
    return ScheduleView(**facts, next_runs=_ahead(row))


def _ahead(row: ScheduleRow) -> list[datetime]:
    if row.next_at is None:
        return []
    following = timetable(row.cron, row.time_zone).after(row.next_at)
    return [row.next_at, *islice(following, AHEAD - 1)]


def run_view(row: RunRow) -> ScheduleRunView:
    return ScheduleRunView(
        id=row.id, schedule_id=row.schedule_id, slot=row.slot,
        trigger=row.trigger,  # type: ignore[arg-type]  # CHECKs keep trigger and state to their literals
        missed=row.missed,
        state=row.state,  # type: ignore[arg-type]
        job_id=row.job_id, result=row.result, error_code=row.error_code, created_at=row.created_at,
        finished_at=row.finished_at,
    )  # fmt: skip
