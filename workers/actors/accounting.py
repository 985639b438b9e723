"""Jobs of accounting: the balances of closed periods, summed up once so that reports need not."""

from typing import Any
from uuid import UUID

from erp.accounting.service import snapshot_balances
from tenancy.work import UnitOfWork
from workers.context import JobContext
from workers.kinds import JobKind
from workers.tenant_queries import PERIODS_WITHOUT_SNAPSHOT


async def snapshot_period(context: JobContext) -> None:
    """Sum up the period that was closed; nothing when it is open again by now."""
    period_id = UUID(context.payload["period_id"])
    await context.run(lambda work: snapshot_balances(work, period_id), lambda taken: {"taken": taken})


async def snapshot_missing(context: JobContext) -> dict[str, Any]:
    """Every night: sum up closed periods that have no snapshot, for whatever reason."""

    async def missing(work: UnitOfWork) -> list[UUID]:
        [rows] = await work.load(PERIODS_WITHOUT_SNAPSHOT())
        return [period_id for (period_id,) in rows]

    periods = (await context.database.run(context.caller, missing)).value
    for period_id in periods:
        await context.step(lambda work, period_id=period_id: snapshot_balances(work, period_id))  # type: ignore[misc]
    return {"periods": len(periods)}


JOBS = (
    JobKind("trial_balance_snapshot", snapshot_period, time_limit=300.0),
    JobKind("trial_balance_snapshots", snapshot_missing, time_limit=900.0),
)
