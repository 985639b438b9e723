"""Jobs of reordering: look at every rule, a batch a transaction."""

from typing import Any
from uuid import UUID

from erp.reordering.keys import NIGHTLY
from erp.reordering.service import JOB_KIND, propose
from fleet.configuration.snapshot import current
from workers.context import JobContext
from workers.kinds import JobKind

#: Rules of one transaction, and transactions of one job.
BATCH = 200
BATCHES = 10_000


async def reorder(context: JobContext) -> dict[str, Any]:
    """From the first rule again after a crash: what was proposed is not proposed twice."""
    named = context.payload.get("warehouse_id")
    warehouse, after, total = UUID(named) if named else None, UUID(int=0), 0
    for _ in range(BATCHES):
        last, made = await context.step(lambda work, after=after: propose(work, after, BATCH, warehouse))  # type: ignore[misc]
        total += made
        if last is None:
            break
        after = last
    return {"proposals": total}


async def nightly(context: JobContext) -> dict[str, Any]:
    """The system's own, for tenants without a schedule; a tenant may switch it off."""
    if not current().get(NIGHTLY, context.caller.tenant.id):
        return {"proposals": 0}
    return await reorder(context)


JOBS = (JobKind(JOB_KIND, reorder, time_limit=900.0), JobKind("nightly_reorder", nightly, time_limit=900.0))
