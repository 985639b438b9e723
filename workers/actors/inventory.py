"""Jobs of inventory: reservations that ran out, products that run low."""

from typing import Any
from uuid import UUID

from erp.inventory.service import expire_reservations
from erp.jobs.notices import NewNotice, give_notice
from workers.context import JobContext
from workers.kinds import JobKind

#: Reservations freed per transaction: their levels stay locked for its length.
BATCH = 100


async def expire(context: JobContext) -> dict[str, Any]:
    """Free what overdue reservations hold, a batch a transaction."""
    total = 0
    while True:
        freed = await context.step(lambda work: expire_reservations(work, BATCH))
        total += freed
        if freed < BATCH:
            return {"expired": total}


async def tell_low_stock(context: JobContext) -> None:
    """One notice for each time a product falls below its reorder point."""
    facts = context.payload
    notice = NewNotice(
        kind="low_stock",
        key=context.job.unique_key or str(context.job.id),
        title=f"Only {facts['available']} left, below the reorder point of {facts['reorder_point']}",
        subject_type="product",
        subject_id=UUID(facts["product_id"]),
        data=facts,
    )
    await context.run(
        lambda work: give_notice(work, notice), lambda given: {"notice_id": str(given) if given else None}
    )


JOBS = (JobKind("reservation_expiry", expire, time_limit=300.0), JobKind("low_stock_notice", tell_low_stock))
