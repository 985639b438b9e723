"""Streams, rebuilt states and verifications on the wire."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from msgspec import Meta, Struct

OwnType = Annotated[
    str,
    Meta(
        pattern=r"^x-[a-z][a-z0-9_-]{0,58}$", min_length=3, max_length=60, examples=["x-parcel"],
        description="A kind of your own: begins with `x-`. The kinds of this service are written by its commands.",
    ),
]  # fmt: skip
OwnEvent = Annotated[
    str,
    Meta(
        pattern=r"^x-[a-z][a-z0-9_.-]{0,78}$", min_length=3, max_length=80, examples=["x-parcel.scanned"],
        description="What happened; begins with `x-`.",
    ),
]  # fmt: skip
Version = Annotated[int, Meta(ge=0, le=2_147_483_646)]
VerificationKind = Literal["events", "projections"]


class AppendInput(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The stream must be at `expected_version`, 0 for a new one; the event becomes the next version."""

    stream_type: OwnType
    stream_id: UUID
    expected_version: Version
    type: OwnEvent
    data: Annotated[dict[str, Any], Meta(max_length=100)]


class AppendedView(Struct, frozen=True, kw_only=True):
    """The event as appended; `version` is what the next append expects."""

    stream_type: str
    stream_id: UUID
    version: int
    type: str
    occurred_at: datetime


class EventView(Struct, frozen=True, kw_only=True):
    """One event. `data` is of the form `schema_version` of its type. `position` grows, but not in commit order."""

    id: UUID
    position: int
    stream_type: str
    stream_id: UUID
    version: int
    type: str
    schema_version: int
    data: dict[str, Any]
    occurred_at: datetime
    correlation_id: str | None
    causation_id: UUID | None


class DifferenceView(Struct, frozen=True, kw_only=True):
    """A field that is stored with one value and amounts to another."""

    aggregate_type: str
    aggregate_id: str
    field: str
    stored: Any
    rebuilt: Any


class RebuiltView(Struct, frozen=True, kw_only=True):
    """An aggregate as its events make it.

    `complete`: nothing of it is older than the events that carry it. `agrees` and `differences` compare it with what
    is stored; they are null when an earlier version or time was asked for.
    """

    stream_type: str
    stream_id: UUID
    version: int
    occurred_at: datetime | None
    state: dict[str, Any]
    complete: bool
    agrees: bool | None
    differences: list[DifferenceView] | None


class StartVerificationInput(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`events`: fold orders and stock levels; `projections`: recompute the read models from the documents.

    `reopen`: begin the histories of stock levels with a gap anew, after releases of both kinds ran side by side.
    """

    kind: VerificationKind
    reopen: bool = False


class VerificationView(Struct, frozen=True, kw_only=True):
    """`difference` is the first one. `incomplete`: streams that began before their events said enough.

    `operation`: where it is followed and cancelled; null for those the service does by itself. One that was
    `cancelled` or has `failed` found nothing out.
    """

    id: UUID
    version: int
    kind: VerificationKind
    state: Literal["running", "agrees", "differs", "failed", "cancelled"]
    checked: int
    incomplete: int
    differing: int
    difference: DifferenceView | None
    created_at: datetime
    finished_at: datetime | None
    operation: str | None
