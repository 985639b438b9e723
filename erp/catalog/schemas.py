"""The catalogue on the wire. Prices and quantities are decimal strings; units are named by their codes."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from msgspec import UNSET, Meta, Struct, UnsetType

from erp.kernel.text import Code, ExternalId, Name, QuantityOrZero, UnitPrice

ProductKind = Literal["stocked", "service"]
Decimals = Annotated[int, Meta(ge=0, le=6, description="Decimals a quantity in this unit may have.")]
Factor = Annotated[int, Meta(ge=1, le=1_000_000_000)]
Barcode = Annotated[
    str,
    Meta(
        min_length=1, max_length=64, pattern=r"^[!-~]+(?!\n)$",
        description="Bar code, 1 to 64 visible ASCII characters, unique.", examples=["5012345678900"],
    ),
]  # fmt: skip


class CreateUnitInput(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    code: Code
    name: Name
    decimals: Decimals = 0
    external_id: ExternalId | None = None


class UpdateUnitInput(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The code stays: documents carry it."""

    name: Name | UnsetType = UNSET
    decimals: Decimals | UnsetType = UNSET
    active: bool | UnsetType = UNSET


class UnitView(Struct, frozen=True, kw_only=True):
    id: UUID
    version: int
    code: str
    name: str
    decimals: int
    active: bool
    external_id: str | None
    created_at: datetime


class CreateCategoryInput(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    code: Code
    name: Name
    parent_id: UUID | None = None
    external_id: ExternalId | None = None


class UpdateCategoryInput(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Only the fields that are sent change; `parent_id` null moves the category to the top."""

    code: Code | UnsetType = UNSET
    name: Name | UnsetType = UNSET
    parent_id: UUID | UnsetType | None = UNSET
    active: bool | UnsetType = UNSET
    external_id: ExternalId | UnsetType | None = UNSET


class CategoryView(Struct, frozen=True, kw_only=True):
    id: UUID
    version: int
    code: str
    name: str
    parent_id: UUID | None
    active: bool
    external_id: str | None
    created_at: datetime


class ProductUnit(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One `unit` is exactly `numerator / denominator` of the product's own unit: a box of ten is 10 / 1."""

    unit: Code
    numerator: Factor
    denominator: Factor = 1


ProductUnits = Annotated[list[ProductUnit], Meta(max_length=50)]


class CreateProductInput(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`unit` is the product's own unit, in which stock is counted; it and `kind` stay for good."""

    code: Code
    name: Name
    kind: ProductKind = "stocked"
    unit: Code = "pcs"
    units: ProductUnits = []
    category_id: UUID | None = None
    sale_price: UnitPrice | None = None
    tax_group_id: UUID | None = None
    reorder_point: QuantityOrZero | None = None
    barcode: Barcode | None = None
    external_id: ExternalId | None = None


class UpdateProductInput(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Only the fields that are sent change; null empties a field that may be empty. `units` is replaced whole."""

    code: Code | UnsetType = UNSET
    name: Name | UnsetType = UNSET
    units: ProductUnits | UnsetType = UNSET
    category_id: UUID | UnsetType | None = UNSET
    sale_price: UnitPrice | UnsetType | None = UNSET
    tax_group_id: UUID | UnsetType | None = UNSET
    reorder_point: QuantityOrZero | UnsetType | None = UNSET
    barcode: Barcode | UnsetType | None = UNSET
    external_id: ExternalId | UnsetType | None = UNSET
    active: bool | UnsetType = UNSET


class ProductView(Struct, frozen=True, kw_only=True):
    """`sale_price` per unit of its own; `reorder_point` in it. Without a tax group the product is untaxed."""

    id: UUID
    version: int
    code: str
    name: str
    kind: ProductKind
    unit: str
    units: list[ProductUnit]
    category_id: UUID | None
    sale_price: str | None
    tax_group_id: UUID | None
    reorder_point: str | None
    barcode: str | None
    active: bool
    external_id: str | None
    created_at: datetime
