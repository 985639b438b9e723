"""What is done with a payment later: settling more, taking that back, taking the payment back."""

from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from typing import NamedTuple
from uuid import UUID

from db.identifiers import new_id
from erp.accounting.open_items import (
    AllocationRow,
    OpenItemRow,
    allocations_by,
    chosen_allocations,
    lock_items,
    lock_settled_items,
    save_allocations,
    take_back,
)
from erp.accounting.posting import Ledger, ledger_loads, open_ledger
from erp.numbering.service import take
from erp.payments.booking import allocate, book, plan, tell
from erp.payments.document import (
    check_not_before,
    demands_of,
    money_postings,
    moving_postings,
    payment_view,
    posted_payment,
)
from erp.payments.repository import LOCK_PAYMENT, SET_REVERSED, SET_UNALLOCATED, PaymentRow
from erp.payments.schemas import AllocatePaymentInput, PaymentView, ReversePaymentInput, TakeBackInput
from tenancy.locks import account_operation
from tenancy.work import UnitOfWork


class Locked(NamedTuple):
    """A payment and the items it settled, locked; `earlier`: its allocations so far."""

    payment: PaymentRow
    ledger: Ledger
    items: list[OpenItemRow]
    earlier: list[AllocationRow]


async def allocate_payment(work: UnitOfWork, payment_id: UUID, data: AllocatePaymentInput) -> PaymentView:
    """Settle items with what is left of a payment. Raises OverAllocation."""
    on = data.date or work.today
    demands = demands_of(data.allocations, work.tenant.base_currency)
    targets = [demand.target for demand in demands]
    await account_operation(work, [payment_id, *targets])
    periods, roles, found, items, earlier = await work.load(
        *ledger_loads(on), LOCK_PAYMENT(payment_id=payment_id), lock_items(targets), allocations_by(payment_id)
    )
    before = posted_payment(found, payment_id)
    work.check_version(before.version)
    ledger = open_ledger(periods, roles, on, strict_date=data.strict_date)
    check_not_before(before, ledger)
    settled, total = plan(items, demands, before, ledger, before.unallocated)
    entry_id = new_id()
    [number] = await take(work, ledger.date, "journal")
    book(work, ledger, before, entry_id, number, moving_postings(before, total))
    made = allocate(work, ledger, before, entry_id, settled)
    after = before._replace(unallocated=before.unallocated - total, version=before.version + 1)
    work.save(SET_UNALLOCATED(payment_id=payment_id, left=after.unallocated))
    tell(work, after, "allocated", before=before)
    return payment_view(after, [*earlier, *made])


async def take_back_allocations(work: UnitOfWork, payment_id: UUID, data: TakeBackInput) -> PaymentView:
    """Open the settled items again; the amount stays with the payment as the party's advance."""
    locked = await _lock(work, payment_id, data.date or work.today, strict_date=data.strict_date)
    before, ledger = locked.payment, locked.ledger
    chosen = chosen_allocations(locked.earlier, data.allocation_ids)
    total = sum((row.amount for row in chosen), Decimal(0))
    entry_id = new_id()
    opposites = take_back(chosen, entry_id=entry_id, on=ledger.date)
    [number] = await take(work, ledger.date, "journal")
    book(work, ledger, before, entry_id, number, moving_postings(before, -total))
    save_allocations(work, locked.items, opposites)
    after = before._replace(unallocated=before.unallocated + total, version=before.version + 1)
    work.save(SET_UNALLOCATED(payment_id=payment_id, left=after.unallocated))
    tell(work, after, "deallocated", before=before, reason=data.reason)
    return payment_view(after, _marked(locked.earlier, chosen))


async def reverse_payment(work: UnitOfWork, payment_id: UUID, data: ReversePaymentInput) -> PaymentView:
    """Take a payment back with everything it settles, by one entry linked to the payment's."""
    locked = await _lock(work, payment_id, data.date or work.today, strict_date=data.strict_date)
    before, ledger = locked.payment, locked.ledger
    standing = [row for row in locked.earlier if not row.reversed]
    entry_id = new_id()
    opposites = take_back(standing, entry_id=entry_id, on=ledger.date)
    [number] = await take(work, ledger.date, "journal")
    postings = money_postings(before, allocated=before.amount - before.unallocated, sign=-1)
    book(work, ledger, before, entry_id, number, postings, reverses_id=before.entry_id)
    save_allocations(work, locked.items, opposites)
    after = before._replace(
        state="reversed", unallocated=Decimal(0), reversal_entry_id=entry_id, reversal_reason=data.reason,
        version=before.version + 1,
    )  # fmt: skip
    work.save(SET_REVERSED(payment_id=payment_id, entry=entry_id, reason=data.reason))
    tell(work, after, "reversed", before=before, reason=data.reason)
    return payment_view(after, _marked(locked.earlier, standing))


async def _lock(work: UnitOfWork, payment_id: UUID, on: date, *, strict_date: bool) -> Locked:
    await account_operation(work, [payment_id])
    periods, roles, found, items, earlier = await work.load(
        *ledger_loads(on),
        LOCK_PAYMENT(payment_id=payment_id),
        lock_settled_items(payment_id),
        allocations_by(payment_id),
    )
    payment = posted_payment(found, payment_id)
    work.check_version(payment.version)
    ledger = open_ledger(periods, roles, on, strict_date=strict_date)
    check_not_before(payment, ledger)
    return Locked(payment, ledger, items, earlier)


def _marked(rows: Sequence[AllocationRow], taken: Sequence[AllocationRow]) -> list[AllocationRow]:
    ids = {row.id for row in taken}
    return [row._replace(reversed=True) if row.id in ids else row for row in rows]
