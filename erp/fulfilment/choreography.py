"""Selling by events alone: a delivery is followed by its invoice, an invoice by its reminder; nobody directs it."""

from datetime import UTC, datetime, time, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from db.identifiers import new_id
from erp.fulfilment.repository import ADD_REMINDER, RUN_OF_SUBJECT
from erp.fulfilment.schemas import KIND
from erp.invoicing.repository import PEEK_INVOICE
from erp.invoicing.service import post_invoice
from erp.sales.errors import NothingToDo
from erp.sales.schemas import InvoiceOrderInput
from erp.sales.service import invoice_order
from tenancy.trail import Event
from tenancy.work import UnitOfWork

#: When in the tenant's day an overdue invoice is looked for.
_MORNING = time(4)


async def invoice_delivered(work: UnitOfWork, order_id: UUID) -> dict[str, Any]:
    """Invoice what of the order was delivered and is on no invoice yet, and post it. Raises what those raise.

    An order that a fulfilment takes care of is left to it.
    """
    [runs] = await work.load(RUN_OF_SUBJECT(kind=KIND, subject_id=order_id))
    if runs:
        return {"left_to": str(runs[0].id)}
    try:
        draft = await invoice_order(work, order_id, InvoiceOrderInput())
    except NothingToDo:
        return {"invoice_id": None}
    posted = await post_invoice(work, draft.id)
    return {"invoice_id": str(posted.id), "number": posted.number}


async def schedule_reminder(work: UnitOfWork, invoice_id: UUID) -> dict[str, Any]:
    """Have the invoice looked at on the day after it is due; once, however often this is asked for."""
    [found] = await work.load(PEEK_INVOICE(invoice_id=invoice_id))
    if not found or found[0].kind != "invoice" or found[0].state != "posted":
        return {"remind_on": None}
    invoice = found[0]
    remind_on = invoice.due_date + timedelta(days=1)
    schedule_id = new_id()
    [added] = await work.load(
        ADD_REMINDER(id=schedule_id, invoice_id=invoice_id, remind_on=remind_on, created_at=work.now)
    )
    told = {"invoice_id": str(invoice_id), "number": invoice.number, "remind_on": remind_on.isoformat()}
    if added:
        at = datetime.combine(remind_on, _MORNING, ZoneInfo(work.tenant.time_zone)).astimezone(UTC)
        work.publish(Event("reminder_schedule", schedule_id, 1, "reminder.scheduled", told))
        work.audit("reminder.schedule", "invoice", invoice_id, after=told)
        work.enqueue("overdue_invoices", {}, queue="low", run_at=at, unique_key=f"reminder:{invoice_id}")
    return told
