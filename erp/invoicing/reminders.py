"""Invoices past their due date."""

from uuid import UUID

from erp.invoicing.repository import NOTE_OVERDUE, OVERDUE_FACTS
from erp.kernel.money import money_text
from tenancy.trail import Event
from tenancy.work import UnitOfWork

#: The only level there is yet: the invoice became overdue.
OVERDUE = 1


async def note_overdue_invoices(work: UnitOfWork, limit: int = 200) -> int:
    """Note up to `limit` invoices that became overdue, one event each, and say how many they were.

    May run at any time and several times at once: an invoice is noted once. Runs at the same time may meet on the
    same invoices and find fewer; what is left is found by the next run.
    """
    [noted] = await work.load(NOTE_OVERDUE(today=work.today, level=OVERDUE, limit_=limit))
    if not noted:
        return 0
    reminders: dict[UUID, UUID] = {row.invoice_id: row.id for row in noted}
    [facts] = await work.load(OVERDUE_FACTS(invoice_ids=list(reminders)))
    for row in facts:
        data = {
            "invoice_id": str(row.invoice_id),
            "number": row.number,
            "party_id": str(row.party_id),
            "due_date": row.due_date.isoformat(),
            "days_overdue": (work.today - row.due_date).days,
            "open_amount": money_text(row.open_amount, row.currency),
            "currency": row.currency,
        }
        work.publish(Event("invoice_reminder", reminders[row.invoice_id], 1, "invoice.overdue", data))
        work.audit("invoice.overdue", "invoice", row.invoice_id, after=data)
    return len(noted)
