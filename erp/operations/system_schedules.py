"""What the operator sees of the system's own tasks and may change: when they run, not what they do.

The leader of each database reads its own table every few seconds; a task is known there once a leader has begun.
"""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any, NamedTuple

from msgspec import UNSET
from sqlalchemy import DateTime, Integer, Text, bindparam, cast, func, select, update

from db.statement import Statement
from erp.jobs.models import cron_runs
from erp.kernel.errors import Invalid, NotFound
from erp.kernel.timetable import timetable
from erp.operations.system_schedules_schemas import (
    ChangeSystemScheduleInput,
    RequestedRunView,
    RunSystemScheduleInput,
    SystemRunView,
    SystemScheduleView,
)
from erp.scheduling.models import system_schedules
from tenancy.platform import PlatformDatabase
from tenancy.work import UnitOfWork

#: Told what is about to be (with the reason) and what was. What it raises prevents the change.
Record = Callable[[UnitOfWork, dict[str, Any], dict[str, Any] | None], Awaitable[None]]

#: The zone of tasks that go by each tenant's own clock.
TENANT_ZONE = "tenant"


class SystemRow(NamedTuple):
    job: str
    every: float | None
    declared_cron: str | None
    declared_time_zone: str | None
    declared_missed: str
    cron: str | None
    time_zone: str | None
    missed: str | None
    enabled: bool
    settled_to: datetime
    requested_at: datetime | None
    reason: str
    version: int
    changed_at: datetime


class SystemRun(NamedTuple):
    slot: datetime
    trigger: str
    missed: int
    term: int
    holder: str
    started_at: datetime
    finished_at: datetime | None
    affected: int | None


SYSTEM_COLUMNS = tuple(system_schedules.c[name] for name in SystemRow._fields)
_named = system_schedules.c.job == bindparam("of_job", type_=Text)
SYSTEM_SCHEDULES: Statement[SystemRow] = Statement(
    select(*SYSTEM_COLUMNS).order_by(system_schedules.c.job), SystemRow
)
_one = select(*SYSTEM_COLUMNS).where(_named)
SYSTEM_SCHEDULE: Statement[SystemRow] = Statement(_one, SystemRow)
_LOCK: Statement[SystemRow] = Statement(_one.with_for_update(), SystemRow)
_CHANGING = ("cron", "time_zone", "missed", "enabled", "reason")
_CHANGE: Statement[SystemRow] = Statement(
    update(system_schedules)
    .where(_named)
    .values(
        version=system_schedules.c.version + 1, changed_at=func.clock_timestamp(),
        # What was missed under the old rhythm is not made up for under the new one.
        settled_to=func.greatest(system_schedules.c.settled_to, func.clock_timestamp()),
        **{name: bindparam(f"new_{name}") for name in _CHANGING},
    )
    .returning(*SYSTEM_COLUMNS),
    SystemRow,
)  # fmt: skip
_REQUEST: Statement[SystemRow] = Statement(
    update(system_schedules)
    .where(_named)
    .values(requested_at=func.coalesce(system_schedules.c.requested_at, func.clock_timestamp()))
    .returning(*SYSTEM_COLUMNS),
    SystemRow,
)
_RUNS: Statement[SystemRun] = Statement(
    select(*(cron_runs.c[name] for name in SystemRun._fields))
    .where(
        cron_runs.c.job == bindparam("of_job", type_=Text),
        cron_runs.c.slot < cast(bindparam("before"), DateTime(timezone=True)),
    )
    .order_by(cron_runs.c.slot.desc())
    .limit(cast(bindparam("at_most"), Integer)),
    SystemRun,
)


async def system_schedules_of(platform: PlatformDatabase) -> list[SystemScheduleView]:
    [rows] = await platform.ask(SYSTEM_SCHEDULES())
    return [system_view(row) for row in rows]


async def system_schedule(platform: PlatformDatabase, name: str) -> SystemScheduleView:
    """Raises NotFound."""
    return system_view(await _existing(platform, name))


class ChangeSchedule:
    """The command, in the database whose task it is. `keep` is told, while the row is locked, what is replaced."""

    def __init__(self, name: str, keep: Record) -> None:
        self._name = name
        self._keep = keep

    async def __call__(self, work: UnitOfWork, data: ChangeSystemScheduleInput) -> SystemScheduleView:
        """Raises NotFound, VersionConflict, Invalid."""
        [found] = await work.load(_LOCK(of_job=self._name))
        before = _found(found, self._name)
        work.check_version(before.version)
        after = _changed(before, data)
        await self._keep(work, _facts(after), _facts(before))
        [[row]] = await work.load(
            _CHANGE(of_job=self._name, **{f"new_{field}": getattr(after, field) for field in _CHANGING})
        )
        return system_view(row)


def _changed(before: SystemRow, data: ChangeSystemScheduleInput) -> SystemRow:
    sent: dict[str, Any] = {"reason": data.reason}
    for name in ("cron", "time_zone", "missed", "enabled"):
        if (value := getattr(data, name)) is not UNSET:
            sent[name] = value
    after = before._replace(**sent)
    by_tenant = before.declared_time_zone == TENANT_ZONE
    if after.time_zone is not None and (by_tenant or (after.cron or after.declared_cron) is None):
        raise Invalid("This task has no zone of its own.", pointer="/time_zone", time_zone=before.declared_time_zone)
    if by_tenant and after.missed == "run_all":
        raise Invalid("A task that goes by each tenant's clock makes up for its last moment only.", pointer="/missed")
    if (cron := after.cron or after.declared_cron) is not None:
        timetable(cron, "UTC" if by_tenant else zone_of(after))
    return after


def _facts(row: SystemRow) -> dict[str, Any]:
    return {name: getattr(row, name) for name in _CHANGING}


def zone_of(row: SystemRow) -> str:
    return row.time_zone or row.declared_time_zone or "UTC"


class RequestRun:
    """The command, in the database whose task it is: the leader there runs it within seconds, once."""

    def __init__(self, name: str, keep: Record) -> None:
        self._name = name
        self._keep = keep

    async def __call__(self, work: UnitOfWork, data: RunSystemScheduleInput) -> RequestedRunView:
        """Raises NotFound."""
        [found] = await work.load(SYSTEM_SCHEDULE(of_job=self._name))
        _found(found, self._name)
        await self._keep(work, {"reason": data.reason or None}, None)
        [[row]] = await work.load(_REQUEST(of_job=self._name))
        assert row.requested_at is not None
        return RequestedRunView(name=row.job, requested_at=row.requested_at)


async def runs_of(platform: PlatformDatabase, name: str, before: datetime, most: int) -> list[SystemRunView]:
    """Newest first. Raises NotFound."""
    await _existing(platform, name)
    [rows] = await platform.ask(_RUNS(of_job=name, before=before, at_most=most))
    return [SystemRunView(**row._asdict()) for row in rows]


async def _existing(platform: PlatformDatabase, name: str) -> SystemRow:
    [found] = await platform.ask(SYSTEM_SCHEDULE(of_job=name))
    return _found(found, name)


def _found(rows: list[SystemRow], name: str) -> SystemRow:
    if not rows:
        raise NotFound(name=name[:64])
    return rows[0]


def _next_multiple(seconds: float) -> datetime:
    """The next slot of a task that goes by an interval: the multiples of it since 1970, as the leader counts."""
    now = datetime.now(UTC).timestamp()
    return datetime.fromtimestamp((now // seconds + 1) * seconds, UTC)


def system_view(row: SystemRow) -> SystemScheduleView:
    cron = row.cron or row.declared_cron
    by_tenant = cron is not None and row.declared_time_zone == TENANT_ZONE
    following = None
    if cron is not None and not by_tenant and row.enabled:
        following = timetable(cron, zone_of(row)).next(row.settled_to)
    elif cron is None and row.every is not None and row.enabled:
        following = _next_multiple(row.every)
    return SystemScheduleView(
        name=row.job, version=row.version, every_seconds=row.every if cron is None else None, cron=cron,
        time_zone=None if cron is None else zone_of(row),
        missed=row.missed or row.declared_missed,  # type: ignore[arg-type]  # a CHECK keeps it to the literals
        enabled=row.enabled,
        changed=any((row.cron, row.time_zone, row.missed)) or not row.enabled,
        reason=row.reason, changed_at=row.changed_at, settled_to=row.settled_to, requested_at=row.requested_at,
        next_at=following,
    )  # fmt: skip
