"""Jobs of invoicing: invoices that became overdue."""

from typing import Any

from erp.invoicing.service import note_overdue_invoices
from workers.context import JobContext
from workers.kinds import JobKind

BATCH = 200


async def note_overdue(context: JobContext) -> dict[str, Any]:
    """Note every invoice that became overdue by the tenant's present day, a batch a transaction."""
    total = 0
    while True:
        noted = await context.step(lambda work: note_overdue_invoices(work, BATCH))
        total += noted
        if noted < BATCH:
            return {"noted": total}


JOBS = (JobKind("overdue_invoices", note_overdue, time_limit=600.0),)
