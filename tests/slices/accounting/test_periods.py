"""Periods: opened, closed, reopened; nothing is ever posted into a closed one, whatever happens at once."""

import asyncio
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import Date, bindparam, cast, literal, select

from db.errors import DomainError
from db.identifiers import new_id
from db.statement import TENANT, Bound, Statement
from erp.accounting.errors import NoOpenPeriod, PeriodClosed
from erp.accounting.models import periods
from erp.accounting.posting import Posting, ledger_loads, open_ledger, save_entry
from erp.accounting.proof import CHECKS
from erp.accounting.repository import PeriodRow
from erp.accounting.schemas import (
    ClosePeriodInput,
    CreateEntryInput,
    CreatePeriodsInput,
    EntryLineInput,
    ReopenPeriodInput,
)
from erp.accounting.service import close_period, create_entry, create_periods, reopen_period, snapshot_balances
from erp.kernel.errors import InvalidState, NotFound
from tenancy.work import UnitOfWork
from tests.slices.accounting.books import Books

MARCH = date(2026, 3, 10)
SOFT, HARD = ClosePeriodInput(reason="Done"), ClosePeriodInput(reason="Filed", state="closed")
AGAIN = ReopenPeriodInput(reason="A late bill")


def sale(on: date = MARCH, amount: str = "10.00", *, strict: bool = False) -> CreateEntryInput:
    lines = [EntryLineInput(account="@bank", debit=amount), EntryLineInput(account="4900", credit=amount)]
    return CreateEntryInput(date=on, lines=lines, strict_date=strict)


async def test_a_soft_closed_period_opens_again_a_closed_one_never(books: Books) -> None:
    march = await books.period(MARCH)
    assert (await books.run(close_period, march.id, SOFT)).state == "soft_closed"
    reopened = await books.run(reopen_period, march.id, AGAIN)
    assert (reopened.state, reopened.reason, reopened.version) == ("open", "A late bill", 3)
    assert (await books.run(close_period, march.id, HARD)).state == "closed"
    for command, data in ((reopen_period, AGAIN), (close_period, SOFT), (close_period, HARD)):
        with pytest.raises(InvalidState) as refused:
            await books.run(command, march.id, data)
        assert refused.value.facts["allowed"] == []
    with pytest.raises(NotFound):
        await books.run(close_period, new_id(), SOFT)


async def test_existing_months_are_left_as_they_are(books: Books) -> None:
    made = await books.run(create_periods, CreatePeriodsInput(first_month=date(2026, 11, 20), months=4))
    assert [one.start_date for one in made.data] == [date(2027, 1, 1), date(2027, 2, 1)]
    assert [one.end_date for one in made.data] == [date(2027, 1, 31), date(2027, 2, 28)]
    assert made.id == (await books.period(date(2026, 11, 1))).id, "the first month's, though it was there"
    again = await books.run(create_periods, CreatePeriodsInput(first_month=date(2027, 1, 1), months=2))
    assert (again.id, again.data) == (made.data[0].id, [])


async def test_nothing_is_posted_when_every_later_period_is_closed(books: Books) -> None:
    december = await books.period(date(2026, 12, 1))
    await books.run(close_period, december.id, SOFT)
    with pytest.raises(NoOpenPeriod):
        await books.run(create_entry, sale(date(2026, 12, 5)))


async def test_closing_leaves_one_event_for_the_snapshot_and_reopening_drops_it(books: Books) -> None:
    await books.run(create_entry, sale())
    await books.run(create_entry, sale(date(2026, 4, 1), "7.00"))
    march = await books.period(MARCH)
    assert await books.run(snapshot_balances, march.id) is False
    await books.run(close_period, march.id, SOFT)
    told: Bound[Any] = Bound(
        "SELECT type, aggregate_id FROM events WHERE tenant_id = %(tenant_id)s AND aggregate_type = 'period'",
        {}, None, True,
    )  # fmt: skip
    assert await books.rows(told) == [("period.soft_closed", march.id)]
    jobs: Bound[Any] = Bound("SELECT kind FROM jobs WHERE tenant_id = %(tenant_id)s", {}, None, True)
    assert await books.rows(jobs) == [], "the relay makes the job of the event"
    before = await books.balances()
    assert await books.run(snapshot_balances, march.id) is True
    assert (await books.period(MARCH)).snapshot_at is not None
    assert await books.balances() == before == {"1010": Decimal(17), "4900": Decimal(-17)}
    assert await books.balances(date(2026, 3, 31)) == {"1010": Decimal(10), "4900": Decimal(-10)}
    assert await books.balances(date(2026, 3, 9)) == {}
    assert await books.evidence(*CHECKS) == {}
    await books.run(reopen_period, march.id, AGAIN)
    await books.run(create_entry, sale(amount="5.00"))
    assert await books.balances(date(2026, 3, 31)) == {"1010": Decimal(15), "4900": Decimal(-15)}
    assert await books.evidence(*CHECKS) == {}


async def test_a_snapshot_is_used_and_a_wrong_one_is_named_by_the_proof(books: Books) -> None:
    await books.run(create_entry, sale())
    march = await books.period(MARCH)
    await books.run(close_period, march.id, SOFT)
    await books.run(snapshot_balances, march.id)
    books.tamper("UPDATE balance_snapshots SET debit = 11 WHERE period_id = %s AND account_code = '1010'", march.id)
    assert (await books.balances())["1010"] == Decimal(11)
    assert list(await books.evidence(*CHECKS)) == ["snapshots"]


# -- at the same time ----------------------------------------------------------------------------


async def test_closing_waits_for_a_posting_that_began_before(books: Books) -> None:
    march = await books.period(MARCH)
    loaded, go_on = asyncio.Event(), asyncio.Event()

    async def slow_posting(work: UnitOfWork) -> date:
        rows, roles = await work.load(*ledger_loads(MARCH))
        ledger = open_ledger(rows, roles, MARCH)
        loaded.set()
        await go_on.wait()
        return _save(work, ledger)

    posting = asyncio.create_task(books.run(slow_posting))
    await loaded.wait()
    closing = asyncio.create_task(books.run(close_period, march.id, HARD))
    await books.until_blocked()
    assert not closing.done()
    go_on.set()
    assert await posting == MARCH
    assert (await closing).state == "closed"


async def test_a_posting_that_waited_for_the_closing_goes_to_the_next_open_period(books: Books) -> None:
    march = await books.period(MARCH)
    closed, go_on = asyncio.Event(), asyncio.Event()

    async def slow_closing(work: UnitOfWork) -> None:
        await close_period(work, march.id, HARD)
        await work.load(Bound("SELECT 1", {}))
        closed.set()
        await go_on.wait()

    closing = asyncio.create_task(books.run(slow_closing))
    await closed.wait()
    late = asyncio.create_task(books.run(create_entry, sale()))
    strict = asyncio.create_task(books.run(create_entry, sale(strict=True)))
    await books.until_blocked(2)
    go_on.set()
    await closing
    assert (await late).date == date(2026, 4, 1)
    with pytest.raises(PeriodClosed):
        await strict


async def test_postings_around_a_closing_land_before_it_or_are_refused(books: Books) -> None:
    march = await books.period(MARCH)
    posted_before = await books.run(create_entry, sale(strict=True))

    async def attempt(number: int) -> object:
        try:
            if number == 15:
                return await books.run(close_period, march.id, HARD)
            return await books.run(create_entry, sale(strict=True))
        except DomainError as refusal:
            return refusal

    outcomes = await asyncio.gather(*(attempt(number) for number in range(30)))
    refused = [one for one in outcomes if isinstance(one, DomainError)]
    assert {type(one) for one in refused} <= {PeriodClosed}
    landed = 29 - len(refused)
    balances = await books.balances(date(2026, 3, 31))
    assert balances["1010"] == Decimal(10) * (landed + 1)
    assert posted_before.period_id == march.id
    assert await books.evidence(*CHECKS) == {}


async def test_a_closing_is_not_overtaken_for_ever_by_steady_posting(books: Books) -> None:
    march = await books.period(MARCH)
    done = asyncio.Event()

    async def keep_posting() -> list[date]:
        dates = []
        while not done.is_set():
            dates.append((await books.run(create_entry, sale())).date)
        return dates

    posters = [asyncio.create_task(keep_posting()) for _ in range(12)]
    await books.until_blocked(6)
    try:
        await books.run(close_period, march.id, HARD)
    finally:
        done.set()
    dates = [day for days in await asyncio.gather(*posters) for day in days]
    assert set(dates) == {MARCH, date(2026, 4, 1)}
    assert await books.evidence(*CHECKS) == {}


#: A planted mistake: the period is read without its lock.
_UNLOCKED: Statement[PeriodRow] = Statement(
    select(periods.c.id, periods.c.start_date, periods.c.end_date, literal(True))
    .where(periods.c.tenant_id == TENANT, periods.c.start_date <= cast(bindparam("on"), Date))
    .order_by(periods.c.start_date.desc())
    .limit(1),
    PeriodRow,
)


async def test_a_posting_that_forgot_the_lock_is_refused_by_the_database(books: Books) -> None:
    march = await books.period(MARCH)
    read, go_on = asyncio.Event(), asyncio.Event()

    async def careless(work: UnitOfWork) -> date:
        rows, roles = await work.load(_UNLOCKED(on=MARCH), ledger_loads(MARCH)[1])
        ledger = open_ledger(rows, roles, MARCH)
        read.set()
        await go_on.wait()
        return _save(work, ledger)

    posting = asyncio.create_task(books.run(careless))
    await read.wait()
    await books.run(close_period, march.id, HARD)
    go_on.set()
    with pytest.raises(PeriodClosed):
        await posting
    assert await books.balances() == {}


def _save(work: UnitOfWork, ledger: Any) -> date:
    postings = [Posting("@bank", Decimal(3)), Posting("4900", Decimal(-3))]
    number = str(new_id())
    save_entry(
        work, ledger, entry_id=new_id(), number=number, journal="bank", postings=postings, source_type="test",
        source_id=new_id(),
    )  # fmt: skip
    day: date = ledger.date
    return day
