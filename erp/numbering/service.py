"""Document numbers: gap-less ones taken at posting, references handed out in blocks."""

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import date

from db.statement import Bound
from erp.numbering.references import blocks
from erp.numbering.repository import ADD_VOID, ADVANCE, Taken
from erp.numbering.series import NUMBERS, written
from tenancy.work import UnitOfWork

__all__ = ["reference", "take", "take_dated", "void"]


async def take(work: UnitOfWork, on: date, *series: str) -> list[str]:
    """The next number of every named series for the year of `on`, in the order asked.

    One flush. The series rows stay locked until the transaction ends, so take numbers last: after every
    other lock and after every decision that may refuse. A rollback gives the numbers back.
    """
    [rows] = await work.load(_advance(on.year, series))
    given = _given(on.year, series, rows)
    return [next(given[name]) for name in series]


async def take_dated(work: UnitOfWork, *wanted: tuple[date, str]) -> list[str]:
    """The same for series of several dates, whose years may differ: (date, series), in the order asked."""
    years: dict[int, list[str]] = {}
    for on, name in wanted:
        years.setdefault(on.year, []).append(name)
    # Earlier years first: whoever locks rows of several years locks them in this order.
    ordered = sorted(years)
    found = await work.load(*(_advance(year, years[year]) for year in ordered))
    given = {year: _given(year, years[year], rows) for year, rows in zip(ordered, found, strict=True)}
    return [next(given[on.year][name]) for on, name in wanted]


def _advance(year: int, series: Sequence[str]) -> Bound[Taken]:
    wanted = sorted(Counter(series).items())
    return ADVANCE(
        year=year,
        series=[name for name, _ in wanted],
        prefixes=[NUMBERS[name] for name, _ in wanted],
        counts=[count for _, count in wanted],
    )


def _given(year: int, series: Sequence[str], rows: Sequence[Taken]) -> dict[str, Iterator[str]]:
    """Series -> its numbers, as they are written, one after the other."""
    counts = Counter(series)
    return {
        row.series: iter(
            [
                written(row.prefix, year, number)
                for number in range(row.last_number - counts[row.series] + 1, row.last_number + 1)
            ]
        )
        for row in rows
    }


async def reference(work: UnitOfWork, series: str) -> str:
    """The next reference of `sales_order` or `purchase_order`: unique, gaps allowed, no hot row.

    Call it before the command's first load: once in fifty calls it opens a transaction of its own.
    """
    return await blocks.next(work, series)


def void(work: UnitOfWork, series: str, year: int, number: int, reason: str) -> None:
    """Record that a number was given up; it is never used again and the number audit accepts it."""
    work.save(ADD_VOID(series=series, year=year, number=number, reason=reason))
