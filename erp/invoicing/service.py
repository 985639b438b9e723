"""What other slices use of invoicing.

A slice that invoices its own documents (sales) builds a `NewInvoice` and either saves a draft, which the tenant
posts later, or saves it posted within its own transaction:

    periods, roles, *rest = await work.load(*ledger_loads(data.date), ...)
    ledger = open_ledger(periods, roles, data.date)
    booked, lines = book_document(work, ledger, NewInvoice(...))  # all that bears no number
    [number] = await take(work, ledger.date, "invoice")           # for which others wait
    invoice = post_document(work, ledger, booked, number)

or in steps where others wait for more than the number: `draft_rows`, `add_lines` and `book` for `book_document`.
"""

from erp.invoicing.applying import apply_credit, take_back_credit
from erp.invoicing.credits import credit_invoice
from erp.invoicing.document import draft_rows, invoice_view
from erp.invoicing.drafts import cancel_draft, create_invoice, save_draft, update_draft
from erp.invoicing.new import InvoiceKind, NewInvoice, NewInvoiceLine, Rounding
from erp.invoicing.posted import book_document, post_document, post_invoice
from erp.invoicing.reminders import note_overdue_invoices
from erp.invoicing.repository import InvoiceRow
from erp.invoicing.repository import LineRow as InvoiceLineRow
from erp.invoicing.saving import add_lines, book

__all__ = [
    "InvoiceKind",
    "InvoiceLineRow",
    "InvoiceRow",
    "NewInvoice",
    "NewInvoiceLine",
    "Rounding",
    "add_lines",
    "apply_credit",
    "book",
    "book_document",
    "cancel_draft",
    "create_invoice",
    "credit_invoice",
    "draft_rows",
    "invoice_view",
    "note_overdue_invoices",
    "post_document",
    "post_invoice",
    "save_draft",
    "take_back_credit",
    "update_draft",
]
