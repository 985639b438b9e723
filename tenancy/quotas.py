"""What may be limited per tenant or plan, and the refusals of what goes over it."""

from typing import Final

from sqlalchemy import column, exists, or_, select, table
from sqlalchemy.dialects.postgresql import JSONB

from db.constraints import on_violation
from db.errors import DomainError
from db.statement import TENANT, Statement

#: Counted in the transaction that creates, so exact among rivals.
COUNTED: Final = ("products", "parties", "documents", "api_keys")
#: Known to within some seconds (requests, job seconds) or a day (rows, storage).
METERED: Final = ("requests_per_month", "job_seconds_per_month", "rows", "storage_bytes")
QUOTAS: Final = COUNTED + METERED
#: More than any tenant can use; what a 64-bit sum bears.
MOST: Final = 10**15

_plans = table("plan_quotas", column("quotas", JSONB))
_tenants = table("tenant_quotas", column("tenant_id"), column("quotas", JSONB))
#: One boolean: whether creating a document may take the lock of a quota. That lock comes behind the numbers.
DOCUMENTS_ARE_COUNTED: Final = Statement(
    select(
        or_(
            exists().select_from(_plans).where(_plans.c.quotas.has_key("documents")),
            exists()
            .select_from(_tenants)
            .where(_tenants.c.tenant_id == TENANT, _tenants.c.quotas.has_key("documents")),
        )
    )
)


class QuotaExceeded(DomainError):
    """The tenant has as much of something as it may; `quota` names it. Nothing was changed.

    Fix: use less, or have the operator raise the quota; `GET /v1/usage` shows what is used and allowed.
    """

    code = "quota-exceeded"
    title = "The tenant's quota is used up"
    status = 409


class RequestQuotaExceeded(DomainError):
    """The tenant has made as many requests this month (UTC) as it may.

    Fix: wait for the next month, or have the operator raise the quota; `GET /v1/usage` is still answered.
    """

    code = "request-quota-exceeded"
    title = "The month's requests are used up"
    status = 429
    retryable = True


for _kind in COUNTED:
    on_violation(f"quota_{_kind}", QuotaExceeded, quota=_kind)
