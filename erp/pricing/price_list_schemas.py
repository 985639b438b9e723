"""Price lists on the wire. Prices and quantities are decimal strings; both days of a span count."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from msgspec import UNSET, Meta, Struct, UnsetType

from erp.kernel.text import Code, CurrencyCode, Date, ExternalId, Name, Quantity, UnitPrice


class CreatePriceListInput(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Empty at first. `currency`: the tenant's, which is the only one documents have so far."""

    code: Code
    name: Name
    currency: CurrencyCode | None = None
    external_id: ExternalId | None = None


class UpdatePriceListInput(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Only the fields that are sent change. An inactive list prices nothing; its parties keep it."""

    code: Code | UnsetType = UNSET
    name: Name | UnsetType = UNSET
    active: bool | UnsetType = UNSET
    external_id: ExternalId | UnsetType | None = UNSET


class PriceListView(Struct, frozen=True, kw_only=True):
    """Its prices are a list of their own. Every change of them is a new version of this record."""

    id: UUID
    version: int
    code: str
    name: str
    currency: str
    active: bool
    external_id: str | None
    created_at: datetime


class PriceListItemInput(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one of the product costs from `min_quantity` on, both in the product's own unit.

    Valid from `valid_from` to `valid_to`, both included; null: until further notice.
    """

    product_id: UUID
    min_quantity: Quantity
    unit_price: UnitPrice
    valid_from: Date
    valid_to: Date | None = None


class SetPriceListItemsInput(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All of them or none. One of the same product, quantity and first day as one there is takes its place."""

    items: Annotated[list[PriceListItemInput], Meta(min_length=1, max_length=500)]


class RemovePriceListItemsInput(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All of them or none."""

    item_ids: Annotated[list[UUID], Meta(min_length=1, max_length=500)]


class PriceListItemView(Struct, frozen=True, kw_only=True):
    id: UUID
    product_id: UUID
    min_quantity: str
    unit_price: str
    valid_from: Date
    valid_to: Date | None


class PriceListItemsView(Struct, frozen=True, kw_only=True):
    """The list's id and new version, and the prices that were sent (or removed), in their order."""

    id: UUID
    version: int
    items: list[PriceListItemView]
