"""Taking numbers: one upsert creates, locks and advances the rows of all series in sorted order."""

from typing import NamedTuple

from sqlalchemy import BigInteger, Integer, Text, Uuid, bindparam, cast, select
from sqlalchemy.dialects.postgresql import insert

from db.statement import TENANT, Statement, rows_of
from erp.numbering.models import number_series, number_voids


class Taken(NamedTuple):
    series: str
    prefix: str
    last_number: int


_wanted = rows_of(series=Text, prefixes=Text, counts=BigInteger)
_advance = insert(number_series).from_select(
    ["tenant_id", "series", "year", "prefix", "last_number"],
    # Sorted: two documents that take from the same series lock its rows in the same order.
    select(
        cast(TENANT, Uuid),
        _wanted.c.series,
        cast(bindparam("year"), Integer),
        _wanted.c.prefixes,
        _wanted.c.counts,
    ).order_by(_wanted.c.series),
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
