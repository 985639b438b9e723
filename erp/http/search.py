"""The filter behind a search box: names that begin with what was typed, whatever its case."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Column, ColumnElement, Text, bindparam, func

from erp.http.filters import MAX_TEXT, Filter, Parameter
from erp.kernel.errors import LimitExceeded


def search(lowered: Column[Any]) -> Filter:
    """`?search=acm` on a column that holds the lower-case text; served by its text_pattern_ops index."""

    def build(name: str, column: ColumnElement[Any]) -> Sequence[Parameter]:
        def words(text: str) -> str:
            if len(text) > MAX_TEXT:
                raise LimitExceeded(f"At most {MAX_TEXT} characters.", pointer=name, source="query")
            return text

        bind = f"filter_{name}"
        # Lowered by the database, like the column, so that both agree on every alphabet. ^@ is leakproof.
        condition = column.bool_op("^@")(func.lower(bindparam(bind, type_=Text)))
        return (Parameter(name, bind, condition, words, str, "Name starts with, in either case."),)

    return Filter(lowered, build)
