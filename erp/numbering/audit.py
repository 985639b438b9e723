"""The number audit: every number up to a series' last one is on exactly one document or was voided."""

from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Select,
    Text,
    case,
    cast,
    func,
    literal,
    select,
)

from db.statement import TENANT
from erp.numbering.models import number_series, number_voids
from erp.numbering.series import NUMBERS, WIDTH


def number_audit(series: str, documents: Select[Any]) -> Select[*tuple[Any, ...]]:
    """Evidence rows (table, id, expected, found) of gaps, duplicates and numbers the series never gave.

    `documents` selects this tenant's numbers as the text on the documents, in one column called `number`.
    """
    written = documents.where(documents.selected_columns[0].is_not(None)).subquery("written")
    used = select(written.c.number, func.count().label("uses")).group_by(written.c.number).subquery("used")
    given = _given(series).subquery("given")
    uses = func.coalesce(used.c.uses, 0) + func.coalesce(given.c.voids, 0)
    expected = case((given.c.number.is_(None), 0), else_=1)
    return (
        select(
            literal("number_series", Text),
            func.coalesce(given.c.number, used.c.number),
            func.concat("used ", cast(expected, Text)),
            func.concat("used ", cast(uses, Text)),
        )
        .select_from(given.join(used, used.c.number == given.c.number, full=True))
        .where(uses != expected)
    )


def _given(series: str) -> Select[Any]:
    """Every number the series has given, as it is written, with how often it was voided."""
    number = (
        func.generate_series(1, number_series.c.last_number, type_=BigInteger)
        .table_valued("n")
        .render_derived("numbers")
    )
    voided = (
        select(func.count())
        .where(
            number_voids.c.tenant_id == TENANT,
            number_voids.c.series == number_series.c.series,
            number_voids.c.year == number_series.c.year,
            number_voids.c.number == number.c.n,
        )
        .correlate(number_series, number)
        .scalar_subquery()
    )
    return (
        select(
            as_written(number_series.c.prefix, number_series.c.year, number.c.n).label("number"),
            voided.label("voids"),
        )
        .select_from(number_series.join(number, literal(True)))
        .where(number_series.c.tenant_id == TENANT, number_series.c.series == series)
    )


def as_written(
    prefix: ColumnElement[str], year: ColumnElement[int], number: ColumnElement[int]
) -> ColumnElement[str]:
    """The SQL twin of `series.written`."""
    digits = cast(number, Text)
    padded = func.lpad(digits, func.greatest(WIDTH, func.length(digits)), "0")
    return func.concat(prefix, "-", cast(year, Text), "-", padded)


def in_series(number: ColumnElement[str], series: str) -> ColumnElement[bool]:
    """Whether a number was written by the series; for tables that hold numbers of several ones."""
    return number.like(f"{NUMBERS[series]}-%")
