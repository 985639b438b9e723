"""What a tenant used, and setting what it may use: by the operator, per tenant or plan."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID, uuid5

import msgspec
from psycopg.types.json import Jsonb

from db.errors import Duplicate
from db.two_phase import MAIN
from erp.operations.usage_queries import (
    ADD_PLAN_QUOTAS,
    DEFAULT_QUOTAS,
    FORGET_DOCUMENTS,
    LOCK_QUOTAS,
    MEASURE,
    NOTE_MEASURE,
    OF_PLAN,
    PUT_QUOTAS,
    MonthRow,
    QuotasRow,
    TenantQuotasRow,
)
from erp.operations.usage_schemas import (
    MonthView,
    PlanQuotasView,
    SetQuotasInput,
    TenantQuotasView,
    UsageView,
    set_quotas,
)
from tenancy.fencing import LockLost
from tenancy.placement import Platforms
from tenancy.platform import PlatformSession
from tenancy.quotas import QUOTAS
from tenancy.trail import Event
from tenancy.work import UnitOfWork

#: Plans have names and no ids; the trail wants one.
_PLANS = UUID("6e0b3d0c-9c9a-5d83-8f2b-2b1a35a7a9d1")


def month_view(row: MonthRow) -> MonthView:
    return MonthView(
        month=row.month, requests=row.requests, job_seconds=row.job_ms / 1000, rows=row.rows,
        storage_bytes=row.storage_bytes, measured_at=row.measured_at,
    )  # fmt: skip


def usage_view(
    month: MonthRow, counted: Mapping[str, int], active_keys: int, quotas: Mapping[str, int | None]
) -> UsageView:
    return UsageView(
        **msgspec.structs.asdict(month_view(month)),
        counted={"products": 0, "parties": 0, **counted, "api_keys": active_keys},
        quotas=_every(quotas),
    )  # fmt: skip


def tenant_quotas_view(row: TenantQuotasRow) -> TenantQuotasView:
    return TenantQuotasView(
        id=row.id, plan=row.plan, version=row.version or 0, quotas=row.quotas or {},
        effective=_every(row.effective or {}), reason=row.reason, changed_at=row.changed_at,
    )  # fmt: skip


async def set_tenant_quotas(work: UnitOfWork, data: SetQuotasInput) -> QuotasRow:
    """What is there already stays, whatever the new bound. The row's `effective` is None. Raises VersionConflict."""
    [before] = await work.load(LOCK_QUOTAS())
    quotas = set_quotas(data.quotas)
    [[after]] = await work.load(PUT_QUOTAS(quotas=Jsonb(quotas), reason=data.reason, changed_at=work.now))
    # Only now: before the first ones are set there is no row to lock.
    work.check_version(int(after.version or 1) - 1)
    told = {"quotas": quotas, "reason": data.reason}
    work.publish(
        Event("tenant_quotas", uuid5(work.tenant_id, "quotas"), int(after.version or 1), "tenant.quotas_set", told)
    )
    work.audit(
        "tenant.set_quotas", "tenant", work.tenant_id,
        before={"quotas": before[0].quotas if before else {}}, after=told,
    )  # fmt: skip
    row: QuotasRow = after
    return row


async def measure_usage(work: UnitOfWork) -> dict[str, int]:
    """How many rows the tenant has and what they take: `rows`, `storage_bytes`. Reads all of them."""
    [[(rows, taken)]] = await work.load(MEASURE())
    work.save(NOTE_MEASURE(found=rows, taken=taken), FORGET_DOCUMENTS())
    return {"rows": rows, "storage_bytes": taken}


async def record_plan_quotas(
    work: UnitOfWork, found: Mapping[str, PlanQuotasView], data: SetQuotasInput
) -> PlanQuotasView:
    """In the platform's own trail, before any database has them, if any is to get others than it has (`found`).

    `work` is the operator's. What the first database has so far is returned. Raises VersionConflict.
    """
    before, quotas = found[MAIN], set_quotas(data.quotas)
    work.check_version(before.version)
    if not all(_has(view, quotas) for view in found.values()):
        told = {"plan": before.plan, "quotas": quotas, "reason": data.reason}
        target = uuid5(_PLANS, before.plan)
        work.audit("plan.set_quotas", "plan", target, before={"quotas": before.quotas}, after=told)
    return before


async def plan_quotas_of(platforms: Platforms, plan: str) -> PlanQuotasView:
    """As the first database has it."""
    return await platforms.of(MAIN).run(lambda session: _plan(session, plan))


async def plan_quotas_everywhere(platforms: Platforms, plan: str) -> dict[str, PlanQuotasView]:
    """As each database has it, by its name."""
    return {
        name: await platform.run(lambda session: _plan(session, plan)) for name, platform in platforms.all.items()
    }


async def set_plan_quotas(platforms: Platforms, plan: str, data: SetQuotasInput, fence: int) -> PlanQuotasView:
    """On every database, the first one last, so that what it says holds everywhere; repeating it completes it.

    Raises LockLost, and PrimaryUnavailable when one of them does not answer.
    """
    view: PlanQuotasView | None = None
    for _, platform in sorted(platforms.all.items(), key=lambda item: item[0] == MAIN):
        try:
            view = await platform.run(lambda session: _add(session, plan, data, fence))
        except Duplicate as error:
            raise LockLost(plan=plan, retry_after=1) from error
    assert view is not None
    return view


async def _add(session: PlatformSession, plan: str, data: SetQuotasInput, fence: int) -> PlanQuotasView:
    view, quotas = await _plan(session, plan), set_quotas(data.quotas)
    if _has(view, quotas):
        return view
    [added] = await session.load(ADD_PLAN_QUOTAS(plan=plan, quotas=Jsonb(quotas), reason=data.reason, fence=fence))
    if not added:
        raise LockLost(plan=plan, retry_after=1)
    return await _plan(session, plan)


async def _plan(session: PlatformSession, plan: str) -> PlanQuotasView:
    rows, [(inherited,)] = await session.load(OF_PLAN(plan=plan), DEFAULT_QUOTAS())
    row: QuotasRow = rows[0] if rows else QuotasRow(0, {}, inherited, None, None)
    return PlanQuotasView(
        plan=plan, version=row.version or 0, quotas=row.quotas or {}, effective=_every(row.effective or {}),
        reason=row.reason, changed_at=row.changed_at,
    )  # fmt: skip


def _has(view: PlanQuotasView, quotas: Mapping[str, Any]) -> bool:
    return view.version > 0 and view.quotas == quotas


def _every(quotas: Mapping[str, Any]) -> dict[str, int | None]:
    """All that there are, in their order; null where nothing bounds."""
    return {name: quotas.get(name) for name in QUOTAS}
