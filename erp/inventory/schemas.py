"""Stock on the wire. Quantities are decimal strings in the product's base unit, values in the tenant's currency."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from msgspec import UNSET, Meta, Struct, UnsetType

from erp.kernel.text import Code, Date, ExternalId, Key, Name, Quantity, SignedQuantity, Text, Timestamp, UnitCost

ReservationState = Literal["active", "consumed", "released", "expired"]
MoveKind = Literal["receipt", "delivery", "return", "adjustment", "correction"]
Reference = Annotated[str, Meta(max_length=200, description="What it is for, in your own words.")]
Seconds = Annotated[int, Meta(ge=1, le=31_622_400, description="Seconds from now, at most 366 days.")]


class CreateWarehouseInput(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    code: Code
    name: Name
    external_id: ExternalId | None = None


class UpdateWarehouseInput(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Only the fields that are sent change."""

    code: Code | UnsetType = UNSET
    name: Name | UnsetType = UNSET
    active: bool | UnsetType = UNSET
    external_id: ExternalId | UnsetType | None = UNSET


class WarehouseView(Struct, frozen=True, kw_only=True):
    id: UUID
    version: int
    code: str
    name: str
    active: bool
    external_id: str | None
    created_at: datetime


class CreateLocationInput(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """With `is_default` it takes over from the tenant's default location."""

    warehouse_id: UUID
    code: Code
    name: Name
    is_default: bool = False
    external_id: ExternalId | None = None


class UpdateLocationInput(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Only the fields that are sent change. The default location moves by making another one the default."""

    code: Code | UnsetType = UNSET
    name: Name | UnsetType = UNSET
    is_default: Literal[True] | UnsetType = UNSET
    active: bool | UnsetType = UNSET
    external_id: ExternalId | UnsetType | None = UNSET


class LocationView(Struct, frozen=True, kw_only=True):
    id: UUID
    version: int
    warehouse_id: UUID
    code: str
    name: str
    is_default: bool
    active: bool
    external_id: str | None
    created_at: datetime


class LevelView(Struct, frozen=True, kw_only=True):
    """A product in a location. `available` is on hand and not reserved; `incoming` is still to be received."""

    id: UUID
    version: int
    product_id: UUID
    product_code: str
    location_id: UUID
    location_code: str
    on_hand: str
    reserved: str
    available: str
    incoming: str
    reorder_point: str | None


class PlaceView(Struct, frozen=True, kw_only=True):
    """A product's quantities in one location."""

    location_id: UUID
    location_code: str
    on_hand: str
    reserved: str
    available: str
    incoming: str


class AvailabilityView(Struct, frozen=True, kw_only=True):
    """A product over all locations, and in each where it is or is expected."""

    product_id: UUID
    product_code: str
    kind: Literal["stocked", "service"]
    on_hand: str
    reserved: str
    available: str
    incoming: str
    locations: list[PlaceView]


class MoveView(Struct, frozen=True, kw_only=True):
    """In > 0, out < 0; a correction of costs moves value only.

    `entry_id` and `line_no` name the journal line of the same amount; null without a value.
    """

    id: UUID
    product_id: UUID
    location_id: UUID
    date: Date
    kind: MoveKind
    quantity: str
    value: str
    unit_cost: str
    source_type: str
    source_id: UUID
    source_line_id: UUID | None
    entry_id: UUID | None
    line_no: int | None
    created_at: datetime


class ValuationView(Struct, frozen=True, kw_only=True):
    """What a product's stock is worth: `unit_cost` is value / quantity, null when nothing is there."""

    product_id: UUID
    product_code: str
    quantity: str
    value: str
    unit_cost: str | None


class ValuationTotalView(Struct, frozen=True, kw_only=True):
    """The worth of all stock at the end of `as_of` beside the balance of the inventory account that day."""

    as_of: Date
    currency: str
    products: int
    value: str
    inventory_account: str


class OnHandView(Struct, frozen=True, kw_only=True):
    """What was in a location at the end of a day."""

    product_id: UUID
    product_code: str
    location_id: UUID
    on_hand: str


class CreateReservationInput(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Hold stock of a product for something that is not a sales order.

    The default location unless named; `expires_in` or the tenant's setting `inventory.reservation_ttl` (30 minutes
    unless set) bounds how long. With `allow_partial` it holds what is there, at least something.
    """

    product_id: UUID
    quantity: Quantity
    location_id: UUID | None = None
    expires_in: Seconds | None = None
    allow_partial: bool = False
    reference: Reference = ""
    external_id: ExternalId | None = None


class ExtendReservationInput(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Until a moment or for so many seconds from now; as long as a new one without either."""

    expires_at: Timestamp | None = None
    expires_in: Seconds | None = None


class ReservationView(Struct, frozen=True, kw_only=True):
    """`open_quantity` is what it still holds; `source_id` the sales order it was made for, if any."""

    id: UUID
    version: int
    product_id: UUID
    location_id: UUID
    state: ReservationState
    quantity: str
    open_quantity: str
    expires_at: datetime
    source_type: str
    source_id: UUID | None
    source_line_id: UUID | None
    reference: str
    external_id: str | None
    closed_at: datetime | None
    created_at: datetime


class AdjustmentLineInput(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Lost or broken < 0, found > 0. What is lost goes at the moving average; `unit_cost` values what is found.

    Without it, found stock is valued at the current average, or the last one when there is none left.
    """

    product_id: UUID
    quantity: SignedQuantity
    location_id: UUID | None = None
    unit_cost: UnitCost | None = None


class CreateAdjustmentInput(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`date`: the day it happened, today unless given, never later. `strict_date` refuses a closed period.

    `history`: taken over from another system, so that costs of later issues are left alone (needs `imports:write`).
    """

    reason: Key
    lines: Annotated[list[AdjustmentLineInput], Meta(min_length=1, max_length=2000)]
    date: Date | None = None
    text: Text = ""
    strict_date: bool = False
    history: bool = False
    external_id: ExternalId | None = None


class AdjustmentLineView(Struct, frozen=True, kw_only=True):
    line_no: int
    product_id: UUID
    location_id: UUID
    quantity: str
    unit_cost: str
    value: str


class AdjustmentSummary(Struct, frozen=True, kw_only=True):
    """`accounting_date` differs from `date` when the period of that was closed (`date_shifted`)."""

    id: UUID
    version: int
    number: str
    date: Date
    accounting_date: Date
    date_shifted: bool
    reason: str
    text: str
    value: str
    line_count: int
    entry_id: UUID | None
    external_id: str | None
    created_at: datetime


class AdjustmentView(AdjustmentSummary, frozen=True, kw_only=True):
    lines: list[AdjustmentLineView]
