"""Reorder rules and purchase proposals on the wire. Quantities are in the product's own unit."""

from typing import Literal
from uuid import UUID

from msgspec import UNSET, Struct, UnsetType

from erp.kernel.text import Date, Days, PositiveCount, Quantity, QuantityOrZero, Reason, Timestamp, UnitPrice


class CreateReorderRuleInput(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When less than `minimum` is available or on its way, as many multiples of `multiple` as reach `target`.

    It counts for the whole warehouse of `location_id` (the default location unless given), where goods go to. One
    rule for a product and warehouse. `lead_days`: from ordering to arrival.
    """

    product_id: UUID
    supplier_id: UUID
    minimum: QuantityOrZero
    target: Quantity
    unit_price: UnitPrice
    location_id: UUID | None = None
    multiple: Quantity = "1"
    lead_days: Days = 0


class UpdateReorderRuleInput(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Only the fields that are sent change."""

    supplier_id: UUID | UnsetType = UNSET
    minimum: QuantityOrZero | UnsetType = UNSET
    target: Quantity | UnsetType = UNSET
    multiple: Quantity | UnsetType = UNSET
    lead_days: Days | UnsetType = UNSET
    unit_price: UnitPrice | UnsetType = UNSET
    active: bool | UnsetType = UNSET


class ReorderRuleView(Struct, frozen=True, kw_only=True):
    id: UUID
    version: PositiveCount
    product_id: UUID
    warehouse_id: UUID
    location_id: UUID
    supplier_id: UUID
    minimum: str
    target: str
    multiple: str
    lead_days: Days
    unit_price: str
    active: bool
    created_at: Timestamp


class RunReorderingInput(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All warehouses unless one is named."""

    warehouse_id: UUID | None = None


class ReorderingRunView(Struct, frozen=True, kw_only=True):
    """The job that looks; one that is not over yet is not asked for again."""

    job_id: UUID


class AcceptProposalInput(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is proposed, unless something else is said."""

    quantity: Quantity | None = None
    unit_price: UnitPrice | None = None


class DismissProposalInput(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    reason: Reason


class PurchaseProposalView(Struct, frozen=True, kw_only=True):
    """`available` (in the warehouse, not reserved) and `incoming` (ordered, drafts of proposals too) were so then.

    `order_id`: the purchase order it became.
    """

    id: UUID
    version: PositiveCount
    rule_id: UUID
    product_id: UUID
    supplier_id: UUID
    location_id: UUID
    state: Literal["open", "accepted", "dismissed"]
    quantity: str
    unit_price: str
    available: str
    incoming: str
    expected_on: Date
    order_id: UUID | None
    reason: str
    created_at: Timestamp
