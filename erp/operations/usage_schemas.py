"""Usage and quotas on the wire."""

from datetime import date
from typing import Annotated, Any
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, UnsetType

from erp.kernel.text import Count, Reason, Timestamp
from tenancy.quotas import MOST

Quota = Annotated[int, Meta(ge=0, le=MOST)]
Amount = Annotated[int, Meta(ge=0)]
Seconds = Annotated[float, Meta(ge=0)]


class QuotasInput(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The quotas of one tenant or plan; null: no bound. What is left out is inherited: a tenant's from its plan, a
    plan's from the plan `default`.
    """

    products: Quota | UnsetType | None = UNSET
    parties: Quota | UnsetType | None = UNSET
    documents: Quota | UnsetType | None = UNSET
    api_keys: Quota | UnsetType | None = UNSET
    requests_per_month: Quota | UnsetType | None = UNSET
    job_seconds_per_month: Quota | UnsetType | None = UNSET
    rows: Quota | UnsetType | None = UNSET
    storage_bytes: Quota | UnsetType | None = UNSET


class SetQuotasInput(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All of them at once: what is left out of `quotas` is inherited from now on. `reason` is kept."""

    quotas: QuotasInput
    reason: Reason


class QuotasView(msgspec.Struct, frozen=True, kw_only=True):
    """`quotas` is what was set here, `effective` what holds with what is inherited. Version 0: nothing is set."""

    version: Count
    quotas: dict[str, int | None]
    effective: dict[str, int | None]
    reason: str | None
    changed_at: Timestamp | None


class TenantQuotasView(QuotasView, frozen=True, kw_only=True):
    """A tenant's quotas; `plan` is what it inherits from."""

    id: UUID
    plan: str


class PlanQuotasView(QuotasView, frozen=True, kw_only=True):
    """A plan's quotas."""

    plan: str


class MonthView(msgspec.Struct, frozen=True, kw_only=True):
    """One month (UTC). `rows` and `storage_bytes` as last measured in it, null before the first time."""

    month: date
    requests: Amount
    job_seconds: Seconds
    rows: Amount | None
    storage_bytes: Amount | None
    measured_at: Timestamp | None


class UsageView(msgspec.Struct, frozen=True, kw_only=True):
    """The present month, seconds late, beside the quotas that hold; null: no bound. `counted` is exact;
    documents are in it once some were created under a quota on them."""

    month: date
    requests: Amount
    job_seconds: Seconds
    rows: Amount | None
    storage_bytes: Amount | None
    measured_at: Timestamp | None
    counted: dict[str, Amount]
    quotas: dict[str, int | None]


def set_quotas(data: QuotasInput) -> dict[str, Any]:
    """What was sent, null included."""
    return {name: value for name, value in msgspec.structs.asdict(data).items() if value is not UNSET}
