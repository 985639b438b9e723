"""Lines that are written before their invoice, which has a number others wait for: the database counts them all."""

import contextlib
from collections.abc import Sequence
from typing import LiteralString

import psycopg
import pytest

from db.identifiers import new_id
from tests.slices.accounting.books import Books
from tests.slices.invoicing.drafting import posted

_LINES_AHEAD = (
    "INSERT INTO invoice_lines SELECT (r).* FROM (SELECT jsonb_populate_record(l, jsonb_build_object("
    "'invoice_id', %(forged)s::text, 'line_no', n)) r FROM invoice_lines l, generate_series(1, %(lines)s) n"
    " WHERE invoice_id = %(id)s) x"
)
_HEADING = (
    "INSERT INTO invoices SELECT (r).* FROM (SELECT jsonb_populate_record(i, jsonb_build_object("
    "'id', %(forged)s::text, 'number', 'INV-X')) r FROM invoices i WHERE id = %(id)s) x"
)


@pytest.mark.parametrize(
    ("lines", "statements", "refused"),
    [
        (1, (_LINES_AHEAD, _HEADING), None),
        (2, (_LINES_AHEAD, _HEADING), "invoices_posted_immutable"),
        (1, (_LINES_AHEAD,), "invoice_lines_invoice_fkey"),
    ],
)
async def test_lines_ahead_of_a_posted_invoice_are_those_it_counts(
    books: Books, lines: int, statements: Sequence[LiteralString], refused: str | None
) -> None:
    invoice, forged = await posted(books), new_id()
    with contextlib.ExitStack() as stack:
        if refused is not None:
            failed = stack.enter_context(pytest.raises(psycopg.IntegrityError))
        connection = stack.enter_context(psycopg.connect(books.superuser_url))
        for statement in statements:
            connection.execute(statement, {"id": invoice.id, "forged": forged, "lines": lines})
    if refused is not None:
        assert failed.value.diag.constraint_name == refused
