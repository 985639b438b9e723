"""Queueing the rows of a document: its header and lines, and when it is posted its entry and open item."""

from collections.abc import Sequence
from typing import NamedTuple

from db.identifiers import new_id
from erp.accounting.open_items import NewOpenItem, save_open_item
from erp.accounting.posting import Ledger, save_heading, save_lines
from erp.invoicing.document import facts_of, postings_of
from erp.invoicing.repository import ADD_INVOICE, ADD_LINES, InvoiceRow, LineRow
from tenancy.trail import Event
from tenancy.work import UnitOfWork


def add_document(work: UnitOfWork, row: InvoiceRow) -> None:
    """Queue the document's own row; `add_lines` is apart."""
    work.save(ADD_INVOICE(**row._asdict()))


def add_lines(work: UnitOfWork, row: InvoiceRow, lines: Sequence[LineRow]) -> None:
    """One statement, however many lines. They may go ahead of the document, which bears a number."""
    columns = list(zip(*lines, strict=True))
    names = (
        "line_nos", "product_ids", "descriptions", "quantities", "unit_codes", "unit_prices", "discounts",
        "tax_groups", "tax_rates", "nets", "taxes", "grosses", "accounts", "sources", "credited_lines",
    )  # fmt: skip
    arrays = {name: list(column) for name, column in zip(names, columns, strict=True)}
    work.save(ADD_LINES(invoice_id=row.id, **arrays))


class Booked(NamedTuple):
    """A document whose entry's lines are queued; it is posted once it has its number.

    `row.entry_id`: None for one free of charge, which has no entry and no open item.
    """

    row: InvoiceRow
    line_count: int


def book(work: UnitOfWork, ledger: Ledger, draft: InvoiceRow, lines: Sequence[LineRow]) -> Booked:
    """Queue the lines of the document's entry. They bear no number: others wait for it, so take it after this."""
    postings = postings_of(draft, lines, ledger)
    entry_id = new_id() if postings else None
    if entry_id is not None:
        save_lines(work, ledger, entry_id, postings)
    return Booked(draft._replace(entry_id=entry_id, accounting_date=ledger.date), len(postings))


def post(work: UnitOfWork, ledger: Ledger, booked: Booked, number: str) -> tuple[InvoiceRow, NewOpenItem | None]:
    """Queue the heading of the entry and the open item; the posted row, to be written by the caller, and the item."""
    row = booked.row._replace(state="posted", number=number, posted_at=work.now)
    if row.entry_id is not None:
        save_heading(
            work, ledger, entry_id=row.entry_id, number=number, journal="sales", line_count=booked.line_count,
            source_type=row.kind, source_id=row.id, text=row.text,
        )  # fmt: skip
    if not row.gross:
        return row, None
    item = open_item_of(row, number, ledger)
    save_open_item(work, item)
    return row, item


def open_item_of(row: InvoiceRow, number: str, ledger: Ledger) -> NewOpenItem:
    return NewOpenItem(
        id=new_id(), party_id=row.party_id, side="receivable",
        direction="debit" if row.kind == "invoice" else "credit", document_type=row.kind, document_id=row.id,
        document_number=number, due_date=row.due_date, amount=row.gross, date=ledger.date,
    )  # fmt: skip


def tell(
    work: UnitOfWork, row: InvoiceRow, what: str, *, before: InvoiceRow | None = None, reason: str | None = None
) -> None:
    """The event and the audit entry of one change; `what` is created, updated, posted or cancelled."""
    facts = facts_of(row)
    if reason is not None:
        facts["reason"] = reason
    work.publish(Event("invoice", row.id, row.version, f"{row.kind}.{what}", facts))
    work.audit(f"{row.kind}.{what}", "invoice", row.id, before=facts_of(before) if before else None, after=facts)
