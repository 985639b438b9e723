"""Read models, their state, and what could not be applied, on the wire."""

from datetime import date, datetime
from typing import Annotated, Literal
from uuid import UUID

from msgspec import UNSET, Meta, Struct, UnsetType

Reason = Annotated[str, Meta(min_length=3, max_length=500, pattern=r"\S", description="Why; kept in the audit.")]


class AsOf(Struct, frozen=True, kw_only=True):
    """How old what is shown may be: it has everything committed `age_seconds` ago, and may have more.

    `position`: the highest event position in it. `complete` false: it lacks what releases before this one wrote;
    rebuild it. Null ages: nothing follows the events yet.
    """

    generation: int
    position: int
    event_at: datetime | None
    confirmed_at: datetime | None
    age_seconds: float | None
    complete: bool


class ProjectionView(Struct, frozen=True, kw_only=True):
    """A consumer of the bus and its read models for this tenant. `building`: the generation to be shown next."""

    name: str
    tables: list[str]
    as_of: AsOf
    building: int | None
    building_applied: int | None
    replaying: bool
    dead_letters: int


class ProjectionsView(Struct, frozen=True, kw_only=True):
    data: list[ProjectionView]


class RebuildInput(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    projection: Literal["sales", "stock-movements", "receivables"]
    reason: Reason | UnsetType = UNSET


class ReplayInput(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """From beyond a position or from a time on; one of the two."""

    consumer: Literal["sales", "stock-movements", "receivables"]
    from_position: Annotated[int, Meta(ge=0, le=2**62)] | None = None
    from_time: Annotated[datetime, Meta(tz=True)] | None = None
    reason: Reason | UnsetType = UNSET


class BuildView(Struct, frozen=True, kw_only=True):
    """A generation that an operation fills. `from_position`: history is read beyond it. `id`: the operation's."""

    id: UUID
    operation: str
    consumer: str
    generation: int
    state: Literal["building", "replaying"]
    from_position: int
    started_at: datetime


class DeadLetterView(Struct, frozen=True, kw_only=True):
    """`waiting` is tried again by itself; `dead` waits for replay or discard."""

    id: UUID
    version: int
    consumer: str
    event_id: UUID
    type: str
    position: int
    state: Literal["waiting", "dead", "recovered", "replayed", "discarded"]
    attempts: int
    error_code: str
    error_detail: str
    retry_at: datetime
    created_at: datetime
    ended_at: datetime | None


class DecideInput(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    reason: Reason


class ConsumerView(Struct, frozen=True, kw_only=True):
    """Everything up to transaction `xid`, `position` had its effect, for every tenant of the database."""

    name: str
    database: str
    xid: str
    position: int
    confirmed_at: datetime
    age_seconds: float
    dead_letters: int
    waiting: int


class ConsumersView(Struct, frozen=True, kw_only=True):
    data: list[ConsumerView]


class SalesByDayView(Struct, frozen=True, kw_only=True):
    """Posted invoices less credit notes of one accounting date. `documents` counts both."""

    day: date
    documents: int
    net: str
    tax: str
    gross: str


class SalesByProductView(Struct, frozen=True, kw_only=True):
    """`quantity` as invoiced, in the units of the lines."""

    day: date
    product_id: UUID
    quantity: str
    net: str


class SalesByCustomerView(Struct, frozen=True, kw_only=True):
    day: date
    party_id: UUID
    documents: int
    net: str
    tax: str
    gross: str


class StockMovementsView(Struct, frozen=True, kw_only=True):
    """Quantities in the product's base unit, out < 0; `value` is what stock gained by them, corrections included."""

    id: UUID
    day: date
    product_id: UUID
    location_id: UUID
    received: str
    delivered: str
    returned: str
    adjusted: str
    value: str


class AgeingView(Struct, frozen=True, kw_only=True):
    """What a customer owes, by days overdue on the day asked for; credit notes count against it."""

    party_id: UUID
    not_due: str
    days_1_30: str
    days_31_60: str
    days_61_90: str
    over_90: str
    total: str
