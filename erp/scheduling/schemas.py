"""Schedules on the wire."""

from typing import Annotated, Any, Literal
from uuid import UUID

from msgspec import UNSET, Meta, Struct, UnsetType

from erp.kernel.text import Count, Name, PositiveCount, Timestamp
from erp.kernel.timetable import Missed
from erp.scheduling.kinds import KindName

Cron = Annotated[
    str,
    Meta(
        min_length=9, max_length=100, examples=["0 6 * * MON-FRI"],
        description="Five fields: minute, hour, day of month, month, day of week. At most twelve minutes of an hour.",
    ),
]  # fmt: skip
Zone = Annotated[
    str, Meta(min_length=1, max_length=64, description="IANA time zone.", examples=["Europe/London"])
]  # fmt: skip
Parameters = Annotated[dict[str, Any], Meta(description="What the kind takes.", max_length=20, examples=[{}])]
Trigger = Literal["clock", "catch_up", "manual", "skipped"]


class CreateScheduleInput(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`kind`: what is done. `time_zone` is the tenant's unless given.

    `missed` says what becomes of moments at which nothing ran (an outage): `skip` leaves them out, `run_once` makes
    up for all of them with one run, `run_all` with one each, the latest 24 at most.
    `parameters`: of `reorder` `warehouse_id`; of `period_pre_close` `months_back`; the others take none.
    """

    name: Name
    kind: KindName
    cron: Cron
    time_zone: Zone | None = None
    missed: Missed = "run_once"
    enabled: bool = True
    parameters: Parameters = {}


class UpdateScheduleInput(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Only the fields that are sent change. With another `cron` or zone, or enabled again, it counts from now on."""

    name: Name | UnsetType = UNSET
    cron: Cron | UnsetType = UNSET
    time_zone: Zone | UnsetType = UNSET
    missed: Missed | UnsetType = UNSET
    enabled: bool | UnsetType = UNSET
    parameters: Parameters | UnsetType = UNSET


class ScheduleSummary(Struct, frozen=True, kw_only=True):
    """`next_at` is null while it is not enabled."""

    id: UUID
    version: PositiveCount
    name: str
    kind: str
    parameters: dict[str, Any]
    cron: str
    time_zone: str
    missed: Missed
    enabled: bool
    next_at: Timestamp | None
    created_at: Timestamp


class ScheduleView(ScheduleSummary, frozen=True, kw_only=True):
    """With its next five moments."""

    next_runs: list[Timestamp]


class ScheduleRunView(Struct, frozen=True, kw_only=True):
    """`slot` is the moment it ran for, of a run by hand the one it was asked for.

    `missed`: how many earlier moments were left out. `state`, `result` and `error` are those of its job;
    a run that was left out is `skipped` and has none.
    """

    id: UUID
    schedule_id: UUID
    slot: Timestamp
    trigger: Trigger
    missed: Count
    state: Literal["queued", "running", "done", "failed", "discarded", "skipped"]
    job_id: UUID | None
    result: dict[str, Any] | None
    error_code: str | None
    created_at: Timestamp
    finished_at: Timestamp | None
