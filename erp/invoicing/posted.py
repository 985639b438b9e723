"""Posting: the number, the ledger entry and the open item of a document, in one transaction."""

from collections.abc import Sequence
from uuid import UUID

from erp.accounting.posting import Ledger, dated_ledger_loads, open_ledger
from erp.invoicing.document import draft_rows, invoice_view
from erp.invoicing.errors import DraftChanged, InvoicePosted
from erp.invoicing.new import NewInvoice
from erp.invoicing.repository import LINES, LOCK_INVOICE, PERIOD_OF_INVOICE, SET_POSTED, InvoiceRow, LineRow
from erp.invoicing.saving import Booked, add_document, add_lines, book, post, tell
from erp.invoicing.schemas import InvoiceView, PostInvoiceInput
from erp.kernel.errors import InvalidState, NotFound
from erp.numbering.service import take
from tenancy.work import UnitOfWork


def book_document(work: UnitOfWork, ledger: Ledger, new: NewInvoice) -> tuple[Booked, Sequence[LineRow]]:
    """Price a document and queue its lines and those of its entry: all that bears no number. Raises NegativeTotal."""
    draft, lines = draft_rows(work, new)
    booked = book(work, ledger, draft, lines)
    add_lines(work, booked.row, lines)
    return booked, lines


def post_document(work: UnitOfWork, ledger: Ledger, booked: Booked, number: str) -> InvoiceRow:
    """Queue the document posted at once, under a number of the series named like its kind."""
    row, _ = post(work, ledger, booked, number)
    add_document(work, row)
    tell(work, row, "posted")
    return row


async def post_invoice(work: UnitOfWork, invoice_id: UUID, data: PostInvoiceInput | None = None) -> InvoiceView:
    """Post a draft. Its date decides the period, which is locked before the draft: it may have changed in between."""
    periods, roles, found, lines = await work.load(
        *dated_ledger_loads(PERIOD_OF_INVOICE(invoice_id=invoice_id)),
        LOCK_INVOICE(invoice_id=invoice_id), LINES(invoice_id=invoice_id),
    )  # fmt: skip
    draft = draft_of(found, invoice_id)
    work.check_version(draft.version)
    if any(period.asked != draft.date for period in periods):
        raise DraftChanged(invoice_id=str(invoice_id))
    ledger = open_ledger(periods, roles, draft.date, strict_date=data is not None and data.strict_date)
    booked = book(work, ledger, draft._replace(version=draft.version + 1), lines)
    [number] = await take(work, ledger.date, draft.kind)
    row, _ = post(work, ledger, booked, number)
    work.save(
        SET_POSTED(
            invoice_id=invoice_id, new_number=number, new_accounting_date=row.accounting_date,
            new_entry_id=row.entry_id, new_posted_at=row.posted_at,
        )
    )  # fmt: skip
    tell(work, row, "posted", before=draft)
    return invoice_view(row, lines, row.gross)


def draft_of(found: Sequence[InvoiceRow], invoice_id: UUID) -> InvoiceRow:
    """The draft. Raises NotFound, InvoicePosted, InvalidState."""
    if not found:
        raise NotFound(invoice_id=str(invoice_id))
    [row] = found
    if row.state == "posted":
        raise InvoicePosted(f"{row.number} is posted.", number=row.number, state=row.state)
    if row.state != "draft":
        raise InvalidState(f"The document is {row.state}.", state=row.state)
    return row
