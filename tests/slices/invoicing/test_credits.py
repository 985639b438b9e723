"""Credit notes: at the original amounts, never more than was invoiced, settling what is open."""

import asyncio
from datetime import date
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from db.errors import DomainError, UnknownReference
from db.identifiers import new_id
from db.statement import Bound
from erp.accounting.errors import AllocationMismatch, AllocationReversed, AllocationTooEarly, OverAllocation
from erp.accounting.proof import CHECKS as LEDGER
from erp.invoicing.credits import credit_lines
from erp.invoicing.errors import NegativeTotal, NothingToCredit, OverCredit
from erp.invoicing.proof import CHECKS as INVOICES
from erp.invoicing.queries import INVOICE
from erp.invoicing.repository import CreditedRow, LineRow
from erp.invoicing.schemas import (
    ApplyCreditInput,
    CreditInvoiceInput,
    CreditLineInput,
    CreditTarget,
    InvoiceView,
    TakeBackCreditInput,
)
from erp.invoicing.service import apply_credit, create_invoice, credit_invoice, take_back_credit
from erp.kernel.errors import Invalid, InvalidState, NotFound
from erp.pricing.tax import PricingLine, price_document
from tests.slices.accounting.books import Books
from tests.slices.invoicing.drafting import invoice_input, line, posted

PROOF = (*LEDGER, *INVOICES)
APRIL = date(2026, 4, 15)


def credit(*lines: tuple[int, str], on: date = APRIL, **fields: Any) -> CreditInvoiceInput:
    wanted = [CreditLineInput(line_no=line_no, quantity=quantity) for line_no, quantity in lines] or None
    return CreditInvoiceInput(reason="Goods came back", date=on, lines=wanted, **fields)


async def shown(books: Books, invoice_id: UUID) -> tuple[Decimal | None, list[UUID]]:
    """What is open of a document, and its credit notes."""
    [row] = await books.rows(INVOICE(invoice_id=invoice_id))
    return row.open_amount, row.credited_by


async def test_a_full_credit_takes_the_invoice_back_and_settles_it(books: Books) -> None:
    invoice = await posted(books, line("3", "19.99", discount_percent="10"), line("1", "50", "5"))
    note, counted = await books.counted(credit_invoice, invoice.id, credit())
    assert counted.postgres == 3
    assert (note.number, note.kind, note.credits_id) == ("CN-2026-000001", "credit_note", invoice.id)
    assert (note.net, note.tax, note.gross) == (invoice.net, invoice.tax, invoice.gross)
    assert (note.open_amount, note.payment_state) == ("0.00", "paid")
    assert await shown(books, invoice.id) == (Decimal("0.00"), [note.id])
    assert set((await books.balances()).values()) == {Decimal(0)}
    assert await books.evidence(*PROOF) == {}
    with pytest.raises(NothingToCredit):
        await books.run(credit_invoice, invoice.id, credit())


async def test_credits_in_parts_add_up_to_the_invoice(books: Books) -> None:
    invoice = await posted(books, line("3", "3.33", "19"))
    notes = [await books.run(credit_invoice, invoice.id, credit((1, "1"))) for _ in range(3)]
    assert sum(Decimal(note.gross) for note in notes) == Decimal(invoice.gross)
    assert await shown(books, invoice.id) == (Decimal("0.00"), [note.id for note in notes])
    assert await books.evidence(*PROOF) == {}


async def test_more_than_was_invoiced_is_not_credited(books: Books) -> None:
    invoice = await posted(books, line("3"), line("1"))
    await books.run(credit_invoice, invoice.id, credit((1, "2")))
    with pytest.raises(OverCredit) as refused:
        await books.run(credit_invoice, invoice.id, credit((1, "0.5"), (2, "1"), (1, "0.6")))
    assert refused.value.facts == {"line_no": 1, "invoiced": "3", "creditable": "1"}
    assert refused.value.pointer == "/lines/2/quantity"
    with pytest.raises(UnknownReference) as unknown:
        await books.run(credit_invoice, invoice.id, credit((1, "1"), (3, "1")))
    assert unknown.value.pointer == "/lines/1/line_no"
    with pytest.raises(NotFound):
        await books.run(credit_invoice, new_id(), credit())


async def test_two_credits_at_once_do_not_credit_twice(books: Books) -> None:
    invoice = await posted(books)
    outcomes = await asyncio.gather(
        *(books.run(credit_invoice, invoice.id, credit()) for _ in range(5)), return_exceptions=True
    )
    assert sorted(type(one).__name__ for one in outcomes) == ["InvoiceView"] + ["NothingToCredit"] * 4
    assert await books.evidence(*PROOF) == {}


async def test_only_posted_invoices_are_credited(books: Books) -> None:
    draft = await books.run(create_invoice, invoice_input(books.customer))
    note = await posted(books, kind="credit_note")
    for document in (draft, note):
        with pytest.raises(InvalidState):
            await books.run(credit_invoice, document.id, credit())


async def test_a_credit_is_not_dated_before_its_invoice(books: Books) -> None:
    invoice = await posted(books)
    with pytest.raises(AllocationTooEarly) as refused:
        await books.run(credit_invoice, invoice.id, credit(on=date(2026, 2, 1)))
    assert refused.value.pointer == "/date"


async def test_a_document_below_zero_is_a_credit_note_and_no_invoice(books: Books) -> None:
    note = await posted(books, kind="credit_note")
    assert (note.number, note.open_amount, note.gross) == ("CN-2026-000001", "120.00", "120.00")
    assert await books.balances() == {"1100": Decimal(-120), "2100": Decimal(20), "4000": Decimal(100)}
    assert NegativeTotal.status == 422


# -- settling invoices with a credit note ----------------------------------------------------------


def to(*targets: tuple[InvoiceView, str], on: date = APRIL) -> ApplyCreditInput:
    chosen = [CreditTarget(invoice_id=invoice.id, amount=amount) for invoice, amount in targets]
    return ApplyCreditInput(allocations=chosen, date=on)


async def test_a_credit_note_settles_other_invoices_and_lets_go_of_them(books: Books) -> None:
    one, two = await posted(books), await posted(books)
    note = await posted(books, line("1", "150"), kind="credit_note")  # 180.00
    applied, counted = await books.counted(apply_credit, note.id, to((one, "120.00"), (two, "20.00")))
    assert counted.postgres == 2
    assert applied.open_amount == "40.00"
    assert {(row.invoice_number, row.amount) for row in applied.allocations} == {
        (one.number, "120.00"), (two.number, "20.00"),
    }  # fmt: skip
    assert (await shown(books, one.id))[0] == Decimal(0)
    assert await books.evidence(*PROOF) == {}
    chosen = [row.id for row in applied.allocations if row.invoice_id == one.id]
    back = TakeBackCreditInput(allocation_ids=chosen, reason="Wrong invoice", date=APRIL)
    after = await books.run(take_back_credit, note.id, back)
    assert after.open_amount == "160.00"
    assert {row.taken_back for row in after.allocations if row.id in chosen} == {True}
    assert (await shown(books, one.id))[0] == Decimal(120)
    assert await books.evidence(*PROOF) == {}
    with pytest.raises(AllocationReversed):
        await books.run(take_back_credit, note.id, back)


async def test_a_credit_note_settles_no_more_than_it_has_and_only_its_partys_invoices(books: Books) -> None:
    one, other = await posted(books), await posted(books, party=books.other_customer)
    note = await posted(books, line("1", "50"), kind="credit_note")  # 60.00
    cases: list[tuple[ApplyCreditInput, type[DomainError]]] = [
        (to((one, "60.01")), OverAllocation),
        (to((one, "40.00"), (one, "40.00")), OverAllocation),
        (to((other, "10.00")), AllocationMismatch),
        (to((note, "10.00")), AllocationMismatch),
        (to((one, "10.00"), on=date(2026, 1, 1)), AllocationTooEarly),
        (ApplyCreditInput(allocations=[CreditTarget(amount="1.00")]), Invalid),
        (ApplyCreditInput(allocations=[CreditTarget(amount="1.00", invoice_id=new_id())]), UnknownReference),
    ]
    for data, error in cases:
        with pytest.raises(error):
            await books.run(apply_credit, note.id, data)
    with pytest.raises(AllocationMismatch) as mismatch:
        await books.run(apply_credit, note.id, to((one, "1.00"), (other, "10.00")))
    assert mismatch.value.pointer == "/allocations/1"
    with pytest.raises(InvalidState):
        await books.run(apply_credit, one.id, to((one, "1.00")))
    assert await books.evidence(*PROOF) == {}


async def test_every_change_of_an_open_item_is_told_in_order(books: Books) -> None:
    invoice = await posted(books, line("2"))
    await books.run(credit_invoice, invoice.id, credit((1, "1")))
    await books.run(credit_invoice, invoice.id, credit())
    events: Bound[Any] = Bound(
        "SELECT version, type, data->>'open_amount' FROM events WHERE tenant_id = %(tenant_id)s"
        " AND aggregate_type = 'open_item' AND data->>'document_id' = %(document)s ORDER BY version",
        {"document": str(invoice.id)}, None, True,
    )  # fmt: skip
    assert await books.rows(events) == [(2, "open_item.allocated", "120.00"), (3, "open_item.settled", "0.00")]


# -- arithmetic -----------------------------------------------------------------------------------


@given(
    quantity=st.integers(1, 40),
    price=st.decimals("0.001", "999", places=3),
    rate=st.sampled_from([Decimal(0), Decimal("5.5"), Decimal(19), Decimal(20)]),
    data=st.data(),
)
def test_however_a_line_is_credited_in_parts_the_parts_add_up(
    quantity: int, price: Decimal, rate: Decimal, data: st.DataObject
) -> None:
    priced = price_document(
        [PricingLine(Decimal(quantity), price, rate)], included=False, rounding="line", currency="GBP"
    ).lines[0]
    row = LineRow(
        1, None, "x", Decimal(quantity), "", price, Decimal(0), None, rate, priced.net, priced.tax, priced.gross,
        "@revenue", None, None,
    )  # fmt: skip
    done = CreditedRow(1, Decimal(0), Decimal(0), Decimal(0))
    while done.quantity < quantity:
        part = Decimal(data.draw(st.integers(1, quantity - int(done.quantity))))
        [credited] = credit_lines([row], [done], {1: part}, "GBP", {1: "/lines/0"})
        assert credited.priced is not None
        assert credited.priced.net >= 0
        assert credited.priced.tax >= 0
        done = CreditedRow(1, done.quantity + part, done.net + credited.priced.net, done.tax + credited.priced.tax)
    assert (done.net, done.tax) == (priced.net, priced.tax)
