"""Queueing what a payment books: its entry, its allocations, its event and audit entry."""

from collections.abc import Sequence
from decimal import Decimal
from uuid import UUID

from db.identifiers import new_id
from erp.accounting.open_items import (
    Allocation,
    AllocationRow,
    Demand,
    OpenItemRow,
    check_settles,
    made_row,
    pointer_of,
    save_allocations,
    settle,
)
from erp.accounting.posting import Ledger, Posting, save_entry
from erp.payments.document import facts_of, settles
from erp.payments.repository import PaymentRow
from tenancy.trail import Event
from tenancy.work import UnitOfWork

Settled = Sequence[tuple[OpenItemRow, Decimal]]


def plan(
    items: Sequence[OpenItemRow], demands: Sequence[Demand], payment: PaymentRow, ledger: Ledger, available: Decimal
) -> tuple[Settled, Decimal]:
    """What each item gets and the sum of it. Raises OverAllocation, AllocationMismatch, AllocationTooEarly."""
    settled = settle(items, demands, available=available, source=payment.number or "The payment")
    for item, _ in settled:
        check_settles(
            item,
            party_id=payment.party_id,
            side="receivable" if payment.side == "receivable" else "payable",
            direction=settles(payment.direction),
            on=ledger.date,
            pointer=pointer_of(demands, item),
        )
    return settled, sum((part for _, part in settled), Decimal(0))


def book(
    work: UnitOfWork,
    ledger: Ledger,
    payment: PaymentRow,
    entry_id: UUID,
    number: str,
    postings: Sequence[Posting],
    *,
    reverses_id: UUID | None = None,
) -> None:
    save_entry(
        work, ledger, entry_id=entry_id, number=number, journal="bank", postings=postings, source_type="payment",
        source_id=payment.id, text=f"{payment.number} {payment.reference}".strip(), reverses_id=reverses_id,
    )  # fmt: skip


def allocate(
    work: UnitOfWork, ledger: Ledger, payment: PaymentRow, entry_id: UUID, settled: Settled
) -> list[AllocationRow]:
    """Queue the allocations; the rows they will be read back as."""
    made = [
        Allocation(new_id(), item.id, "payment", payment.id, amount, ledger.date, entry_id)
        for item, amount in settled
    ]
    items = [item for item, _ in settled]
    save_allocations(work, items, made)
    return [made_row(one, item) for one, item in zip(made, items, strict=True)]


def tell(
    work: UnitOfWork, after: PaymentRow, what: str, *, before: PaymentRow | None = None, reason: str | None = None
) -> None:
    """`what` is posted, allocated, deallocated or reversed."""
    facts = facts_of(after)
    if reason is not None:
        facts["reason"] = reason
    work.publish(Event("payment", after.id, after.version, f"payment.{what}", facts))
    work.audit(f"payment.{what}", "payment", after.id, before=facts_of(before) if before else None, after=facts)
