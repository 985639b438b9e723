"""Jobs of recurring orders: one slot each."""

from datetime import datetime
from typing import Any
from uuid import UUID

from db.errors import DomainError
from erp.inventory.errors import InsufficientStock
from erp.recurring.errors import SlotSettled
from erp.recurring.ordering import draft_recurring_order, place_recurring_order, skip_recurring_order
from erp.recurring.service import found_recurring_order
from workers.context import JobContext
from workers.kinds import JobKind

_REFUSALS = range(400, 500)


async def order_again(context: JobContext) -> dict[str, Any] | None:
    """The slot's order, or why there is none. What may be otherwise in a moment is left to the next attempt."""
    recurring_id = UUID(context.payload["recurring_order_id"])
    slot = datetime.fromisoformat(context.payload["slot"])
    try:
        await context.run(lambda work: place_recurring_order(work, recurring_id, slot), lambda made: made)
    except SlotSettled:
        return {"order_id": None, "settled": True}
    except DomainError as refusal:
        if refusal.retryable or refusal.status not in _REFUSALS:
            raise
        await _without(context, recurring_id, slot, refusal)
    return None


async def _without(context: JobContext, recurring_id: UUID, slot: datetime, refusal: DomainError) -> None:
    found = (await context.database.run(context.caller, lambda work: found_recurring_order(work, recurring_id))).value
    if isinstance(refusal, InsufficientStock) and found.order.when_short == "draft":
        short = refusal
        await context.run(lambda work: draft_recurring_order(work, recurring_id, slot, short), lambda made: made)
    else:
        await context.run(lambda work: skip_recurring_order(work, recurring_id, slot, refusal), lambda made: made)


JOBS = (JobKind("recurring_order", order_again),)
