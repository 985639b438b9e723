"""Money received and paid: recording it, settling open items with it, taking that back."""

from decimal import Decimal

from db.identifiers import new_id
from erp.accounting.facts import ALL_ROLES, check_accounts, named_accounts
from erp.accounting.open_items import lock_items
from erp.accounting.posting import Ledger, ledger_loads, open_ledger
from erp.kernel.errors import UnknownReference
from erp.kernel.money import money
from erp.numbering.service import take
from erp.parties.facts import party_facts
from erp.payments.allocating import allocate_payment, reverse_payment, take_back_allocations
from erp.payments.booking import allocate, book, plan, tell
from erp.payments.document import demands_of, money_postings, payment_view
from erp.payments.repository import ADD_PAYMENT, PaymentRow
from erp.payments.schemas import CreatePaymentInput, PaymentView
from tenancy.locks import account_operation
from tenancy.work import UnitOfWork

__all__ = ["allocate_payment", "create_payment", "reverse_payment", "take_back_allocations"]


async def create_payment(work: UnitOfWork, data: CreatePaymentInput) -> PaymentView:
    """Record a payment and settle the named items with it. Raises OverAllocation."""
    on = data.date or work.today
    demands = demands_of(data.allocations, work.tenant.base_currency)
    amount = money(data.amount, work.tenant.base_currency, pointer="/amount")
    account = data.account or ("@cash" if data.method == "cash" else "@bank")
    if demands:
        await account_operation(work, [demand.target for demand in demands])
    periods, roles, parties, accounts, items = await work.load(
        *ledger_loads(on),
        party_facts(data.party_id),
        named_accounts([account]),
        lock_items(demand.target for demand in demands),
    )
    if not parties:
        raise UnknownReference("There is no such party.", pointer="/party_id", party_id=str(data.party_id))
    check_accounts(accounts, [(account, "/account")], kept=ALL_ROLES - {"bank", "cash"})
    ledger = open_ledger(periods, roles, on, strict_date=data.strict_date)
    payment = _new_payment(work, data, ledger, amount, ledger.account(account))
    settled, total = plan(items, demands, payment, ledger, amount)
    [number] = await take(work, ledger.date, "payment")
    payment = payment._replace(number=number, unallocated=amount - total)
    book(work, ledger, payment, payment.entry_id, number, money_postings(payment, allocated=total))
    work.save(ADD_PAYMENT(**payment._asdict()))
    made = allocate(work, ledger, payment, payment.entry_id, settled)
    tell(work, payment, "posted")
    return payment_view(payment, made)


def _new_payment(
    work: UnitOfWork, data: CreatePaymentInput, ledger: Ledger, amount: Decimal, account: str
) -> PaymentRow:
    return PaymentRow(
        id=new_id(), number="", direction=data.direction,
        side=data.side or ("receivable" if data.direction == "in" else "payable"), state="posted",
        party_id=data.party_id, date=ledger.document_date, accounting_date=ledger.date,
        currency=work.tenant.base_currency, amount=amount, unallocated=amount, method=data.method,
        account_code=account, reference=data.reference, entry_id=new_id(), reversal_entry_id=None,
        reversal_reason="", external_id=data.external_id, version=1, created_at=work.now,
    )  # fmt: skip
