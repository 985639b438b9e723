"""Taking numbers: one upsert creates, locks and advances the rows of all series in sorted order.

Whoever comes to a series first is first: the row alone would go to any of those who wait for it, because each finds
another version of it than it waited for and asks anew. A lock of the series' own keeps them in line.
"""

from typing import NamedTuple

from sqlalchemy import BigInteger, ColumnElement, Integer, Text, Uuid, bindparam, cast, func, select
from sqlalchemy.dialects.postgresql import insert

from db.statement import TENANT, Statement, rows_of
from erp.numbering.models import number_series, number_voids


class Taken(NamedTuple):
    series: str
    prefix: str
    last_number: int


#: Sets the locks of series apart from other locks by number ("series").
_SERIES_LOCKS = 0x736572696573


def _in_line(series: ColumnElement[str]) -> ColumnElement[bool]:
    """True, once it is the transaction's turn at the series; until it ends."""
    name = func.concat(cast(TENANT, Text), "/", cast(bindparam("year"), Integer), "/", series)
    return func.pg_advisory_xact_lock(func.hashtextextended(name, _SERIES_LOCKS)).is_not(None)


_wanted = rows_of(series=Text, prefixes=Text, counts=BigInteger)
# Sorted: two documents that take from the same series wait for it, and lock its row, in the same order.
_sorted = select(*_wanted.c).order_by(_wanted.c.series).subquery("sorted")
_advance = insert(number_series).from_select(
    ["tenant_id", "series", "year", "prefix", "last_number"],
    select(
        cast(TENANT, Uuid), _sorted.c.series, cast(bindparam("year"), Integer), _sorted.c.prefixes, _sorted.c.counts
    ).where(_in_line(_sorted.c.series)),
)
ADVANCE: Statement[Taken] = Statement(
    # DO UPDATE waits for a writer of the same row and then adds to what that writer committed, also when
    # the row is being created: no second statement and no gap.
    _advance.on_conflict_do_update(
        index_elements=["tenant_id", "series", "year"],
        set_={"last_number": number_series.c.last_number + _advance.excluded.last_number},
    ).returning(number_series.c.series, number_series.c.prefix, number_series.c.last_number),
    Taken,
)

#: The row ADVANCE will change, for those who take several numbers in one transaction.
LOCK_SERIES = Statement(
    select(number_series.c.series)
    .where(
        number_series.c.tenant_id == TENANT,
        number_series.c.series == bindparam("series", type_=Text),
        number_series.c.year == bindparam("year", type_=Integer),
        _in_line(number_series.c.series),
    )
    .with_for_update(key_share=True)
)

ADD_VOID: Statement[tuple[()]] = Statement(
    insert(number_voids).values(
        tenant_id=TENANT,
        series=bindparam("series"),
        year=bindparam("year"),
        number=bindparam("number"),
        reason=bindparam("reason"),
    )
)
