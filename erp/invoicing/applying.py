"""Settling invoices with credit notes that are already posted, and taking that back."""

from collections.abc import Sequence
from decimal import Decimal
from uuid import UUID

from erp.accounting.open_items import (
    AllocationRow,
    Demand,
    OpenItemRow,
    allocations_by,
    check_settles,
    chosen_allocations,
    lock_items,
    lock_settled_items,
    made_row,
    pair,
    pointer_of,
    save_allocations,
    settle,
    take_back,
)
from erp.accounting.posting import ledger_loads, open_ledger
from erp.invoicing.repository import PEEK_INVOICE, InvoiceRow
from erp.invoicing.schemas import (
    ApplyCreditInput,
    CreditAllocationsView,
    CreditAllocationView,
    CreditTarget,
    TakeBackCreditInput,
)
from erp.kernel.errors import Invalid, InvalidState, NotFound
from erp.kernel.money import money, money_text
from tenancy.locks import account_operation
from tenancy.work import UnitOfWork

_ZERO = Decimal(0)


async def apply_credit(work: UnitOfWork, invoice_id: UUID, data: ApplyCreditInput) -> CreditAllocationsView:
    """Settle invoices of the same party with a posted credit note. Raises OverAllocation."""
    on = data.date or work.today
    demands = [_demand(target, index, work.tenant.base_currency) for index, target in enumerate(data.allocations)]
    targets = [invoice_id, *(demand.target for demand in demands)]
    await account_operation(work, targets)
    periods, roles, found, items, earlier = await work.load(
        *ledger_loads(on), PEEK_INVOICE(invoice_id=invoice_id), lock_items(targets), allocations_by(invoice_id)
    )
    credit = credit_item(found, items, invoice_id)
    day = open_ledger(periods, roles, on).date
    check_settles(credit, party_id=credit.party_id, side="receivable", direction="credit", on=day)
    settled = settle(items, demands, available=credit.open_amount, source=credit.document_number)
    for item, _ in settled:
        check_settles(
            item, party_id=credit.party_id, side="receivable", direction="debit", on=day,
            pointer=pointer_of(demands, item),
        )  # fmt: skip
    pairs = [pair(item.id, credit.id, amount, day) for item, amount in settled]
    save_allocations(work, items, [row for rows in pairs for row in rows])
    total = sum((amount for _, amount in settled), _ZERO)
    made = [made_row(rows[0], item) for rows, (item, _) in zip(pairs, settled, strict=True)]
    facts = {"amount": money_text(total, credit.currency), "number": credit.document_number}
    work.audit("credit_note.allocate", "invoice", invoice_id, after=facts)
    return allocations_view(found[0], credit.open_amount - total, [*earlier, *made])


async def take_back_credit(work: UnitOfWork, invoice_id: UUID, data: TakeBackCreditInput) -> CreditAllocationsView:
    """Take allocations of a credit note back: both sides are open again."""
    on = data.date or work.today
    await account_operation(work, [invoice_id])
    periods, roles, found, items, earlier = await work.load(
        *ledger_loads(on),
        PEEK_INVOICE(invoice_id=invoice_id),
        lock_settled_items(invoice_id),
        allocations_by(invoice_id),
    )
    credit = credit_item(found, items, invoice_id)
    day = open_ledger(periods, roles, on).date
    chosen = chosen_allocations(earlier, data.allocation_ids)
    save_allocations(work, items, take_back(chosen, entry_id=None, on=day))
    total = sum((row.amount for row in chosen), _ZERO)
    facts = {"amount": money_text(total, credit.currency), "number": credit.document_number, "reason": data.reason}
    work.audit("credit_note.deallocate", "invoice", invoice_id, after=facts)
    taken = {row.id for row in chosen}
    after = [row._replace(reversed=True) if row.id in taken else row for row in earlier]
    return allocations_view(found[0], credit.open_amount + total, after)


def credit_item(found: Sequence[InvoiceRow], items: Sequence[OpenItemRow], invoice_id: UUID) -> OpenItemRow:
    """The open item of the credit note. Raises NotFound, InvalidState."""
    if not found:
        raise NotFound(invoice_id=str(invoice_id))
    [row] = found
    item = next((item for item in items if item.document_id == invoice_id), None)
    if row.kind != "credit_note" or item is None:
        raise InvalidState("Only a posted credit note settles invoices.", state=row.state, kind=row.kind)
    return item


def _demand(target: CreditTarget, index: int, currency: str) -> Demand:
    pointer = f"/allocations/{index}"
    named = [one for one in (target.open_item_id, target.invoice_id) if one is not None]
    if len(named) != 1:
        raise Invalid("Name either an open item or an invoice.", pointer=pointer)
    return Demand(named[0], money(target.amount, currency, pointer=f"{pointer}/amount"), pointer)


def allocations_view(credit: InvoiceRow, left: Decimal, rows: Sequence[AllocationRow]) -> CreditAllocationsView:
    """A posted credit note's allocations and what is left of it."""
    return CreditAllocationsView(
        invoice_id=credit.id,
        number=credit.number or "",
        open_amount=money_text(left, credit.currency),
        allocations=[
            CreditAllocationView(
                id=row.id,
                open_item_id=row.open_item_id,
                invoice_id=row.document_id,
                invoice_number=row.document_number,
                amount=money_text(row.amount, credit.currency),
                date=row.date,
                taken_back=row.reversed,
            )
            for row in sorted(rows, key=lambda row: row.id)
        ],
    )
