"""Recurring orders on the wire."""

from typing import Annotated, Any, Literal
from uuid import UUID

from msgspec import UNSET, Meta, Struct, UnsetType

from erp.kernel.text import Count, Date, Name, PositiveCount, Text, Timestamp
from erp.kernel.timetable import Missed
from erp.sales.schemas import OrderLines, Reference, Rounding
from erp.scheduling.schemas import Cron, Zone

WhenShort = Literal["skip", "backorder", "draft"]
MostOrders = Annotated[int, Meta(ge=1, le=100_000, description="How many orders it makes at most.")]


class OrderTemplate(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What each order is made of. Prices that are left out are those of the day of the order."""

    party_id: UUID
    lines: OrderLines
    location_id: UUID | None = None
    prices_include_tax: bool | None = None
    tax_rounding: Rounding | None = None
    reference: Reference = ""
    text: Text = ""


class CreateRecurringOrderInput(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An order for each moment of `cron`, by the tenant's clock unless `time_zone` says otherwise.

    `confirm` reserves its stock; `when_short` says what happens where stock lacks: `skip` makes no order, `backorder`
    confirms it with what is there, `draft` leaves it a draft. A moment for which no order could be made is told in a
    notice. It ends after `ends_on` or with the `most_orders`-th order. `missed`: as for schedules.
    """

    name: Name
    order: OrderTemplate
    cron: Cron
    time_zone: Zone | None = None
    missed: Missed = "run_once"
    confirm: bool = False
    when_short: WhenShort = "skip"
    starts_on: Date | None = None
    ends_on: Date | None = None
    most_orders: MostOrders | None = None


class UpdateRecurringOrderInput(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Only the fields that are sent change. `paused` stops it for a while; what it would have made is not made up."""

    name: Name | UnsetType = UNSET
    order: OrderTemplate | UnsetType = UNSET
    cron: Cron | UnsetType = UNSET
    time_zone: Zone | UnsetType = UNSET
    missed: Missed | UnsetType = UNSET
    confirm: bool | UnsetType = UNSET
    when_short: WhenShort | UnsetType = UNSET
    ends_on: Date | UnsetType | None = UNSET
    most_orders: MostOrders | UnsetType | None = UNSET
    paused: bool | UnsetType = UNSET


class RecurringOrderView(Struct, frozen=True, kw_only=True):
    """`made`: orders so far. Its moments and runs by hand are those of the schedule `schedule_id`."""

    id: UUID
    version: PositiveCount
    name: str
    state: Literal["active", "paused", "ended"]
    order: dict[str, Any]
    schedule_id: UUID
    cron: str
    time_zone: str
    missed: Missed
    next_at: Timestamp | None
    confirm: bool
    when_short: WhenShort
    ends_on: Date | None
    most_orders: PositiveCount | None
    made: Count
    created_at: Timestamp


class RecurringOrderRunView(Struct, frozen=True, kw_only=True):
    """What became of one moment: its order, or why there is none (`code` as in the catalogue of problems)."""

    id: UUID
    recurring_order_id: UUID
    slot: Timestamp
    outcome: Literal["ordered", "skipped"]
    order_id: UUID | None
    code: str | None
    detail: str | None
    created_at: Timestamp
