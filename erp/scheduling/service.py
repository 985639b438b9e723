"""A tenant's schedules: made, changed, removed, run by hand."""

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from msgspec import UNSET
from psycopg.types.json import Jsonb

from db.identifiers import new_id
from erp.kernel.errors import NotFound
from erp.kernel.timetable import Timetable, timetable
from erp.scheduling.errors import ScheduleOfRecord, ScheduleTooFrequent
from erp.scheduling.kinds import KINDS, TaskKind
from erp.scheduling.repository import (
    ADD_RUN,
    ADD_SCHEDULE,
    CHANGING,
    DROP_SCHEDULE,
    LOCK_SCHEDULE,
    RUNNING,
    SET_SCHEDULE,
    RunRow,
    ScheduleRow,
)
from erp.scheduling.schemas import CreateScheduleInput, ScheduleRunView, ScheduleView, UpdateScheduleInput
from erp.scheduling.views import run_view, schedule_view
from tenancy.trail import Event
from tenancy.work import UnitOfWork

#: Minutes of an hour a tenant's schedule may name.
MOST_MINUTES = 12


async def create_schedule(work: UnitOfWork, data: CreateScheduleInput) -> ScheduleView:
    """Raises Invalid for expression and zone, ScheduleTooFrequent, Forbidden (of what it does), Duplicate."""
    kind = KINDS[data.kind]
    work.caller.require(kind.permission)
    row = new_schedule(
        work, kind, name=data.name, cron=data.cron, time_zone=data.time_zone, missed=data.missed,
        enabled=data.enabled, parameters=data.parameters,
    )  # fmt: skip
    return schedule_view(row)


def new_schedule(
    work: UnitOfWork,
    kind: TaskKind,
    *,
    name: str,
    cron: str,
    time_zone: str | None,
    missed: str,
    enabled: bool,
    parameters: dict[str, Any],
    starts: datetime | None = None,
) -> ScheduleRow:
    """Queue a new schedule; no slot before `starts`. Raises what creating one raises."""
    zone, since = time_zone or work.tenant.time_zone, starts or work.now
    first = checked_timetable(cron, zone).next(since)
    row = ScheduleRow(
        id=new_id(), version=1, name=name, kind=kind.name, parameters=kind.checked(parameters), cron=cron,
        time_zone=zone, missed=missed, enabled=enabled, next_at=first if enabled else None, settled_to=since,
        created_at=work.now,
    )  # fmt: skip
    work.save(ADD_SCHEDULE(**{**row._asdict(), "parameters": Jsonb(row.parameters)}))
    _tell(work, row, "created", after=_facts(row))
    return row


def checked_timetable(cron: str, zone: str) -> Timetable:
    """Raises Invalid, ScheduleTooFrequent."""
    table = timetable(cron, zone)
    if table.minutes > MOST_MINUTES:
        raise ScheduleTooFrequent(pointer="/cron", minutes=table.minutes, most=MOST_MINUTES)
    return table


async def update_schedule(work: UnitOfWork, schedule_id: UUID, data: UpdateScheduleInput) -> ScheduleView:
    """Raises NotFound, VersionConflict, ScheduleOfRecord and what creating one raises."""
    before = await _load(work, schedule_id)
    work.check_version(before.version)
    kind = _changeable(before)
    work.caller.require(kind.permission)
    sent = {name: value for name, value in msgspec.structs.asdict(data).items() if value is not UNSET}
    if "parameters" in sent:
        sent["parameters"] = kind.checked(sent["parameters"])
    return schedule_view(change_schedule(work, before, **sent))


def change_schedule(work: UnitOfWork, before: ScheduleRow, **changes: Any) -> ScheduleRow:
    """Queue a change. What changes when it runs makes it count anew from now. Raises Invalid, ScheduleTooFrequent."""
    after: ScheduleRow = before._replace(**changes)
    if (after.cron, after.time_zone, after.enabled) != (before.cron, before.time_zone, before.enabled):
        following = checked_timetable(after.cron, after.time_zone).next(max(work.now, before.settled_to))
        after = after._replace(
            next_at=following if after.enabled else None, settled_to=max(work.now, before.settled_to)
        )
    if after == before:
        return before
    after = after._replace(version=before.version + 1)
    values = {**after._asdict(), "parameters": Jsonb(after.parameters)}
    work.save(SET_SCHEDULE(schedule_id=before.id, **{f"new_{name}": values[name] for name in CHANGING}))
    old, new = _facts(before), _facts(after)
    changed = [name for name in new if new[name] != old[name]]
    _tell(
        work,
        after,
        "updated",
        before={name: old[name] for name in changed},
        after={name: new[name] for name in changed},
    )
    return after


async def delete_schedule(work: UnitOfWork, schedule_id: UUID) -> None:
    """With its history; its jobs stay. Raises NotFound, VersionConflict, ScheduleOfRecord."""
    before = await _load(work, schedule_id)
    work.check_version(before.version)
    _changeable(before)
    work.save(DROP_SCHEDULE(schedule_id=schedule_id))
    _tell(work, before._replace(version=before.version + 1), "deleted", before=_facts(before))


async def run_schedule(work: UnitOfWork, schedule_id: UUID) -> ScheduleRunView:
    """Run it now, enabled or not; while an earlier run is not over that one is the answer. Raises NotFound."""
    row = await _load(work, schedule_id)
    kind = KINDS[row.kind]
    work.caller.require(kind.permission)
    [running] = await work.load(RUNNING(schedule_id=schedule_id))
    if running:
        return run_view(running[0])
    run_id, slot = new_id(), work.now
    told = {"schedule_id": str(row.id), "kind": row.kind}
    work.publish(Event("schedule_run", run_id, 1, "schedule_run.requested", told))
    job_id = work.enqueue(kind.job, job_payload(row.parameters, row.id, run_id, slot), queue=kind.queue)
    work.save(ADD_RUN(id=run_id, schedule_id=row.id, slot=slot, trigger="manual", job_id=job_id))
    work.audit("schedule.run", "schedule", row.id, after={"run_id": str(run_id), "kind": row.kind})
    return run_view(RunRow(run_id, row.id, slot, "manual", 0, job_id, work.now, "queued", None, None, None))


def job_payload(parameters: dict[str, Any], schedule_id: UUID, run_id: UUID, slot: datetime) -> dict[str, Any]:
    """What the job of a run is told."""
    told = {"schedule_id": str(schedule_id), "run_id": str(run_id), "slot": slot.isoformat()}
    return {**parameters, **told}


async def _load(work: UnitOfWork, schedule_id: UUID) -> ScheduleRow:
    [found] = await work.load(LOCK_SCHEDULE(schedule_id=schedule_id))
    if not found:
        raise NotFound(schedule_id=str(schedule_id))
    row: ScheduleRow = found[0]
    return row


def _changeable(row: ScheduleRow) -> TaskKind:
    kind = KINDS[row.kind]
    if kind.own:
        raise ScheduleOfRecord(kind=row.kind, parameters=row.parameters)
    return kind


def _facts(row: ScheduleRow) -> dict[str, Any]:
    return {
        "name": row.name, "kind": row.kind, "parameters": row.parameters, "cron": row.cron,
        "time_zone": row.time_zone, "missed": row.missed, "enabled": row.enabled,
    }  # fmt: skip


def _tell(
    work: UnitOfWork,
    row: ScheduleRow,
    what: str,
    *,
    before: dict[str, Any] | None = None,
    after: dict[str, Any] | None = None,
) -> None:
    work.publish(Event("schedule", row.id, row.version, f"schedule.{what}", {"name": row.name, "kind": row.kind}))
    work.audit(f"schedule.{what}", "schedule", row.id, before=before, after=after)
