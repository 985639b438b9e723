"""Parties on the wire. Amounts are decimal strings in the tenant's currency."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from msgspec import UNSET, Meta, Struct, UnsetType

from erp.kernel.text import Amount, Code, CountryCode, Days, ExternalId, Name

_END = r"(?!\n)$"
_LINE = rf"^[^\n\t]*{_END}"

Line = Annotated[str, Meta(max_length=200, pattern=_LINE, description="One line of text, at most 200 characters.")]
Email = Annotated[
    str,
    Meta(
        max_length=254, pattern=rf"^[^\s@<>,;]+@[^\s@<>,;]+\.[^\s@<>,;.]+{_END}",
        description="E-mail address.", examples=["orders@example.com"],
    ),
]  # fmt: skip
Phone = Annotated[
    str,
    Meta(
        min_length=3, max_length=32, pattern=rf"^\+?[0-9][0-9 ()./-]*{_END}",
        description="Telephone number: digits, blanks and ( ) . / -, with + before a country code.",
        examples=["+44 20 7946 0018"],
    ),
]  # fmt: skip
TaxId = Annotated[
    str,
    Meta(
        min_length=2, max_length=32, pattern=rf"^[A-Z0-9][A-Z0-9 ./-]*{_END}",
        description="Tax or VAT number: capital letters, digits, blanks and . / -", examples=["GB123456789"],
    ),
]  # fmt: skip


class Address(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`kind` says what the address is for; a party may have several of a kind, the first one counts."""

    kind: Literal["billing", "shipping", "other"] = "billing"
    name: Line = ""
    street: Line = ""
    street2: Line = ""
    postal_code: Annotated[str, Meta(max_length=20, pattern=_LINE)] = ""
    city: Line = ""
    region: Line = ""
    country: CountryCode | None = None


class Contact(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A person at the party."""

    name: Name
    role: Line = ""
    email: Email | None = None
    phone: Phone | None = None


Addresses = Annotated[list[Address], Meta(max_length=50)]
Contacts = Annotated[list[Contact], Meta(max_length=50)]


class CreatePartyInput(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A party is a customer, a supplier or both. Without `credit_limit` there is no limit.

    `price_list_id`: the list its prices come from; the products' own sale prices without one.
    """

    code: Code
    name: Name
    is_customer: bool = False
    is_supplier: bool = False
    email: Email | None = None
    phone: Phone | None = None
    tax_id: TaxId | None = None
    country: CountryCode | None = None
    payment_terms_days: Days = 30
    credit_limit: Amount | None = None
    price_list_id: UUID | None = None
    addresses: Addresses = []
    contacts: Contacts = []
    external_id: ExternalId | None = None


class UpdatePartyInput(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Only the fields that are sent change; null empties a field that may be empty. Lists are replaced whole."""

    code: Code | UnsetType = UNSET
    name: Name | UnsetType = UNSET
    is_customer: bool | UnsetType = UNSET
    is_supplier: bool | UnsetType = UNSET
    email: Email | UnsetType | None = UNSET
    phone: Phone | UnsetType | None = UNSET
    tax_id: TaxId | UnsetType | None = UNSET
    country: CountryCode | UnsetType | None = UNSET
    payment_terms_days: Days | UnsetType = UNSET
    credit_limit: Amount | UnsetType | None = UNSET
    price_list_id: UUID | UnsetType | None = UNSET
    addresses: Addresses | UnsetType = UNSET
    contacts: Contacts | UnsetType = UNSET
    external_id: ExternalId | UnsetType | None = UNSET
    active: bool | UnsetType = UNSET


class PartyView(Struct, frozen=True, kw_only=True):
    """`credit_limit` null: no limit. An inactive party takes no new documents."""

    id: UUID
    version: int
    code: str
    name: str
    is_customer: bool
    is_supplier: bool
    email: str | None
    phone: str | None
    tax_id: str | None
    country: str | None
    payment_terms_days: int
    credit_limit: str | None
    price_list_id: UUID | None
    addresses: list[Address]
    contacts: list[Contact]
    active: bool
    external_id: str | None
    created_at: datetime
