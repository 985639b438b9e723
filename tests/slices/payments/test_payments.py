"""Payments: what they book and settle, how that is taken back, and that nothing is settled twice."""

import asyncio
from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

import psycopg
import pytest

from db.errors import DomainError, UnknownReference
from db.identifiers import new_id
from db.statement import Bound
from erp.accounting.errors import (
    AccountInactive,
    AllocationMismatch,
    AllocationReversed,
    AllocationTooEarly,
    ControlAccount,
    OverAllocation,
)
from erp.accounting.items_repository import LOCK_ITEMS
from erp.accounting.open_items import NewOpenItem, allocations_by, save_open_item
from erp.accounting.posting import Posting, ledger_loads, open_ledger, save_entry
from erp.accounting.proof import CHECKS as LEDGER
from erp.accounting.queries import AGED_RECEIVABLES
from erp.accounting.schemas import CreateAccountInput, UpdateAccountInput
from erp.accounting.service import create_account, update_account
from erp.invoicing.proof import CHECKS as INVOICES
from erp.invoicing.queries import INVOICE
from erp.invoicing.schemas import InvoiceView
from erp.kernel.errors import Invalid, InvalidAmount, NotFound
from erp.payments.document import payment_view
from erp.payments.errors import PaymentReversed
from erp.payments.proof import CHECKS as PAYMENTS
from erp.payments.queries import PAYMENT
from erp.payments.schemas import (
    AllocatePaymentInput,
    AllocationInput,
    CreatePaymentInput,
    PaymentView,
    ReversePaymentInput,
    TakeBackInput,
)
from erp.payments.service import allocate_payment, create_payment, reverse_payment, take_back_allocations
from tenancy.database import TenantDatabase
from tenancy.work import UnitOfWork
from tests.slices.accounting.books import Books
from tests.slices.invoicing.drafting import line, posted

PROOF = (*LEDGER, *INVOICES, *PAYMENTS)
APRIL = date(2026, 4, 15)


def settling(*targets: tuple[InvoiceView, str]) -> list[AllocationInput]:
    return [AllocationInput(invoice_id=invoice.id, amount=amount) for invoice, amount in targets]


def received(books: Books, amount: str, *targets: tuple[InvoiceView, str], **fields: Any) -> CreatePaymentInput:
    fields = {"direction": "in", "party_id": books.customer, "date": APRIL, **fields}
    return CreatePaymentInput(amount=amount, allocations=fields.pop("allocations", settling(*targets)), **fields)


def more(*targets: tuple[InvoiceView, str], on: date = APRIL) -> AllocatePaymentInput:
    return AllocatePaymentInput(allocations=settling(*targets), date=on)


async def left_of(books: Books, invoice: InvoiceView) -> int:
    """What is open of an invoice, in pence."""
    [row] = await books.rows(INVOICE(invoice_id=invoice.id))
    assert row.open_amount is not None
    return int(row.open_amount * 100)


async def stored(books: Books, payment: PaymentView) -> PaymentView:
    [row] = await books.rows(PAYMENT(payment_id=payment.id))
    return payment_view(row, await books.rows(allocations_by(payment.id)))


async def test_a_payment_settles_invoices_and_the_rest_is_an_advance(books: Books) -> None:
    one, two = await posted(books), await posted(books)
    payment, counted = await books.counted(
        create_payment, received(books, "250.00", (one, "120.00"), (two, "50.00"), reference="ST 4711")
    )
    assert (counted.postgres, len(counted.statements)) == (3, 16)
    assert (payment.number, payment.unallocated, payment.account) == ("PAY-2026-000001", "80.00", "1010")
    assert await books.balances() == {
        "1010": Decimal(250), "1100": Decimal(70), "2100": Decimal(-40), "2200": Decimal(-80), "4000": Decimal(-200),
    }  # fmt: skip
    assert (await left_of(books, one), await left_of(books, two)) == (0, 70_00)
    assert await stored(books, payment) == payment
    assert await books.evidence(*PROOF) == {}


async def test_an_advance_is_allocated_later_taken_back_and_the_payment_reversed(books: Books) -> None:
    invoice = await posted(books)
    payment = await books.run(create_payment, received(books, "200.00"))
    payment, counted = await books.counted(allocate_payment, payment.id, more((invoice, "90.00")))
    assert counted.postgres == 3
    payment = await books.run(allocate_payment, payment.id, more((invoice, "30.00")))
    assert (payment.unallocated, payment.version, await left_of(books, invoice)) == ("80.00", 3, 0)
    assert await stored(books, payment) == payment
    assert await books.evidence(*PROOF) == {}
    first = payment.allocations[0]
    back = TakeBackInput(allocation_ids=[first.id], reason="Meant for another invoice", date=APRIL)
    payment, counted = await books.counted(take_back_allocations, payment.id, back)
    assert counted.postgres == 3
    assert (payment.unallocated, await left_of(books, invoice)) == ("170.00", 90_00)
    assert [row.taken_back for row in payment.allocations] == [True, False]
    assert await stored(books, payment) == payment
    assert await books.evidence(*PROOF) == {}
    with pytest.raises(AllocationReversed):
        await books.run(take_back_allocations, payment.id, back)
    undo = ReversePaymentInput(reason="The bank returned it", date=APRIL)
    payment, counted = await books.counted(reverse_payment, payment.id, undo)
    assert counted.postgres == 3
    assert (payment.state, payment.unallocated, await left_of(books, invoice)) == ("reversed", "0.00", 120_00)
    assert await stored(books, payment) == payment
    assert {code: balance for code, balance in (await books.balances()).items() if balance} == {
        "1100": Decimal(120), "2100": Decimal(-20), "4000": Decimal(-100),
    }  # fmt: skip
    assert await books.evidence(*PROOF) == {}
    for command, data in ((reverse_payment, undo), (allocate_payment, more((invoice, "1.00")))):
        with pytest.raises(PaymentReversed):
            await books.run(command, payment.id, data)


async def test_a_supplier_is_paid_and_a_customer_refunded(books: Books) -> None:
    bill = await books.run(_bill, books.supplier, "75.00")
    paid = await books.run(
        create_payment,
        CreatePaymentInput(
            direction="out", party_id=books.supplier, amount="100.00", date=APRIL, method="cash",
            allocations=[AllocationInput(bill_id=bill, amount="75.00")],
        ),
    )  # fmt: skip
    assert (paid.side, paid.account, paid.unallocated) == ("payable", "1000", "25.00")
    note = await posted(books, kind="credit_note")
    refund = await books.run(
        create_payment,
        CreatePaymentInput(
            direction="out", side="receivable", party_id=books.customer, amount="120.00", date=APRIL,
            allocations=[AllocationInput(invoice_id=note.id, amount="120.00")],
        ),
    )  # fmt: skip
    assert refund.unallocated == "0.00"
    balances = await books.balances()
    moved = [int(balances[code]) for code in ("1000", "1150", "2000", "1100")]
    assert moved == [-100, 25, 0, 0]
    assert await books.evidence(*PROOF) == {}


async def _bill(work: UnitOfWork, supplier: Any, amount: str) -> Any:
    """A supplier's bill as purchasing books it."""
    on, bill = date(2026, 4, 1), new_id()
    periods, roles = await work.load(*ledger_loads(on))
    ledger = open_ledger(periods, roles, on)
    owed = Decimal(amount)
    save_entry(
        work, ledger, entry_id=new_id(), number=f"B-{bill}", journal="purchases", source_type="supplier_bill",
        source_id=bill, postings=[Posting("@expense", owed), Posting("@payables", -owed, party_id=supplier)],
    )  # fmt: skip
    save_open_item(
        work, NewOpenItem(new_id(), supplier, "payable", "credit", "supplier_bill", bill, f"B-{bill}", on, owed, on)
    )
    return bill


async def test_what_a_payment_cannot_do_is_refused(books: Books) -> None:
    invoice, other = await posted(books), await posted(books, party=books.other_customer)
    note = await posted(books, kind="credit_note")
    spare = await books.run(create_account, CreateAccountInput(code="1020", name="Old bank", type="asset"))
    await books.run(update_account, spare.id, UpdateAccountInput(active=False))
    nothing, both = (
        AllocationInput(amount="1.00"),
        AllocationInput(amount="1.00", invoice_id=invoice.id, bill_id=new_id()),
    )
    cases: list[tuple[CreatePaymentInput, type[DomainError]]] = [
        (received(books, "200.00", (invoice, "120.01")), OverAllocation),
        (received(books, "100.00", (invoice, "100.01")), OverAllocation),
        (received(books, "200.00", (invoice, "60.00"), (invoice, "60.01")), OverAllocation),
        (received(books, "10.00", (other, "10.00")), AllocationMismatch),
        (received(books, "10.00", (note, "10.00")), AllocationMismatch),
        (received(books, "10.00", (invoice, "10.00"), date=date(2026, 3, 1)), AllocationTooEarly),
        (received(books, "10.001"), InvalidAmount),
        (received(books, "10.00", party_id=new_id()), UnknownReference),
        (received(books, "10.00", account="1020"), AccountInactive),
        (received(books, "10.00", account="@receivables"), ControlAccount),
        (received(books, "10.00", account="@output_tax"), ControlAccount),
        (received(books, "10.00", allocations=[nothing]), Invalid),
        (received(books, "10.00", allocations=[both]), Invalid),
        (received(books, "10.00", allocations=[AllocationInput(amount="1.00", bill_id=new_id())]), UnknownReference),
    ]
    for data, error in cases:
        with pytest.raises(error):
            await books.run(create_payment, data)
    with pytest.raises(AllocationMismatch) as mismatch:
        await books.run(create_payment, received(books, "10.00", (invoice, "1.00"), (other, "1.00")))
    assert mismatch.value.pointer == "/allocations/1"
    with pytest.raises(NotFound):
        await books.run(allocate_payment, new_id(), more((invoice, "1.00")))
    payment = await books.run(create_payment, received(books, "10.00"))
    assert payment.number == "PAY-2026-000001"
    with pytest.raises(AllocationTooEarly):
        await books.run(allocate_payment, payment.id, more((invoice, "1.00"), on=date(2026, 4, 14)))
    with pytest.raises(UnknownReference):
        await books.run(take_back_allocations, payment.id, TakeBackInput(allocation_ids=[new_id()], reason="Why not"))
    assert await books.evidence(*PROOF) == {}


async def test_over_allocation_names_the_item(books: Books) -> None:
    invoice = await posted(books)
    with pytest.raises(OverAllocation) as refused:
        await books.run(create_payment, received(books, "500.00", (invoice, "300.00")))
    assert refused.value.facts["document"] == invoice.number
    assert refused.value.facts["open_amount"] == "120.00"
    assert refused.value.pointer == "/allocations/0"


async def test_a_posted_payment_is_never_changed(books: Books) -> None:
    payment = await books.run(create_payment, received(books, "10.00"))
    for statement in ("UPDATE payments SET amount = 9 WHERE id = %s", "DELETE FROM payments WHERE id = %s"):
        with psycopg.connect(books.superuser_url) as connection, pytest.raises(psycopg.errors.RestrictViolation):
            connection.execute(statement, (payment.id,))


async def test_ageing_is_right_as_of_any_day(books: Books) -> None:
    january = await posted(books, on=date(2026, 1, 10))  # due 9 February
    march = await posted(books, line("2"), on=date(2026, 3, 10))  # due 9 April
    await books.run(create_payment, received(books, "60.00", (january, "60.00"), date=date(2026, 3, 1)))
    payment = await books.run(create_payment, received(books, "300.00", (march, "240.00"), (january, "60.00")))
    back = TakeBackInput(allocation_ids=[payment.allocations[0].id], reason="Bounced", date=date(2026, 6, 1))
    await books.run(take_back_allocations, payment.id, back)
    expected = {
        date(2026, 1, 9): None,
        date(2026, 2, 9): (120, 0, 0, 0, 0),
        date(2026, 2, 10): (0, 120, 0, 0, 0),
        date(2026, 3, 1): (0, 60, 0, 0, 0),
        date(2026, 3, 20): (240, 0, 60, 0, 0),
        date(2026, 4, 14): (0, 240, 0, 60, 0),
        date(2026, 4, 15): None,
        date(2026, 5, 31): None,
    }
    reopened = Decimal(payment.allocations[0].amount)
    for day, buckets in expected.items():
        rows = await books.rows(AGED_RECEIVABLES(as_of=day))
        assert [tuple(row[3:8]) for row in rows] == ([buckets] if buckets else []), day
        assert sum(row.total for row in rows) == (await books.balances(day)).get("1100", 0), day
    [after] = await books.rows(AGED_RECEIVABLES(as_of=date(2026, 6, 1)))
    assert (after.code, after.total) == ("C1", reopened)


# -- at the same time ------------------------------------------------------------------------------


async def outcomes_of(*commands: Any) -> list[str]:
    results = await asyncio.gather(*commands, return_exceptions=True)
    unexpected = [one for one in results if isinstance(one, BaseException) and not isinstance(one, OverAllocation)]
    assert not unexpected
    return sorted(type(one).__name__ for one in results)


async def test_two_tabs_that_over_allocate_an_invoice_one_wins(each_lock: Books) -> None:
    books = each_lock
    invoice = await posted(books)
    payments = [await books.run(create_payment, received(books, "120.00")) for _ in range(2)]
    [item] = await books.rows(_item_of(invoice))
    by_item = AllocatePaymentInput(allocations=[AllocationInput(open_item_id=item[0], amount="100.00")], date=APRIL)
    results = await outcomes_of(
        books.run(allocate_payment, payments[0].id, by_item),
        books.run(allocate_payment, payments[1].id, more((invoice, "100.00"))),
    )
    assert results == ["OverAllocation", "PaymentView"]
    assert await left_of(books, invoice) == 20_00
    assert await books.evidence(*PROOF) == {}


async def test_two_tabs_that_spend_a_payment_twice_one_wins(each_lock: Books) -> None:
    books = each_lock
    one, two = await posted(books), await posted(books)
    payment = await books.run(create_payment, received(books, "120.00"))
    results = await outcomes_of(
        books.run(allocate_payment, payment.id, more((one, "120.00"))),
        books.run(allocate_payment, payment.id, more((two, "120.00"))),
    )
    assert results == ["OverAllocation", "PaymentView"]
    assert await books.evidence(*PROOF) == {}


async def test_ten_payments_for_one_invoice_settle_it_once(each_lock: Books) -> None:
    books = each_lock
    invoice = await posted(books)
    results = await outcomes_of(
        *(books.run(create_payment, received(books, "30.00", (invoice, "30.00"))) for _ in range(10))
    )
    assert results == ["OverAllocation"] * 6 + ["PaymentView"] * 4
    assert await left_of(books, invoice) == 0
    assert await books.evidence(*PROOF) == {}


async def test_payments_that_name_the_same_invoices_in_any_order_do_not_deadlock(each_lock: Books) -> None:
    books = each_lock
    one, two = await posted(books), await posted(books)
    pairs = [((one, "1.00"), (two, "1.00")), ((two, "1.00"), (one, "1.00"))] * 8
    results = await outcomes_of(*(books.run(create_payment, received(books, "2.00", *pair)) for pair in pairs))
    assert results == ["PaymentView"] * 16
    assert await books.evidence(*PROOF) == {}


async def test_reversing_while_allocating_leaves_the_books_in_order(each_lock: Books) -> None:
    books = each_lock
    invoice = await posted(books)
    payment = await books.run(create_payment, received(books, "120.00", (invoice, "60.00")))
    undo = ReversePaymentInput(reason="Returned", date=APRIL)
    results = await asyncio.gather(
        books.run(allocate_payment, payment.id, more((invoice, "60.00"))),
        books.run(reverse_payment, payment.id, undo),
        return_exceptions=True,
    )
    assert isinstance(results[1], PaymentView)
    assert isinstance(results[0], PaymentView | PaymentReversed)
    assert await left_of(books, invoice) == 120_00
    assert await books.evidence(*PROOF) == {}


async def test_a_settling_that_forgot_the_row_lock_is_refused_by_the_database(
    books: Books, unguarded_database: TenantDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    books = replace(books, database=unguarded_database)
    invoice = await posted(books)
    unlocked = LOCK_ITEMS.sql.replace("FOR UPDATE", "")
    everyone_read = asyncio.Barrier(5)
    monkeypatch.setattr(
        "erp.accounting.open_items.LOCK_ITEMS",
        lambda targets: Bound(unlocked, {"targets": targets}, LOCK_ITEMS.row, True),
    )

    async def careless(work: UnitOfWork) -> PaymentView:
        load, loads = work.load, 0

        async def reading(*statements: Bound[Any]) -> tuple[list[Any], ...]:
            nonlocal loads
            rows = await load(*statements)
            loads += 1
            if loads == 1:
                await everyone_read.wait()
            return rows

        monkeypatch.setattr(work, "load", reading)
        return await create_payment(work, received(books, "100.00", (invoice, "100.00")))

    results = await asyncio.gather(*(books.run(careless) for _ in range(5)), return_exceptions=True)
    assert sorted(isinstance(one, DomainError) for one in results) == [False, True, True, True, True]
    assert await left_of(books, invoice) == 20_00
    assert await books.evidence(*PROOF) == {}


def _item_of(invoice: InvoiceView) -> Bound[Any]:
    return Bound(
        "SELECT id FROM open_items WHERE tenant_id = %(tenant_id)s AND document_id = %(document)s",
        {"document": invoice.id}, None, True,
    )  # fmt: skip


# -- the proof names what is wrong --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "broken"),
    [
        ("UPDATE payments SET unallocated = unallocated - 1 WHERE tenant_id = %s",
         {"payments-unallocated", "customer-advances-account"}),
        ("UPDATE payments SET amount = amount + 1 WHERE tenant_id = %s", {"payments-unallocated", "payments-booked"}),
        ("UPDATE payments SET number = 'PAY-2026-000007' WHERE tenant_id = %s", {"payment-numbers"}),
        ("UPDATE open_items SET open_amount = open_amount - 1 WHERE tenant_id = %s",
         {"open-items", "receivables-account"}),
        ("DELETE FROM allocations WHERE tenant_id = %s", {"open-items", "payments-unallocated"}),
        ("UPDATE allocations SET amount = amount + 1 WHERE tenant_id = %s",
         {"open-items", "payments-unallocated", "allocations-booked"}),
        ("UPDATE journal_lines SET amount = amount + 1, base_amount = base_amount + 1 WHERE tenant_id = %s"
         " AND account_code = '1010'", {"entries-balanced", "payments-booked"}),
        ("UPDATE journal_lines SET base_amount = base_amount + 1 WHERE tenant_id = %s AND account_code = '1100'"
         " AND base_amount > 0",
         {"entries-balanced", "lines-converted", "invoices-booked", "receivables-account"}),
        ("DELETE FROM journal_lines WHERE tenant_id = %s AND account_code = '2200'",
         {"entries-balanced", "entries-complete", "customer-advances-account"}),
        ("UPDATE journal_lines SET date = date + 1 WHERE tenant_id = %s", {"entries-in-their-period"}),
        ("DELETE FROM payments WHERE tenant_id = %s",
         {"payment-entries", "payment-numbers", "allocations-of-payments", "customer-advances-account"}),
    ],
)  # fmt: skip
async def test_the_proof_names_a_corrupted_row(books: Books, change: str, broken: set[str]) -> None:
    invoice = await posted(books)
    await books.run(create_payment, received(books, "100.00", (invoice, "70.00")))
    assert await books.evidence(*PROOF) == {}
    books.tamper(change, books.caller.tenant.id)
    assert set(await books.evidence(*PROOF)) == broken
