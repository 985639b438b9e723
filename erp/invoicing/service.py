"""What other slices use of invoicing.

A slice that invoices its own documents (sales) builds a `NewInvoice` and either saves a draft, which the tenant
posts later, or saves it posted within its own transaction:

    periods, roles, *rest = await work.load(*ledger_loads(data.date), ...)
    ledger = open_ledger(periods, roles, data.date)
    [number] = await take(work, ledger.date, "invoice")
    view = save_posted(work, ledger, NewInvoice(...), number)  # or add_posted, without a view

or prices it before it takes the number, for which others wait:

    draft, lines = draft_rows(work, NewInvoice(...))
    [number] = await take(work, ledger.date, "invoice")
    invoice = add_drafted(work, ledger, draft, lines, number)
"""

from erp.invoicing.applying import apply_credit, take_back_credit
from erp.invoicing.credits import credit_invoice
from erp.invoicing.document import draft_rows
from erp.invoicing.drafts import cancel_draft, create_invoice, save_draft, update_draft
from erp.invoicing.new import InvoiceKind, NewInvoice, NewInvoiceLine, Rounding
from erp.invoicing.posted import add_drafted, add_posted, post_invoice, save_posted
from erp.invoicing.reminders import note_overdue_invoices
from erp.invoicing.repository import InvoiceRow

__all__ = [
    "InvoiceKind",
    "InvoiceRow",
    "NewInvoice",
    "NewInvoiceLine",
    "Rounding",
    "add_drafted",
    "add_posted",
    "apply_credit",
    "cancel_draft",
    "create_invoice",
    "credit_invoice",
    "draft_rows",
    "note_overdue_invoices",
    "post_invoice",
    "save_draft",
    "save_posted",
    "take_back_credit",
    "update_draft",
]
