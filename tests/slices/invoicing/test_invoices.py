"""Invoices: drafts that change, posted ones that never do."""

import asyncio
from datetime import date
from decimal import Decimal
from uuid import UUID

import psycopg
import pytest

from db.errors import UnknownReference
from db.identifiers import new_id
from db.statement import Bound
from erp.accounting.errors import ControlAccount, PeriodClosed
from erp.accounting.posting import ledger_loads, open_ledger
from erp.accounting.proof import CHECKS as LEDGER
from erp.accounting.schemas import ClosePeriodInput
from erp.accounting.service import close_period
from erp.invoicing.document import invoice_view
from erp.invoicing.errors import DraftChanged, InvoicePosted
from erp.invoicing.facts import invoiced_lines
from erp.invoicing.new import NewInvoice, NewInvoiceLine
from erp.invoicing.proof import CHECKS as INVOICES
from erp.invoicing.queries import INVOICE
from erp.invoicing.repository import LINES
from erp.invoicing.schemas import CancelInvoiceInput, InvoiceView, PostInvoiceInput, UpdateInvoiceInput
from erp.invoicing.service import (
    book_document,
    cancel_draft,
    create_invoice,
    note_overdue_invoices,
    post_document,
    post_invoice,
    save_draft,
    update_draft,
)
from erp.kernel.errors import Invalid, InvalidState, NotFound
from erp.numbering.service import take
from erp.parties.errors import NotACustomer
from tenancy.errors import VersionConflict
from tenancy.work import UnitOfWork
from tests.slices.accounting.books import Books
from tests.slices.invoicing.drafting import MARCH, invoice_input, line, posted

PROOF = (*LEDGER, *INVOICES)


async def stored(books: Books, invoice: InvoiceView) -> InvoiceView:
    """The document as a later request reads it."""
    [row] = await books.rows(INVOICE(invoice_id=invoice.id))
    lines = await books.rows(LINES(invoice_id=invoice.id))
    return invoice_view(row.invoice, lines, row.open_amount, row.credited_by)


async def test_a_posted_invoice_is_numbered_booked_and_open(books: Books) -> None:
    lines = [line("3", "19.99", discount_percent="10"), line("1", "50", "5"), line("2", "7.333", account="4900")]
    invoice = await posted(books, *lines)
    assert (invoice.number, invoice.state, invoice.version) == ("INV-2026-000001", "posted", 1)
    assert (invoice.net, invoice.tax, invoice.gross) == ("118.64", "16.22", "134.86")
    assert (invoice.due_date, invoice.payment_state, invoice.open_amount) == (date(2026, 4, 9), "unpaid", "134.86")
    assert [(one.rate, one.base, one.tax) for one in invoice.taxes] == [
        ("5", "50.00", "2.50"),
        ("20", "68.64", "13.72"),
    ]
    assert await books.balances() == {
        "1100": Decimal("134.86"), "2100": Decimal("-16.22"), "4000": Decimal("-103.97"), "4900": Decimal("-14.67"),
    }  # fmt: skip
    assert await stored(books, invoice) == invoice
    assert await books.evidence(*PROOF) == {}


async def test_creating_and_posting_takes_three_round_trips_however_many_lines(books: Books) -> None:
    for lines in (1, 200):
        data = invoice_input(books.customer, *[line()] * lines, post=True)
        _, counted = await books.counted(create_invoice, data)
        assert counted.postgres == 3


async def test_posting_a_draft_takes_three_round_trips(books: Books) -> None:
    draft = await books.run(create_invoice, invoice_input(books.customer))
    assert (draft.state, draft.number, draft.payment_state, draft.open_amount) == ("draft", None, None, None)
    invoice, counted = await books.counted(post_invoice, draft.id)
    assert (counted.postgres, len(counted.statements)) == (3, 14)
    assert (invoice.number, invoice.version) == ("INV-2026-000001", 2)
    assert await stored(books, invoice) == invoice
    with pytest.raises(InvoicePosted):
        await books.run(post_invoice, draft.id)
    assert await books.evidence(*PROOF) == {}


async def test_posting_one_draft_twice_at_once_posts_it_once(books: Books) -> None:
    draft = await books.run(create_invoice, invoice_input(books.customer))
    outcomes = await asyncio.gather(*(books.run(post_invoice, draft.id) for _ in range(5)), return_exceptions=True)
    assert sorted(type(one).__name__ for one in outcomes) == ["InvoicePosted"] * 4 + ["InvoiceView"]
    assert await books.evidence(*PROOF) == {}


async def test_a_draft_changed_while_it_is_posted_is_not_posted_unseen(books: Books) -> None:
    draft = await books.run(create_invoice, invoice_input(books.customer))
    changed, go_on = asyncio.Event(), asyncio.Event()

    async def slow_change(work: UnitOfWork) -> None:
        await update_draft(work, draft.id, UpdateInvoiceInput(date=date(2026, 4, 1), lines=[line("2")]))
        await work.load(ledger_loads(MARCH)[1])
        changed.set()
        await go_on.wait()

    change = asyncio.create_task(books.run(slow_change))
    await changed.wait()
    posting = asyncio.create_task(books.run(post_invoice, draft.id))
    await books.until_blocked()
    go_on.set()
    await change
    with pytest.raises(DraftChanged):
        await posting


async def test_a_draft_is_replaced_as_a_whole(books: Books) -> None:
    draft = await books.run(create_invoice, invoice_input(books.customer, line(), line("2", "5")))
    data = UpdateInvoiceInput(date=date(2026, 3, 20), lines=[line("4", "2.50")], tax_rounding="document")
    changed = await books.run(update_draft, draft.id, data)
    assert (changed.version, changed.gross, changed.due_date) == (2, "12.00", date(2026, 4, 19))
    assert await stored(books, changed) == changed
    assert await books.evidence(*PROOF) == {}


async def test_a_cancelled_draft_is_kept_and_takes_no_number(books: Books) -> None:
    draft = await books.run(create_invoice, invoice_input(books.customer))
    cancelled = await books.run(cancel_draft, draft.id, CancelInvoiceInput(reason="Wrong customer"))
    assert (cancelled.state, cancelled.number) == ("cancelled", None)
    for command, data in (
        (post_invoice, PostInvoiceInput()),
        (cancel_draft, CancelInvoiceInput(reason="Again")),
        (update_draft, UpdateInvoiceInput(date=MARCH, lines=[line()])),
    ):
        with pytest.raises(InvalidState):
            await books.run(command, draft.id, data)
    assert (await posted(books)).number == "INV-2026-000001"
    assert await books.evidence(*PROOF) == {}


async def test_a_posted_invoice_is_neither_edited_nor_cancelled(books: Books) -> None:
    invoice = await posted(books)
    for command, data in (
        (cancel_draft, CancelInvoiceInput(reason="Changed my mind")),
        (update_draft, UpdateInvoiceInput(date=MARCH, lines=[line()])),
    ):
        with pytest.raises(InvoicePosted):
            await books.run(command, invoice.id, data)
    for statement in (
        "UPDATE invoices SET text = 'x' WHERE id = %s",
        "DELETE FROM invoice_lines WHERE invoice_id = %s",
        "UPDATE invoice_lines SET net = 1 WHERE invoice_id = %s",
        "INSERT INTO invoice_lines SELECT (r).* FROM (SELECT jsonb_populate_record(l, '{\"line_no\": 2}') r"
        " FROM invoice_lines l WHERE invoice_id = %s) x",
    ):
        with psycopg.connect(books.superuser_url) as connection, pytest.raises(psycopg.errors.RestrictViolation):
            connection.execute(statement, (invoice.id,))


async def test_what_an_invoice_cannot_be_made_of_is_refused(books: Books) -> None:
    cases = [
        (invoice_input(new_id()), UnknownReference, "/party_id"),
        (invoice_input(books.supplier), NotACustomer, "/party_id"),
        (invoice_input(books.customer, line(), line(product_id=new_id())), UnknownReference, "/lines/1/product_id"),
        (invoice_input(books.customer, line(account="@output_tax")), ControlAccount, "/lines/0/account"),
        (invoice_input(books.customer, line(account="none")), UnknownReference, "/lines/0/account"),
        (invoice_input(books.customer, line(description=None)), Invalid, "/lines/0/description"),
    ]
    for data, error, pointer in cases:
        with pytest.raises(error) as refused:
            await books.run(create_invoice, data)
        assert getattr(refused.value, "pointer", None) == pointer
    with pytest.raises(NotFound):
        await books.run(post_invoice, new_id())


async def test_if_match_guards_a_draft(books: Books) -> None:
    draft = await books.run(create_invoice, invoice_input(books.customer))

    async def post_seen(work: UnitOfWork, version: int) -> InvoiceView:
        work.expected_version = version
        return await post_invoice(work, draft.id)

    with pytest.raises(VersionConflict):
        await books.run(post_seen, 7)
    assert (await books.run(post_seen, 1)).state == "posted"


async def test_a_late_invoice_keeps_its_date_and_is_booked_on_the_first_open_day(books: Books) -> None:
    march = await books.period(MARCH)
    await books.run(close_period, march.id, ClosePeriodInput(reason="Done"))
    invoice = await posted(books)
    assert (invoice.date, invoice.accounting_date, invoice.date_shifted) == (MARCH, date(2026, 4, 1), True)
    draft = await books.run(create_invoice, invoice_input(books.customer))
    with pytest.raises(PeriodClosed):
        await books.run(post_invoice, draft.id, PostInvoiceInput(strict_date=True))
    assert await books.evidence(*PROOF) == {}


async def test_an_invoice_free_of_charge_is_numbered_but_books_nothing(books: Books) -> None:
    invoice = await posted(books, line("1", "0"))
    assert (invoice.number, invoice.entry_id, invoice.payment_state) == ("INV-2026-000001", None, "paid")
    assert await books.balances() == {}
    assert await books.evidence(*PROOF) == {}


async def test_tax_in_the_prices_and_rounding_follow_the_tenants_settings(books: Books) -> None:
    gross = books.with_settings({"sales.prices_include_tax": True, "sales.tax_rounding": "document"})
    invoice = await posted(gross, line("1", "9.99"), line("1", "9.99"), line("1", "9.99"))
    assert (invoice.net, invoice.tax, invoice.gross) == ("24.98", "4.99", "29.97")
    assert (invoice.prices_include_tax, invoice.tax_rounding) == (True, "document")
    assert await books.evidence(*PROOF) == {}


#: Behind the application's back: an order as invoices refer to it.
_ORDER = (
    "INSERT INTO sales_orders (tenant_id, id, number, state, party_id, location_id, date, currency,"
    " prices_include_tax, tax_rounding, payment_terms_days, net, tax, gross, line_count)"
    " VALUES (%s, %s, 'SO-1', 'confirmed', %s, gen_random_uuid(), '2026-03-10', 'GBP', false, 'line', 0, 0, 0, 0, 1)"
)


async def test_an_invoice_belongs_to_an_order_of_its_own_tenant(books: Books) -> None:
    order = new_id()
    books.tamper(_ORDER, new_id(), order, books.customer)  # another tenant's
    sold = NewInvoiceLine(
        product_id=None, description="Widget", quantity=Decimal(2), unit_price=Decimal(1), tax_rate=Decimal(0)
    )

    async def draft(work: UnitOfWork, order_id: UUID) -> InvoiceView:
        return save_draft(work, NewInvoice(party_id=books.customer, date=MARCH, lines=[sold], order_id=order_id))

    for stranger in (order, new_id()):
        with pytest.raises(UnknownReference):
            await books.run(draft, stranger)
    books.tamper(_ORDER, books.caller.tenant.id, order, books.customer)
    assert (await books.run(draft, order)).order_id == order


async def test_another_slice_saves_its_invoice_in_its_own_transaction(books: Books) -> None:
    order, order_line = new_id(), new_id()
    books.tamper(_ORDER, books.caller.tenant.id, order, books.customer)
    sold = NewInvoiceLine(
        product_id=None, description="Widget", quantity=Decimal(2), unit_price=Decimal("9.995"),
        tax_rate=Decimal(20), source_line_id=order_line,
    )  # fmt: skip
    new = NewInvoice(party_id=books.customer, date=MARCH, lines=[sold], order_id=order, payment_terms_days=14)

    async def deliver_and_invoice(work: UnitOfWork) -> InvoiceView:
        periods, roles = await work.load(*ledger_loads(MARCH))
        ledger = open_ledger(periods, roles, MARCH)
        booked, lines = book_document(work, ledger, new)
        [number] = await take(work, ledger.date, "invoice")
        row = post_document(work, ledger, booked, number)
        return invoice_view(row, lines, row.gross)

    invoice, counted = await books.counted(deliver_and_invoice)
    assert counted.postgres == 3
    assert (invoice.gross, invoice.due_date, invoice.order_id) == ("23.99", date(2026, 3, 24), order)

    async def draft_the_rest(work: UnitOfWork) -> InvoiceView:
        return save_draft(work, NewInvoice(party_id=books.customer, date=MARCH, lines=[sold], order_id=order))

    draft = await books.run(draft_the_rest)
    [row] = await books.rows(invoiced_lines(order))
    assert row == (order_line, Decimal(4), Decimal(0))
    with pytest.raises(InvalidState):
        await books.run(update_draft, draft.id, UpdateInvoiceInput(date=MARCH, lines=[line()]))
    await books.run(cancel_draft, draft.id, CancelInvoiceInput(reason="Not yet"))
    [row] = await books.rows(invoiced_lines(order))
    assert row == (order_line, Decimal(2), Decimal(0))
    assert await books.evidence(*PROOF) == {}


async def test_an_overdue_invoice_is_noted_once_however_often_the_job_runs(books: Books) -> None:
    overdue = [await posted(books, on=date(2026, 1, day)) for day in (5, 6, 7)]
    await posted(books, on=date(2026, 12, 30))

    async def note(work: UnitOfWork) -> int:
        work.now = work.now.replace(year=2026, month=8, day=1)
        return await note_overdue_invoices(work, 2)

    noted = sum(await asyncio.gather(*(books.run(note) for _ in range(4))))
    while found := await books.run(note):
        noted += found
    assert noted == len(overdue)
    told = await books.rows(
        Bound(
            "SELECT data->>'number', data->>'open_amount' FROM events WHERE tenant_id = %(tenant_id)s"
            " AND type = 'invoice.overdue' ORDER BY 1", {}, None, True,
        )
    )  # fmt: skip
    assert told == [(one.number, "120.00") for one in overdue]


@pytest.mark.parametrize(
    ("column", "value", "broken"),
    [
        ("gross", "gross + 1", {"invoice-totals", "invoices-booked", "invoice-open-items"}),
        ("tax", "tax - 1", {"invoice-totals", "invoices-booked"}),
        ("number", "'INV-2026-000009'", {"invoice-numbers", "invoice-entries"}),
        ("party_id", "id", {"invoice-open-items"}),
        ("entry_id", "NULL", {"invoices-booked", "invoice-entries"}),
        ("line_count", "2", {"invoice-totals"}),
    ],
)
async def test_the_proof_names_a_corrupted_invoice(books: Books, column: str, value: str, broken: set[str]) -> None:
    invoice = await posted(books)
    with psycopg.connect(books.superuser_url, autocommit=True) as connection:
        connection.execute("ALTER TABLE invoices DROP CONSTRAINT IF EXISTS invoices_total_check")
        try:
            books.tamper(f"UPDATE invoices SET {column} = {value} WHERE id = %s", invoice.id)
        finally:
            books_sum = "CHECK (gross = net + tax AND gross >= 0 AND gross < 'Infinity') NOT VALID"
            connection.execute(f"ALTER TABLE invoices ADD CONSTRAINT invoices_total_check {books_sum}")
    evidence = await books.evidence(*PROOF)
    assert set(evidence) == broken
    if column != "number":
        assert str(invoice.id) in {row.id for rows in evidence.values() for row in rows}
