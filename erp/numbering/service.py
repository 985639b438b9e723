"""Document numbers: gap-less ones taken at posting, references handed out in blocks."""

from collections import Counter
from datetime import date

from erp.numbering.references import blocks
from erp.numbering.repository import ADD_VOID, ADVANCE
from erp.numbering.series import NUMBERS, written
from tenancy.work import UnitOfWork

__all__ = ["reference", "take", "void"]


async def take(work: UnitOfWork, on: date, *series: str) -> list[str]:
    """The next number of every named series for the year of `on`, in the order asked.

    One flush. The series rows stay locked until the transaction ends, so take numbers last: after every
    other lock and after every decision that may refuse. A rollback gives the numbers back.
    """
    wanted = sorted(Counter(series).items())
    [rows] = await work.load(
        ADVANCE(
            year=on.year,
            series=[name for name, _ in wanted],
            prefixes=[NUMBERS[name] for name, _ in wanted],
            counts=[count for _, count in wanted],
        )
    )
    counts = dict(wanted)
    following = {
        row.series: iter(range(row.last_number - counts[row.series] + 1, row.last_number + 1)) for row in rows
    }
    prefixes = {row.series: row.prefix for row in rows}
    return [written(prefixes[name], on.year, next(following[name])) for name in series]


async def reference(work: UnitOfWork, series: str) -> str:
    """The next reference of `sales_order` or `purchase_order`: unique, gaps allowed, no hot row.

    Call it before the command's first load: once in fifty calls it opens a transaction of its own.
    """
    return await blocks.next(work, series)


def void(work: UnitOfWork, series: str, year: int, number: int, reason: str) -> None:
    """Record that a number was given up; it is never used again and the number audit accepts it."""
    work.save(ADD_VOID(series=series, year=year, number=number, reason=reason))
