"""The system's own scheduled tasks on the wire."""

from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType

from erp.kernel.text import Count, PositiveCount, Reason, Timestamp
from erp.kernel.timetable import Missed
from erp.scheduling.schemas import Trigger

SystemCron = Annotated[
    str,
    Meta(
        min_length=9, max_length=100, description="Five fields; every minute is allowed.", examples=["0 3 * * *"]
    ),
]  # fmt: skip
SystemZone = Annotated[
    str,
    Meta(
        min_length=1, max_length=64, examples=["UTC"],
        description="IANA time zone, or `tenant` for a task that goes by each tenant's own clock.",
    ),
]  # fmt: skip


class ChangeSystemScheduleInput(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Only the fields that are sent change; null takes back what the code declares.

    The zone of a task that goes by each tenant's own clock stays; so does its rhythm's kind.
    """

    reason: Reason
    cron: SystemCron | UnsetType | None = UNSET
    time_zone: SystemZone | UnsetType | None = UNSET
    missed: Missed | UnsetType | None = UNSET
    enabled: bool | UnsetType = UNSET


class RunSystemScheduleInput(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Why it has to run now; kept in the operator's trail."""

    reason: Reason | UnsetType = UNSET


class SystemScheduleView(Struct, frozen=True, kw_only=True):
    """`every_seconds` or `cron` is what holds, `changed` whether that differs from what the code declares.

    `requested_at`: a run by hand waits for the leader. `settled_to`: moments of a `cron` up to here are done or left
    out. `next_at` is null for a task that goes by each tenant's own clock, and while it is not enabled.
    """

    name: str
    version: PositiveCount
    every_seconds: float | None
    cron: str | None
    time_zone: str | None
    missed: Missed
    enabled: bool
    changed: bool
    reason: str
    changed_at: Timestamp
    settled_to: Timestamp
    requested_at: Timestamp | None
    next_at: Timestamp | None


class SystemSchedulesView(Struct, frozen=True, kw_only=True):
    """The tasks of one database, by name."""

    database: str
    data: list[SystemScheduleView]


class SystemRunView(Struct, frozen=True, kw_only=True):
    """`affected` is what the task counts: jobs asked for, rows removed. `term` is the leader's."""

    slot: Timestamp
    trigger: Trigger
    missed: Count
    term: Count
    holder: str
    started_at: Timestamp
    finished_at: Timestamp | None
    affected: Count | None


class SystemRunsView(Struct, frozen=True, kw_only=True):
    data: list[SystemRunView]
    has_more: bool
    next_cursor: str | None


class RequestedRunView(Struct, frozen=True, kw_only=True):
    """The moment of the run asked for; asked again before it has begun, the same one."""

    name: str
    requested_at: Timestamp
