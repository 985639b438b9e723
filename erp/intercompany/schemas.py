"""Trading between tenants on the wire."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from msgspec import UNSET, Meta, Struct, UnsetType

from erp.kernel.text import Date, ExternalId, Text
from erp.sales.schemas import OrderLines, Reference, Rounding

PartnerId = Annotated[UUID, Meta(description="The other tenant's id, as it told you.")]


class CreateLinkInput(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Your consent to trade with another tenant; nothing happens before that one has given its own.

    `party_id`: the partner among your parties, a customer when you sell to it, a supplier when you buy from it.
    `location_id`: where goods bought from it arrive, your default location unless given.
    """

    partner_id: PartnerId
    party_id: UUID
    location_id: UUID | None = None
    sells: bool = True
    buys: bool = True


class UpdateLinkInput(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Only the fields that are sent change. With the state `ended` nothing more is written for you."""

    party_id: UUID | UnsetType = UNSET
    location_id: UUID | UnsetType | None = UNSET
    sells: bool | UnsetType = UNSET
    buys: bool | UnsetType = UNSET
    state: Literal["active", "ended"] | UnsetType = UNSET


class LinkView(Struct, frozen=True, kw_only=True):
    """`sells`: you may sell to the partner. `buys`: it may sell to you, which writes a receipt and a bill."""

    id: UUID
    version: int
    partner_id: UUID
    party_id: UUID
    location_id: UUID | None
    sells: bool
    buys: bool
    state: Literal["active", "ended"]
    created_at: datetime


class CreateIntercompanySaleInput(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Sold, handed over and invoiced by you; received and billed at the partner: both or neither.

    Products are found at the partner by their code. `date` is today unless given.
    """

    partner_id: PartnerId
    lines: OrderLines
    date: Date | None = None
    due_date: Date | None = None
    location_id: UUID | None = None
    prices_include_tax: bool | None = None
    tax_rounding: Rounding | None = None
    reference: Reference = ""
    text: Text = ""
    strict_date: bool = False
    external_id: ExternalId | None = None


class IntercompanySaleView(Struct, frozen=True, kw_only=True):
    """One side of a sale; the other side has the same `id`.

    The seller's documents are a sales order, a delivery and an invoice; the buyer's a purchase order, a goods
    receipt and a supplier bill. `partner_number`: of the partner's bill or invoice.
    """

    id: UUID
    version: int
    side: Literal["seller", "buyer"]
    partner_id: UUID
    party_id: UUID
    date: Date
    currency: str
    net: str
    tax: str
    gross: str
    line_count: int
    order_id: UUID
    order_number: str
    handover_id: UUID | None
    handover_number: str | None
    bill_id: UUID
    bill_number: str
    partner_number: str
    created_at: datetime
