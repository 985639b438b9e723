"""What tenants used and may use, as the tables of sql/0003/60_limits.sql have it."""

from datetime import date, datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    Column,
    DateTime,
    Integer,
    Table,
    Text,
    Uuid,
    bindparam,
    cast,
    column,
    delete,
    func,
    insert,
    select,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.dialects.postgresql import insert as upsert

from db.metadata import metadata
from db.statement import TENANT, Statement
from erp.http.filters import span
from erp.http.listing import Listing
from tenancy.api_keys import api_keys, tenants
from tenancy.metering import THIS_MONTH, usage_months

tenant_quotas = Table(
    "tenant_quotas", metadata,
    Column("tenant_id", Uuid, primary_key=True),
    Column("version", Integer),
    Column("quotas", JSONB),
    Column("reason", Text),
    Column("changed_at", DateTime(timezone=True)),
)  # fmt: skip
plan_quotas = Table(
    "plan_quotas", metadata,
    Column("plan", Text, primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("quotas", JSONB),
    Column("reason", Text),
    Column("changed_at", DateTime(timezone=True)),
    Column("fence", BigInteger),
)  # fmt: skip
row_counts = Table(
    "row_counts", metadata,
    Column("tenant_id", Uuid, primary_key=True),
    Column("kind", Text, primary_key=True),
    Column("stripe", Integer, primary_key=True),
    Column("rows", BigInteger),
)  # fmt: skip


class MonthRow(NamedTuple):
    month: date
    requests: int
    job_ms: int
    rows: int | None
    storage_bytes: int | None
    measured_at: datetime | None


class QuotasRow(NamedTuple):
    """`quotas` None: nothing was set. `effective` None: there is no such tenant."""

    version: int | None
    quotas: dict[str, int | None] | None
    effective: dict[str, int | None] | None
    reason: str | None
    changed_at: datetime | None


class TenantQuotasRow(NamedTuple):
    id: UUID
    plan: str
    version: int | None
    quotas: dict[str, int | None] | None
    effective: dict[str, int | None] | None
    reason: str | None
    changed_at: datetime | None


_month = select(
    usage_months.c.month, usage_months.c.requests, usage_months.c.job_ms, usage_months.c.rows,
    usage_months.c.storage_bytes, usage_months.c.measured_at,
).where(usage_months.c.tenant_id == TENANT)  # fmt: skip
MONTHS: Listing[MonthRow] = Listing(
    select=_month,
    row=MonthRow,
    key=usage_months.c.month,
    sorts={"month": usage_months.c.month},
    default="-month",
    filters={"month": span(usage_months.c.month)},
)
PRESENT_MONTH: Statement[MonthRow] = Statement(_month.where(usage_months.c.month == THIS_MONTH), MonthRow)
#: The month it is, whatever was used in it, and the quotas that hold.
QUOTAS_NOW = Statement(select(THIS_MONTH, func.quotas_of(TENANT)))
COUNTED = Statement(
    select(row_counts.c.kind, cast(func.sum(row_counts.c.rows), BigInteger))
    .where(row_counts.c.tenant_id == TENANT)
    .group_by(row_counts.c.kind)
)
ACTIVE_KEYS = Statement(select(func.count()).where(api_keys.c.tenant_id == TENANT, api_keys.c.state == "active"))

#: Reads every table for the tenant's rows: for jobs, not for requests.
MEASURE = Statement(
    select(column("rows", BigInteger), column("bytes", BigInteger)).select_from(
        func.measure_tenant(TENANT).table_valued("rows", "bytes")
    )
)
_measured = upsert(usage_months).values(
    tenant_id=TENANT, month=THIS_MONTH, requests=0, job_ms=0, rows=cast(bindparam("found"), BigInteger),
    storage_bytes=cast(bindparam("taken"), BigInteger), measured_at=func.now(),
)  # fmt: skip
NOTE_MEASURE: Statement[tuple[()]] = Statement(
    _measured.on_conflict_do_update(
        index_elements=["tenant_id", "month"],
        set_={name: _measured.excluded[name] for name in ("rows", "storage_bytes", "measured_at")},
    )
)

#: The next document created under a quota counts them anew.
FORGET_DOCUMENTS: Statement[tuple[()]] = Statement(
    delete(row_counts).where(row_counts.c.tenant_id == TENANT, row_counts.c.kind == "documents")
)

_own = [tenant_quotas.c.version, tenant_quotas.c.quotas]
LOCK_QUOTAS: Statement[QuotasRow] = Statement(
    select(*_own, func.quotas_of(TENANT), tenant_quotas.c.reason, tenant_quotas.c.changed_at)
    .where(tenant_quotas.c.tenant_id == TENANT)
    .with_for_update(),
    QuotasRow,
)
_put = upsert(tenant_quotas).values(
    tenant_id=TENANT, version=1, quotas=cast(bindparam("quotas"), JSONB), reason=bindparam("reason"),
    changed_at=bindparam("changed_at"),
)  # fmt: skip
#: Also what a rival made first is replaced: its version goes on counting.
PUT_QUOTAS: Statement[QuotasRow] = Statement(
    _put.on_conflict_do_update(
        index_elements=["tenant_id"],
        set_={
            "version": tenant_quotas.c.version + 1, "quotas": _put.excluded.quotas, "reason": _put.excluded.reason,
            "changed_at": _put.excluded.changed_at,
        },
    ).returning(*_own, cast(None, JSONB), tenant_quotas.c.reason, tenant_quotas.c.changed_at),
    QuotasRow,
)  # fmt: skip
OF_TENANT: Statement[TenantQuotasRow] = Statement(
    select(
        tenants.c.tenant_id, tenants.c.plan, *_own, func.quotas_of(tenants.c.tenant_id), tenant_quotas.c.reason,
        tenant_quotas.c.changed_at,
    )
    .select_from(tenants.outerjoin(tenant_quotas, tenants.c.tenant_id == tenant_quotas.c.tenant_id))
    .where(tenants.c.tenant_id == bindparam("one")),
    TenantQuotasRow,
)  # fmt: skip

#: Every version, by the platform role.
_inherited = func.coalesce(func.plan_quotas_of("default"), cast("{}", JSONB))
_plan_columns: list[Any] = [
    plan_quotas.c.version, plan_quotas.c.quotas, _inherited.op("||")(plan_quotas.c.quotas), plan_quotas.c.reason,
    plan_quotas.c.changed_at,
]  # fmt: skip
OF_PLAN: Statement[QuotasRow] = Statement(
    select(*_plan_columns)
    .where(plan_quotas.c.plan == bindparam("plan"))
    .order_by(plan_quotas.c.version.desc())
    .limit(1),
    QuotasRow,
)
DEFAULT_QUOTAS = Statement(select(_inherited))
_newest = select(func.max(plan_quotas.c.version)).where(plan_quotas.c.plan == bindparam("plan")).scalar_subquery()
_overtaken = select(plan_quotas.c.fence).where(
    plan_quotas.c.plan == bindparam("plan"), plan_quotas.c.fence > cast(bindparam("fence"), BigInteger)
)
#: No row when whoever writes was overtaken by another. Two at the same moment: one of them violates the key.
ADD_PLAN_QUOTAS = Statement(
    insert(plan_quotas)
    .from_select(
        ["plan", "version", "quotas", "reason", "fence"],
        select(
            cast(bindparam("plan"), Text),
            func.coalesce(_newest, 0) + 1,
            cast(bindparam("quotas"), JSONB),
            cast(bindparam("reason"), Text),
            cast(bindparam("fence"), BigInteger),
        ).where(~_overtaken.exists()),
    )
    .returning(plan_quotas.c.version)
)
