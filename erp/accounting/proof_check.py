"""One thing that must be true of a tenant's books, and the rows that show it is not."""

from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from sqlalchemy import ColumnElement, Select, Text, cast, func, literal, select

from db.statement import Statement


class Evidence(NamedTuple):
    """A row that breaks the rule: where it is, what it should say, what it says."""

    table: str
    id: str
    expected: str
    found: str


@dataclass(frozen=True, slots=True)
class Check:
    """`statement` reads everything in one snapshot and returns no row when all is well."""

    name: str
    rule: str
    statement: Statement[Evidence]


#: Evidence rows a check returns at most: a broken rule can break everywhere.
LIMIT: Final = 100


def check(name: str, rule: str, evidence: Select[Any]) -> Check:
    """`evidence` selects (table, id, expected, found), as made by `evidence_row`."""
    return Check(name, rule, Statement(evidence.limit(LIMIT), Evidence))


def evidence_row(
    table: str, id_: ColumnElement[Any], expected: ColumnElement[Any] | str, found: ColumnElement[Any]
) -> Select[*tuple[Any, ...]]:
    """The columns of an evidence row; values are shown as text, a missing one as `none`."""
    wanted = literal(expected, Text) if isinstance(expected, str) else _text(expected)
    return select(literal(table, Text), cast(id_, Text), wanted, _text(found))


def _text(value: ColumnElement[Any]) -> ColumnElement[str]:
    return func.coalesce(cast(value, Text), "none")
