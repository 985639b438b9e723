"""What commands on invoices and credit notes lock, for those who run several in one transaction."""

from uuid import UUID

from erp.accounting.claims import days_of, item_claims, ledger_claims
from erp.accounting.open_items import allocations_by
from erp.invoicing.repository import LOCK_INVOICE, PEEK_INVOICE
from erp.invoicing.schemas import (
    ApplyCreditInput,
    CreateInvoiceInput,
    CreditInvoiceInput,
    PostInvoiceInput,
    TakeBackCreditInput,
)
from tenancy.concurrency import Asked, Claim, LockRank, claims_of_documents, inputs, locked_by, targets
from tenancy.locks import account_name
from tenancy.work import UnitOfWork

locked_by("invoices", lambda keys: [LOCK_INVOICE(invoice_id=invoice) for (invoice,) in keys])

claims_of_drafts = claims_of_documents("invoices")


async def claims_of_new_invoices(work: UnitOfWork, asked: list[Asked[CreateInvoiceInput]]) -> list[Claim]:
    """The periods and numbers of those that are posted at once."""
    posted = [data for data in inputs(asked) if data.post]
    return [claim for data in posted for claim in ledger_claims([data.date or work.today], data.kind)]


async def claims_of_postings(work: UnitOfWork, asked: list[Asked[PostInvoiceInput]]) -> list[Claim]:
    """The drafts, with the periods and numbers of their dates."""
    found = await work.peek(*(PEEK_INVOICE(invoice_id=target) for target in targets(asked)))
    return [
        claim for rows in found for row in rows for claim in (_document(row.id), *ledger_claims([row.date], row.kind))
    ]


async def claims_of_credits(work: UnitOfWork, asked: list[Asked[CreditInvoiceInput]]) -> list[Claim]:
    """The invoices and what is open of them."""
    credited = targets(asked)
    return [
        *map(_document, credited),
        *item_claims(credited),
        *ledger_claims(days_of(work, asked), "credit_note"),
    ]


async def claims_of_applications(work: UnitOfWork, asked: list[Asked[ApplyCreditInput]]) -> list[Claim]:
    """What is open of the credit notes and of all they settle."""
    named = [
        target
        for data in inputs(asked)
        for line in data.allocations
        for target in (line.open_item_id, line.invoice_id)
        if target is not None
    ]
    return [*item_claims([*targets(asked), *named]), *ledger_claims(days_of(work, asked))]


async def claims_of_taking_back(work: UnitOfWork, asked: list[Asked[TakeBackCreditInput]]) -> list[Claim]:
    """What is open of the credit notes and of all they have settled."""
    notes = targets(asked)
    found = await work.peek(*(allocations_by(note) for note in notes))
    settled = [row.open_item_id for rows in found for row in rows]
    return [*item_claims([*notes, *settled]), *ledger_claims(days_of(work, asked))]


def _document(invoice_id: UUID) -> Claim:
    return Claim(LockRank.DOCUMENT, "invoices", (invoice_id,), account_name(invoice_id))
