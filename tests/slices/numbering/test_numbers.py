"""Numbers: no gap and no duplicate however many take them; references: unique, in blocks."""

import asyncio
from datetime import UTC, date, datetime

import pytest
from sqlalchemy import false, select

from erp.accounting.proof_check import check
from erp.numbering.audit import number_audit
from erp.numbering.models import number_voids
from erp.numbering.references import BLOCK, Blocks
from erp.numbering.repository import ADVANCE
from erp.numbering.series import NUMBERS, REFERENCES, written
from erp.numbering.service import take, void
from tenancy.work import UnitOfWork
from tests.slices.accounting.books import Books

DAY = date(2026, 5, 4)


async def one(work: UnitOfWork, *series: str, on: date = DAY) -> list[str]:
    return await take(work, on, *(series or ("invoice",)))


async def test_a_series_starts_at_one_and_counts_per_year(books: Books) -> None:
    assert await books.run(one) == ["INV-2026-000001"]
    assert await books.run(one) == ["INV-2026-000002"]

    async def next_year(work: UnitOfWork) -> list[str]:
        return await one(work, on=date(2027, 1, 1))

    assert await books.run(next_year) == ["INV-2027-000001"]


async def test_several_series_are_taken_in_one_flush_in_the_order_asked(books: Books) -> None:
    numbers, counted = await books.counted(one, "payment", "delivery", "invoice", "invoice")
    assert numbers == ["PAY-2026-000001", "DN-2026-000001", "INV-2026-000001", "INV-2026-000002"]
    assert counted.postgres == 2  # BEGIN and the numbers; COMMIT


async def test_every_series_has_a_prefix_of_its_own() -> None:
    prefixes = [*NUMBERS.values(), *REFERENCES.values()]
    assert len(set(prefixes)) == len(prefixes)


async def test_a_number_longer_than_its_width_is_written_in_full() -> None:
    assert written("INV", 2026, 12_345_678) == "INV-2026-12345678"


async def test_a_rollback_gives_its_number_back(books: Books) -> None:
    class Refused(Exception):
        pass

    async def refused(work: UnitOfWork) -> None:
        await one(work)
        raise Refused

    for _ in range(3):
        with pytest.raises(Refused):
            await books.run(refused)
    assert await books.run(one) == ["INV-2026-000001"]


async def test_forty_at_once_and_half_of_them_refused_leave_no_gap(books: Books) -> None:
    class Refused(Exception):
        pass

    async def attempt(work: UnitOfWork, fails: bool) -> str:
        [number] = await one(work)
        if fails:
            raise Refused
        return number

    outcomes = await asyncio.gather(
        *(books.run(attempt, index % 2 == 0) for index in range(40)), return_exceptions=True
    )
    numbers = sorted(outcome for outcome in outcomes if isinstance(outcome, str))
    assert numbers == [written("INV", 2026, number) for number in range(1, 21)]


async def test_series_taken_in_opposite_orders_do_not_deadlock(books: Books) -> None:
    pairs = [("invoice", "delivery"), ("delivery", "invoice")] * 10
    taken = await asyncio.gather(*(books.run(one, *pair) for pair in pairs))
    assert len({number for numbers in taken for number in numbers}) == 40


async def test_who_comes_to_a_series_first_is_served_first(books: Books) -> None:
    """The row alone would go to any of those who wait for it."""
    waiting: list[asyncio.Task[list[str]]] = []

    async def hold(work: UnitOfWork) -> None:
        await one(work)
        for place in range(8):
            waiting.append(asyncio.create_task(books.run(one)))
            await books.until_blocked(place + 1)

    for _ in range(3):
        await books.run(hold)
    numbers = [number for [number] in await asyncio.gather(*waiting)]
    assert numbers == sorted(numbers)
    assert len(numbers) == 24


# -- the audit -------------------------------------------------------------------------------------

AUDIT = check("test", "", number_audit("invoice", select(number_voids.c.reason.label("number")).where(false())))


async def test_the_audit_names_a_missing_number_and_accepts_a_voided_one(books: Books) -> None:
    await books.run(one)
    await books.run(one)
    found = await books.rows(AUDIT.statement())
    assert [(row.id, row.expected, row.found) for row in found] == [
        ("INV-2026-000001", "used 1", "used 0"),
        ("INV-2026-000002", "used 1", "used 0"),
    ]

    async def give_up(work: UnitOfWork) -> None:
        void(work, "invoice", 2026, 1, "Printed on the wrong form")

    await books.run(give_up)
    assert [row.id for row in await books.rows(AUDIT.statement())] == ["INV-2026-000002"]


async def test_the_audit_names_a_number_used_twice_and_one_never_given(books: Books) -> None:
    used = ["INV-2026-000001", "INV-2026-000001", "INV-2026-000009"]
    await books.run(one)

    async def forge(work: UnitOfWork) -> None:
        await work.load(ADVANCE(year=2026, series=["x"], prefixes=["X"], counts=[3]))
        for number, text in enumerate(used, start=1):
            void(work, "x", 2026, number, text)

    await books.run(forge)
    documents = select(number_voids.c.reason.label("number")).where(number_voids.c.series == "x")
    audit = check("test", "", number_audit("invoice", documents))
    found = {(row.id, row.expected, row.found) for row in await books.rows(audit.statement())}
    assert found == {("INV-2026-000001", "used 1", "used 2"), ("INV-2026-000009", "used 0", "used 1")}


# -- references ------------------------------------------------------------------------------------


async def test_references_are_unique_and_cost_one_transaction_a_block(books: Books) -> None:
    blocks, year = Blocks(), datetime.now(UTC).year

    async def reference(work: UnitOfWork) -> str:
        return await blocks.next(work, "sales_order")

    first, counted = await books.counted(reference)
    assert counted.postgres == 2
    second, counted = await books.counted(reference)
    assert counted.postgres == 0
    rest = await asyncio.gather(*(books.run(reference) for _ in range(2 * BLOCK)))
    assert [first, second] == [written("SO", year, 1), written("SO", year, 2)]
    assert len({first, second, *rest}) == 2 * BLOCK + 2


async def test_two_processes_never_hand_out_the_same_reference(books: Books) -> None:
    one_process, another = Blocks(5), Blocks(5)

    async def reference(work: UnitOfWork, blocks: Blocks) -> str:
        return await blocks.next(work, "purchase_order")

    turns = [blocks for _ in range(12) for blocks in (one_process, another)]
    taken = await asyncio.gather(*(books.run(reference, blocks) for blocks in turns))
    assert len(set(taken)) == 24
