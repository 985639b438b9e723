"""Tenants and API keys on the wire."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from msgspec import UNSET, Meta, Struct, UnsetType

from erp.kernel.text import CountryCode, CurrencyCode, Days, Name, Reason, Slug, Timestamp

TenantState = Literal["active", "suspended", "closed"]
Role = Literal["owner", "admin", "accountant", "sales", "warehouse", "auditor", "custom"]
Rounding = Literal["line", "document"]
TimeZone = Annotated[
    str,
    Meta(
        max_length=64, pattern=r"^[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+)*(?!\n)$",
        description="IANA time zone.", examples=["Europe/London"],
    ),
]  # fmt: skip
Plan = Annotated[
    str, Meta(pattern=r"^[a-z][a-z0-9-]{0,30}(?!\n)$", description="Name of the plan.", examples=["standard"])
]
Scope = Annotated[
    str,
    Meta(
        pattern=r"^(\*|[a-z][a-z_]{0,40}):(\*|[a-z][a-z_]{0,20})(?!\n)$",
        description="`resource:action`; `*` stands for any of either.", examples=["sales_orders:write", "*:read"],
    ),
]  # fmt: skip
Scopes = Annotated[list[Scope], Meta(max_length=100)]
Seconds = Annotated[int, Meta(ge=60, le=31_622_400)]

_SETTING_NAMES = {
    "prices_include_tax": "sales.prices_include_tax",
    "tax_rounding": "sales.tax_rounding",
    "order_reservation_ttl": "sales.reservation_ttl",
    "reservation_ttl": "inventory.reservation_ttl",
    "max_backdate_days": "inventory.max_backdate_days",
}


class TenantSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename=_SETTING_NAMES):
    """What documents do unless they say otherwise. A setting that is not there has its default.

    `sales.prices_include_tax`: false. `sales.tax_rounding`: line. Seconds a reservation holds:
    `sales.reservation_ttl` for a confirmed order, `inventory.reservation_ttl` for one made by hand.
    `inventory.max_backdate_days`: how many days back a stock document may change costs of later issues; 366.
    """

    prices_include_tax: bool | UnsetType = UNSET
    tax_rounding: Rounding | UnsetType = UNSET
    order_reservation_ttl: Seconds | UnsetType = UNSET
    reservation_ttl: Seconds | UnsetType = UNSET
    max_backdate_days: Days | UnsetType = UNSET


class TenantSettingsChange(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename=_SETTING_NAMES):
    """Only the settings that are sent change; null puts one back to its default."""

    prices_include_tax: bool | UnsetType | None = UNSET
    tax_rounding: Rounding | UnsetType | None = UNSET
    order_reservation_ttl: Seconds | UnsetType | None = UNSET
    reservation_ttl: Seconds | UnsetType | None = UNSET
    max_backdate_days: Days | UnsetType | None = UNSET


class CreateTenantInput(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`chart`: the chart of accounts to start from. Fiscal years are calendar years.

    Accounting periods are opened from `first_fiscal_year` (last year unless given) to the end of next year;
    books taken over from another system need the year of their earliest document. `database`: where the tenant's
    data lives, for good; one of those the installation has.
    """

    slug: Slug
    name: Name
    base_currency: CurrencyCode
    country: CountryCode
    time_zone: TimeZone
    plan: Plan = "standard"
    chart: Annotated[str, Meta(min_length=1, max_length=64, examples=["generic-ifrs"])] = "generic-ifrs"
    first_fiscal_year: Annotated[int, Meta(ge=1970, le=2200)] | None = None
    settings: TenantSettings = TenantSettings()
    database: Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_]{0,30}(?!\n)$", examples=["main"])] = "main"


class UpdateTenantInput(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Only the fields that are sent change. Currency and slug stay for good."""

    name: Name | UnsetType = UNSET
    time_zone: TimeZone | UnsetType = UNSET
    settings: TenantSettingsChange | UnsetType = UNSET


class ChangeStateInput(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    reason: Reason


class TenantView(Struct, frozen=True, kw_only=True):
    """A suspended or closed tenant keeps its data; its callers are refused. `database`: where its data lives."""

    id: UUID
    version: int
    slug: str
    name: str
    plan: str
    state: TenantState
    base_currency: str
    country: str
    time_zone: str
    settings: TenantSettings
    database: str
    created_at: datetime


class CreateApiKeyInput(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The key may do what its role may and what `scopes` add; role `custom` may nothing by itself."""

    name: Name
    role: Role
    scopes: Scopes = []
    expires_at: Timestamp | None = None


class RotateApiKeyInput(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """For how many seconds the old key works on beside the new one: a day unless given, 30 days at most."""

    overlap_seconds: Annotated[int, Meta(ge=0, le=2_592_000)] = 86_400


class ApiKeyView(Struct, frozen=True, kw_only=True):
    """`prefix` is the part of the key that may be written down to recognise it by.

    `last_used_at` is noted about once a minute, null for a key that was never used.
    """

    id: UUID
    version: int
    prefix: str
    name: str
    role: Role
    scopes: list[str]
    state: Literal["active", "expired", "revoked"]
    expires_at: datetime | None
    last_used_at: datetime | None
    created_by: UUID | None
    created_at: datetime


class NewApiKeyView(Struct, frozen=True, kw_only=True):
    """`secret` is the key itself. It is shown in this answer only, and null when the request is repeated.

    Whoever lost it revokes the key and creates another.
    """

    id: UUID
    version: int
    prefix: str
    secret: str | None
    name: str
    role: Role
    scopes: list[str]
    state: Literal["active", "expired", "revoked"]
    expires_at: datetime | None
    last_used_at: datetime | None
    created_by: UUID | None
    created_at: datetime
    replaces_id: UUID | None = None


class NewTenantView(Struct, frozen=True, kw_only=True):
    """The tenant and the key of its first owner."""

    id: UUID
    version: int
    tenant: TenantView
    owner_key: NewApiKeyView
