"""Tax groups on the wire. Rates are percentages as decimal strings; both days of a span count."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from msgspec import UNSET, Meta, Struct, UnsetType

from erp.kernel.text import Code, Date, ExternalId, Name, Percent


class TaxRate(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Valid from `valid_from` to `valid_to`, both included; null: until further notice."""

    rate: Percent
    valid_from: Date
    valid_to: Date | None = None


TaxRates = Annotated[list[TaxRate], Meta(min_length=1, max_length=200)]


class CreateTaxGroupInput(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The spans of the rates must not overlap; days without a rate cannot be invoiced."""

    code: Code
    name: Name
    rates: TaxRates
    external_id: ExternalId | None = None


class UpdateTaxGroupInput(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Only the fields that are sent change; `rates` is replaced whole. Documents keep the rate they have."""

    code: Code | UnsetType = UNSET
    name: Name | UnsetType = UNSET
    rates: TaxRates | UnsetType = UNSET
    active: bool | UnsetType = UNSET
    external_id: ExternalId | UnsetType | None = UNSET


class TaxGroupView(Struct, frozen=True, kw_only=True):
    """`rates`: the earliest first."""

    id: UUID
    version: int
    code: str
    name: str
    rates: list[TaxRate]
    active: bool
    external_id: str | None
    created_at: datetime
