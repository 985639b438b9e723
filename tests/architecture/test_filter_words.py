"""What a list's filter takes for a value is what the database takes for one."""

import re
from collections.abc import Iterator

import psycopg
from sqlalchemy import Column

from erp.app import build_app
from erp.http.filters import Filter
from erp.http.openapi import declared_by, served_handlers
from erp.settings import load_settings
from tests.services import Services

_WORDS = (
    "SELECT k.conrelid::regclass::text, a.attname, pg_get_constraintdef(k.oid) FROM pg_constraint k"
    " JOIN pg_attribute a ON a.attrelid = k.conrelid AND k.conkey = ARRAY[a.attnum] WHERE k.contype = 'c'"
)
#: Lists of some of a table's rows only: what a correction changes are issues, whatever else moves.
_NARROWER = {"/v1/cost-corrections/{correction_id}/issues"}


def allowed(services: Services) -> dict[tuple[str, str], set[str]]:
    """Table and column -> the words its CHECK lists."""
    with psycopg.connect(services.superuser_url) as connection:
        found = connection.execute(_WORDS).fetchall()
    return {
        (table, column): set(re.findall(r"'([^']*)'::text", definition))
        for table, column, definition in found
        if "= ANY" in definition
    }


def filtered(services: Services) -> Iterator[tuple[str, str, str, set[str]]]:
    """Route, table, column and words of every filter by a column of few words."""
    gate = build_app(load_settings(services.environment("words", "api")))
    for path, _, handler in served_handlers(gate._app):  # type: ignore[arg-type]  # the gate's inside is Litestar
        declared = declared_by(handler)
        for name, filters in declared.listing.filters.items() if declared.listing is not None else ():
            for one in (filters,) if isinstance(filters, Filter) else filters:
                if name in declared.words and isinstance(one.column, Column):
                    yield path, one.column.table.name, one.column.name, set(declared.words[name])


def test_a_filter_takes_every_word_a_row_may_hold(services: Services) -> None:
    words = allowed(services)
    compared = [one for one in filtered(services) if one[1:3] in words and one[0] not in _NARROWER]
    assert [one for one in compared if not words[one[1:3]] <= one[3]] == []
    assert len(compared) > 15
