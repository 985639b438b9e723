"""Jobs of closing: what would hinder it, looked at in one transaction."""

from datetime import datetime
from typing import Any
from uuid import UUID

from erp.closing.keys import MONTHLY
from erp.closing.schemas import PeriodCheckView
from erp.closing.service import JOB_KIND, check_period, month_of
from fleet.configuration.snapshot import current
from workers.context import JobContext
from workers.kinds import JobKind


async def look_at_period(context: JobContext) -> None:
    """The period that is named, else the month before the slot's as the schedule says."""
    asked, day = context.payload.get("period_id"), None
    if asked is None:
        slot = datetime.fromisoformat(context.payload["slot"])
        day = month_of(slot, context.payload["months_back"], context.caller.tenant.time_zone)
    await context.run(lambda work: check_period(work, UUID(asked) if asked else None, day), _result)


def _result(view: PeriodCheckView | None) -> dict[str, Any]:
    return {"check_id": None} if view is None else {"check_id": str(view.id), "hinders": view.hinders}


async def monthly(context: JobContext) -> None:
    """The system's own, for tenants without a schedule: the month that has ended. A tenant may switch it off."""
    tenant = context.caller.tenant
    if not current().get(MONTHLY, tenant.id):
        return
    await context.run(lambda work: check_period(work, None, month_of(work.now, 1, tenant.time_zone)), _result)


JOBS = (
    JobKind(JOB_KIND, look_at_period, time_limit=300.0),
    JobKind("monthly_period_check", monthly, time_limit=300.0),
)
