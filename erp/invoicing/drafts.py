"""Invoices and credit notes before they are posted."""

from collections.abc import Sequence
from datetime import date
from uuid import UUID

from erp.accounting.facts import ALL_ROLES, check_accounts, named_accounts
from erp.accounting.posting import ledger_loads, open_ledger
from erp.invoicing.document import draft_rows, invoice_view
from erp.invoicing.lines import account_names, customer, new_lines, price_loads, product_ids
from erp.invoicing.new import NewInvoice
from erp.invoicing.posted import book_document, draft_of, post_document
from erp.invoicing.repository import DROP_LINES, LINES, LOCK_INVOICE, SET_CANCELLED, SET_DRAFT
from erp.invoicing.saving import add_document, add_lines, tell
from erp.invoicing.schemas import CancelInvoiceInput, CreateInvoiceInput, InvoiceView, UpdateInvoiceInput
from erp.kernel.errors import InvalidState
from erp.numbering.service import take
from erp.parties.facts import PartyFacts, party_facts
from erp.pricing.facts import SellingFacts, selling_facts, tax_defaults
from erp.pricing.listed import ListedPrice
from tenancy.work import UnitOfWork

#: A line is revenue, or goes to an account that has no role.
NOT_FOR_LINES = ALL_ROLES - {"revenue"}


def save_draft(work: UnitOfWork, new: NewInvoice) -> InvoiceView:
    """Queue a draft. Raises NegativeTotal."""
    row, lines = draft_rows(work, new)
    add_document(work, row)
    add_lines(work, row, lines)
    tell(work, row, "created")
    return invoice_view(row, lines, None)


async def create_invoice(work: UnitOfWork, data: CreateInvoiceInput) -> InvoiceView:
    """A document of its own, without an order: a draft, or posted at once."""
    on = data.date or work.today
    names = account_names(data.lines)
    party = party_facts(data.party_id)
    sold = selling_facts(product_ids(data.lines), on)
    named, prices = named_accounts(name for name, _ in names), price_loads(data.lines, data.party_id, on)
    if not data.post:
        # No period is locked: a draft must not stand in the way of closing one.
        parties, products, accounts, *listed = await work.load(party, sold, named, *prices)
        check_accounts(accounts, names, kept=NOT_FOR_LINES)
        return save_draft(work, _new_invoice(work, data, on, parties, products, *listed))
    periods, roles, parties, products, accounts, *listed = await work.load(
        *ledger_loads(on), party, sold, named, *prices
    )
    check_accounts(accounts, names, kept=NOT_FOR_LINES)
    new = _new_invoice(work, data, on, parties, products, *listed)
    ledger = open_ledger(periods, roles, on, strict_date=data.strict_date)
    booked, lines = book_document(work, ledger, new)
    [number] = await take(work, ledger.date, new.kind)
    row = post_document(work, ledger, booked, number)
    return invoice_view(row, lines, row.gross)


def _new_invoice(
    work: UnitOfWork,
    data: CreateInvoiceInput,
    on: date,
    parties: Sequence[PartyFacts],
    products: Sequence[SellingFacts],
    listed: Sequence[ListedPrice] = (),
) -> NewInvoice:
    party = customer(parties, data.party_id)
    defaults = tax_defaults(work.tenant.settings)
    included = data.prices_include_tax
    return NewInvoice(
        party_id=party.id, date=on, lines=new_lines(data.lines, products, listed), kind=data.kind,
        prices_include_tax=defaults.prices_include_tax if included is None else included,
        tax_rounding=data.tax_rounding or defaults.rounding, payment_terms_days=party.payment_terms_days,
        due_date=data.due_date, external_id=data.external_id, text=data.text,
    )  # fmt: skip


async def update_draft(work: UnitOfWork, invoice_id: UUID, data: UpdateInvoiceInput) -> InvoiceView:
    """Replace the draft's content. A draft of an order follows its order and is not edited here."""
    names = account_names(data.lines)
    found, products, accounts = await work.load(
        LOCK_INVOICE(invoice_id=invoice_id),
        selling_facts(product_ids(data.lines), data.date),
        named_accounts(name for name, _ in names),
    )
    before = draft_of(found, invoice_id)
    work.check_version(before.version)
    if before.order_id is not None:
        raise InvalidState("This draft belongs to an order.", order_id=str(before.order_id), state=before.state)
    check_accounts(accounts, names, kept=NOT_FOR_LINES)
    # Whose list it is, only the draft says.
    prices = price_loads(data.lines, before.party_id, data.date)
    listed = await work.load(*prices) if prices else []
    new = NewInvoice(
        id=before.id, party_id=before.party_id, date=data.date, lines=new_lines(data.lines, products, *listed),
        kind="invoice" if before.kind == "invoice" else "credit_note",
        prices_include_tax=before.prices_include_tax if data.prices_include_tax is None else data.prices_include_tax,
        tax_rounding=data.tax_rounding or ("document" if before.tax_rounding == "document" else "line"),
        due_date=data.due_date or data.date + (before.due_date - before.date),
        external_id=before.external_id, text=data.text,
    )  # fmt: skip
    row, lines = draft_rows(work, new)
    row = row._replace(version=before.version + 1, created_at=before.created_at)
    work.save(
        DROP_LINES(invoice_id=invoice_id),
        SET_DRAFT(
            invoice_id=invoice_id, new_date=row.date, new_due_date=row.due_date,
            new_prices_include_tax=row.prices_include_tax, new_tax_rounding=row.tax_rounding, new_net=row.net,
            new_tax=row.tax, new_gross=row.gross, new_line_count=row.line_count, new_text=row.text,
        ),
    )  # fmt: skip
    add_lines(work, row, lines)
    tell(work, row, "updated", before=before)
    return invoice_view(row, lines, None)


async def cancel_draft(work: UnitOfWork, invoice_id: UUID, data: CancelInvoiceInput) -> InvoiceView:
    """Give a draft up. It never had a number; what is posted is credited instead."""
    found, lines = await work.load(LOCK_INVOICE(invoice_id=invoice_id), LINES(invoice_id=invoice_id))
    before = draft_of(found, invoice_id)
    work.check_version(before.version)
    row = before._replace(state="cancelled", version=before.version + 1)
    work.save(SET_CANCELLED(invoice_id=invoice_id))
    tell(work, row, "cancelled", before=before, reason=data.reason)
    return invoice_view(row, lines, None)
