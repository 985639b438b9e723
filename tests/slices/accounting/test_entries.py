"""Entries by hand: balanced, on accounts open to hands, reversed once, never changed."""

from collections.abc import Callable
from datetime import date
from decimal import Decimal
from uuid import UUID

import psycopg
import pytest

from db.errors import UnknownReference
from db.identifiers import new_id
from db.statement import Bound
from erp.accounting.errors import (
    AccountInactive,
    AccountInUse,
    ControlAccount,
    EntryOfDocument,
    EntryReversed,
    EntryTooShort,
    EntryUnbalanced,
    NoPeriod,
    PeriodClosed,
    ReversalTooEarly,
)
from erp.accounting.facts import named_accounts
from erp.accounting.posting import Posting, ledger_loads, open_ledger, save_entry
from erp.accounting.proof import CHECKS
from erp.accounting.repository import ENTRY
from erp.accounting.schemas import (
    ClosePeriodInput,
    CreateAccountInput,
    CreateEntryInput,
    EntryLineInput,
    ReverseEntryInput,
    UpdateAccountInput,
)
from erp.accounting.service import close_period, create_account, create_entry, reverse_entry, update_account
from erp.kernel.errors import Invalid, InvalidAmount, NotFound
from tenancy.work import UnitOfWork
from tests.slices.accounting.books import Books

MARCH = date(2026, 3, 10)
ACCOUNTS_OF_BANK: Bound[tuple[UUID]] = Bound(
    "SELECT id FROM accounts WHERE tenant_id = %(tenant_id)s AND code = '1010'", {}, None, True
)


def rent(amount: str = "100.00", on: date = MARCH, **fields: object) -> CreateEntryInput:
    lines = [EntryLineInput(account="6200", debit=amount), EntryLineInput(account="@bank", credit=amount)]
    return CreateEntryInput(date=on, lines=lines, **fields)  # type: ignore[arg-type]


async def test_an_entry_moves_its_accounts_and_gets_a_number(books: Books) -> None:
    entry = await books.run(create_entry, rent(text="March rent"))
    assert entry.number == "JE-2026-000001"
    assert (entry.total, entry.date_shifted, entry.version) == ("100.00", False, 1)
    assert [(line.account, line.debit, line.credit) for line in entry.lines] == [
        ("6200", "100.00", "0.00"), ("1010", "0.00", "100.00"),
    ]  # fmt: skip
    assert await books.balances() == {"1010": Decimal("-100.00"), "6200": Decimal("100.00")}
    assert await books.evidence(*CHECKS) == {}


async def test_an_entry_takes_three_round_trips(books: Books) -> None:
    _, counted = await books.counted(create_entry, rent())
    assert counted.postgres <= 3


async def test_an_unbalanced_entry_is_refused_before_it_reaches_the_database(books: Books) -> None:
    lines = [EntryLineInput(account="6200", debit="10.00"), EntryLineInput(account="@bank", credit="9.99")]
    with pytest.raises(EntryUnbalanced) as refused:
        await books.run(create_entry, CreateEntryInput(date=MARCH, lines=lines))
    assert refused.value.facts["difference"] == "0.01"


@pytest.mark.parametrize(
    ("line", "error"),
    [
        (EntryLineInput(account="6200", debit="10.00", credit="10.00"), Invalid),
        (EntryLineInput(account="6200"), Invalid),
        (EntryLineInput(account="6200", debit="10.001"), InvalidAmount),
        (EntryLineInput(account="nowhere", debit="10.00"), UnknownReference),
        (EntryLineInput(account="@nothing", debit="10.00"), UnknownReference),
        (EntryLineInput(account="@receivables", debit="10.00"), ControlAccount),
        (EntryLineInput(account="1200", debit="10.00"), ControlAccount),
    ],
)
async def test_a_line_that_cannot_be_booked_by_hand_is_refused(
    books: Books, line: EntryLineInput, error: type[Exception]
) -> None:
    lines = [line, EntryLineInput(account="@bank", credit="10.00")]
    with pytest.raises(error) as refused:
        await books.run(create_entry, CreateEntryInput(date=MARCH, lines=lines))
    assert str(getattr(refused.value, "pointer", "")).startswith("/lines/0")


async def test_an_inactive_account_takes_no_entries(books: Books) -> None:
    account = await books.run(create_account, CreateAccountInput(code="6999", name="Gifts", type="expense"))
    await books.run(update_account, account.id, UpdateAccountInput(active=False))
    lines = [EntryLineInput(account="6999", debit="5.00"), EntryLineInput(account="@bank", credit="5.00")]
    with pytest.raises(AccountInactive):
        await books.run(create_entry, CreateEntryInput(date=MARCH, lines=lines))


async def test_an_entry_of_a_late_document_moves_to_the_first_open_day_and_says_so(books: Books) -> None:
    [period] = await books.rows(ledger_loads(MARCH)[0])
    await books.run(close_period, period.id, ClosePeriodInput(reason="March is done"))
    entry = await books.run(create_entry, rent())
    assert (entry.document_date, entry.date, entry.date_shifted) == (MARCH, date(2026, 4, 1), True)
    with pytest.raises(PeriodClosed) as refused:
        await books.run(create_entry, rent(strict_date=True))
    assert refused.value.facts == {"date": "2026-03-10", "first_open_date": "2026-04-01"}
    assert await books.evidence(*CHECKS) == {}


async def test_a_date_no_period_was_opened_for_is_refused(books: Books) -> None:
    with pytest.raises(NoPeriod):
        await books.run(create_entry, rent(on=date(1926, 3, 10)))


async def test_a_reversal_is_the_opposite_linked_both_ways(books: Books) -> None:
    entry = await books.run(create_entry, rent())
    reversal = await books.run(reverse_entry, entry.id, ReverseEntryInput(reason="Paid twice", date=date(2026, 4, 2)))
    assert reversal.reverses_id == entry.id
    [original] = await books.rows(ENTRY(id=entry.id))
    assert original.reversed_by_id == reversal.id
    assert set((await books.balances()).values()) == {Decimal(0)}
    assert await books.evidence(*CHECKS) == {}


async def test_reversing_twice_is_refused(books: Books) -> None:
    entry = await books.run(create_entry, rent())
    again = ReverseEntryInput(reason="Once more", date=date(2026, 4, 2))
    reversal = await books.run(reverse_entry, entry.id, again)
    for target in (entry.id, reversal.id):
        with pytest.raises(EntryReversed):
            await books.run(reverse_entry, target, again)
    with pytest.raises(NotFound):
        await books.run(reverse_entry, new_id(), again)


async def test_a_reversal_is_not_dated_before_its_entry(books: Books) -> None:
    entry = await books.run(create_entry, rent())
    with pytest.raises(ReversalTooEarly):
        await books.run(reverse_entry, entry.id, ReverseEntryInput(reason="Early", date=date(2026, 2, 1)))


async def test_the_entry_of_a_document_is_reversed_with_its_document_only(books: Books) -> None:
    entry_id = new_id()
    await books.run(post, [Posting("@cogs", Decimal(5)), Posting("@bank", Decimal(-5))], "DN-1", "delivery", entry_id)
    with pytest.raises(EntryOfDocument):
        await books.run(reverse_entry, entry_id, ReverseEntryInput(reason="By hand", date=date(2026, 4, 2)))


async def post(
    work: UnitOfWork, postings: list[Posting], number: str, source: str = "test", entry_id: object = None
) -> None:
    periods, roles = await work.load(*ledger_loads(MARCH))
    save_entry(
        work, open_ledger(periods, roles, MARCH), entry_id=entry_id or new_id(),  # type: ignore[arg-type]
        number=number, journal="general", postings=postings, source_type=source, source_id=new_id(),
    )  # fmt: skip


async def test_posting_refuses_one_line_and_unequal_sides(books: Books) -> None:
    with pytest.raises(EntryTooShort):
        await books.run(post, [Posting("@bank", Decimal(1))], "X-1")
    with pytest.raises(EntryUnbalanced):
        await books.run(post, [Posting("@bank", Decimal(1)), Posting("@cash", Decimal("-0.5"))], "X-2")
    with pytest.raises(EntryUnbalanced):
        await books.run(post, [Posting("@bank", Decimal("NaN")), Posting("@cash", Decimal("NaN"))], "X-3")
    with pytest.raises(ValueError, match="rounded"):
        await books.run(post, [Posting("@bank", Decimal("0.005")), Posting("@cash", Decimal("-0.005"))], "X-4")


async def test_a_role_without_an_account_is_named(books: Books) -> None:
    [found] = await books.rows(named_accounts(["@bank"]))
    assert found.roles == ["bank"]
    with pytest.raises(UnknownReference):
        await books.run(post, [Posting("7777", Decimal(1)), Posting("@bank", Decimal(-1))], "X-5")


class Forged:
    """Rows written past the application, as its own database role could write them."""

    def __init__(self, books: Books, period: UUID) -> None:
        self.tenant, self.period, self.id = books.caller.tenant.id, period, new_id()

    def head(self, on: str = "2026-03-10", count: int = 2, journal: str = "general") -> str:
        return (
            "INSERT INTO journal_entries (tenant_id, id, number, journal, period_id, date, document_date,"
            " source_type, source_id, line_count, created_by)"
            f" VALUES ('{self.tenant}', '{self.id}', '{self.id}', '{journal}', '{self.period}', '{on}',"
            f" '2026-03-10', 'x', '{self.tenant}', {count}, '{self.tenant}')"
        )

    def line(
        self, no: int, amount: str, *, base: str | None = None, account: str = "1010", currency: str = "GBP"
    ) -> str:
        return (
            "INSERT INTO journal_lines (tenant_id, entry_id, line_no, date, account_code, amount, currency, rate,"
            f" base_amount) VALUES ('{self.tenant}', '{self.id}', {no}, '2026-03-10', '{account}', '{amount}',"
            f" '{currency}', 1, '{base or amount}')"
        )


def execute(books: Books, *statements: str) -> None:
    with psycopg.connect(books.superuser_url) as connection:
        for statement in statements:
            connection.execute(statement)


@pytest.mark.parametrize(
    ("constraint", "script"),
    [
        ("journal_entries_balanced", lambda f: [f.head(), f.line(1, "10"), f.line(2, "-9")]),
        ("journal_entries_balanced", lambda f: [f.head(), f.line(1, "10", base="9"), f.line(2, "-9")]),
        ("journal_entries_balanced", lambda f: [f.head(), f.line(1, "10", currency="EUR"), f.line(2, "-10")]),
        ("journal_lines_complete", lambda f: [f.head(count=3), f.line(1, "10"), f.line(2, "-10")]),
        ("journal_lines_complete", lambda f: [f.head()]),
        ("journal_lines_complete", lambda f: [f.head(), f.line(1, "10"), f.line(3, "-10")]),
        ("journal_lines_complete", lambda f: [f.line(1, "10"), f.line(3, "-10"), f.head()]),
        ("journal_lines_complete", lambda f: [f.line(1, "10"), f.line(2, "-10"), f.head(on="2026-03-11")]),
        ("journal_lines_entry_fkey", lambda f: [f.line(1, "10"), f.line(2, "-10")]),
        ("journal_entries_two_lines", lambda f: [f.head(count=1)]),
        ("journal_lines_amount_check", lambda f: [f.head(), f.line(1, "NaN"), f.line(2, "NaN")]),
        ("journal_lines_amount_check", lambda f: [f.head(), f.line(1, "Infinity"), f.line(2, "-Infinity")]),
        ("journal_lines_amount_check", lambda f: [f.head(), f.line(1, "0"), f.line(2, "0")]),
        ("journal_lines_account", lambda f: [f.head(), f.line(1, "10", account="none"), f.line(2, "-10")]),
        ("journal_entries_journal", lambda f: [f.head(journal="none")]),
        ("journal_entries_open_period", lambda f: [f.head(on="2026-04-10")]),
    ],
)
async def test_the_database_itself_refuses_what_the_ledger_must_not_hold(
    books: Books, constraint: str, script: Callable[[Forged], list[str]]
) -> None:
    [period] = await books.rows(ledger_loads(MARCH)[0])
    with pytest.raises(psycopg.IntegrityError) as refused:
        execute(books, *script(Forged(books, period.id)))
    assert refused.value.diag.constraint_name == constraint


async def test_a_committed_entry_can_neither_be_changed_nor_extended(books: Books) -> None:
    entry = await books.run(create_entry, rent())
    where = f"tenant_id = '{books.caller.tenant.id}'"
    for table in ("journal_entries", "journal_lines"):
        for statement in (f"UPDATE {table} SET text = 'x' WHERE {where}", f"DELETE FROM {table} WHERE {where}"):
            with pytest.raises(psycopg.errors.RestrictViolation):
                execute(books, statement)
    forged = Forged(books, entry.period_id)
    forged.id = entry.id
    with pytest.raises(psycopg.errors.CheckViolation):
        execute(books, forged.line(3, "5"), forged.line(4, "-5"))


async def test_accounts_are_never_removed_or_renumbered(books: Books) -> None:
    where = f"WHERE tenant_id = '{books.caller.tenant.id}' AND code = '6200'"
    for statement in (f"DELETE FROM accounts {where}", f"UPDATE accounts SET code = '6201' {where}"):
        with pytest.raises(psycopg.errors.RestrictViolation):
            execute(books, statement)


async def test_an_account_a_role_needs_stays_active(books: Books) -> None:
    [row] = await books.rows(ACCOUNTS_OF_BANK)
    with pytest.raises(AccountInUse):
        await books.run(update_account, row[0], UpdateAccountInput(active=False))
