"""Jobs of fulfilment: sagas, and what follows from events where a tenant wants that."""

from typing import Any
from uuid import UUID

from erp.fulfilment.choreography import invoice_delivered, schedule_reminder
from erp.fulfilment.provider import provider
from erp.fulfilment.recording import TakenOver
from erp.fulfilment.service import JOB_KIND
from workers.context import JobContext
from workers.kinds import JobKind
from workers.sagas.definition import Sagas
from workers.sagas.fulfil_order import fulfil_order
from workers.sagas.runner import SagaRunner

_FULFIL = fulfil_order(provider)
SAGAS: Sagas = {_FULFIL.kind: _FULFIL}


async def run_saga(context: JobContext) -> dict[str, Any]:
    """As far as it goes; what is left has a job of its own by then."""
    try:
        return {"state": await SagaRunner(context.step, SAGAS).run(UUID(context.payload["saga_id"]))}
    except TakenOver:
        return {"state": "taken_over"}


async def invoice_delivery(context: JobContext) -> None:
    order_id = UUID(context.payload["order_id"])
    await context.run(lambda work: invoice_delivered(work, order_id), lambda made: made)


async def remind(context: JobContext) -> None:
    invoice_id = UUID(context.payload["invoice_id"])
    await context.run(lambda work: schedule_reminder(work, invoice_id), lambda made: made)


JOBS = (
    JobKind(JOB_KIND, run_saga, time_limit=120.0),
    JobKind("delivery_invoice", invoice_delivery),
    JobKind("invoice_reminder", remind),
)
