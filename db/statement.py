"""SQLAlchemy statements compiled once at import and sent as text with parameters.

SQLAlchemy describes tables and builds the SQL; it does not execute it. Compiling costs some 200 us, so it
happens once a statement and process, never per request.
"""

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Generic, TypeVar, cast, overload

import msgspec
from sqlalchemy import ARRAY, bindparam, func
from sqlalchemy import Uuid as SqlUuid
from sqlalchemy import cast as sql_cast
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.sql import ClauseElement
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.elements import ColumnElement
from sqlalchemy.sql.selectable import TableValuedAlias
from sqlalchemy.types import TypeEngine

from db.metadata import metadata

__all__ = ["DIALECT", "REGISTERED", "TENANT", "Bound", "Statement", "any_of", "metadata", "only_reads", "rows_of"]

DIALECT = PGDialect_psycopg(paramstyle="pyformat")  # type: ignore[no-untyped-call]  # SQLAlchemy leaves it untyped

#: The bind every tenant statement carries; the unit of work or read session fills it, nobody else.
TENANT = bindparam("tenant_id", type_=SqlUuid)

#: Texts of the statements known at import; an old pooler can have them prepared (see db/registry.py).
REGISTERED: set[str] = set()

#: What a WITH may hold beside reads ("FOR UPDATE OF" is none of these).
_WRITING = re.compile(r"\b(?:INSERT INTO|DELETE FROM|UPDATE [\w ]+ SET)\b")

R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)


class Bound(msgspec.Struct, Generic[R_co], frozen=True):
    """A statement with its parameters, ready to send; rows come back as `row(*values)`."""

    sql: str
    parameters: dict[str, Any]
    row: Callable[..., R_co] | None = None
    scoped: bool = False

    def rows(self, values: list[tuple[Any, ...]]) -> list[R_co]:
        if (row := self.row) is None:
            return cast(list[R_co], values)
        return [row(*value) for value in values]


class Statement(Generic[R]):
    """A statement compiled at import; call it with the parameters to get a `Bound`.

    `row` is called with the columns of each result row (a NamedTuple or a dataclass); without it rows
    are plain tuples. Types are not converted on the way in: pass what psycopg understands (`Jsonb` for
    jsonb, lists for arrays). `register=False` is for statements made after import.
    """

    __slots__ = ("constants", "row", "scoped", "sql")

    @overload
    def __init__(self: "Statement[tuple[Any, ...]]", clause: ClauseElement, *, register: bool = True) -> None: ...
    @overload
    def __init__(self, clause: ClauseElement, row: Callable[..., R], *, register: bool = True) -> None: ...

    def __init__(
        self, clause: ClauseElement, row: Callable[..., Any] | None = None, *, register: bool = True
    ) -> None:
        compiled = clause.compile(dialect=DIALECT)
        required = {name: None for name, bind in getattr(compiled, "binds", {}).items() if bind.required}
        self.sql, values = str(compiled), dict(compiled.params)
        if "POSTCOMPILE" in self.sql:
            # `in_` with a list of constants: written out now, not at execution.
            expanded = cast(SQLCompiler, compiled).construct_expanded_state(required)
            self.sql, values = expanded.statement, dict(expanded.parameters)
        self.scoped = "tenant_id" in values
        self.constants = {name: value for name, value in values.items() if name not in required}
        self.row: Callable[..., R] | None = row
        if register:
            REGISTERED.add(self.sql)

    def __call__(self, **parameters: Any) -> Bound[R]:
        if self.constants:
            parameters = {**self.constants, **parameters}
        return Bound(self.sql, parameters, self.row, self.scoped)


def rows_of(**columns: TypeEngine[Any] | type[TypeEngine[Any]]) -> TableValuedAlias:
    """A derived table from array parameters of the same names, so that n lines are one statement.

    `rows_of(ids=Uuid, quantities=Numeric)` is used as `.c.ids`, `.c.quantities`; the lists passed for
    the parameters must be of equal length (PostgreSQL pads a shorter one with NULL).
    """
    arrays = [sql_cast(bindparam(name), ARRAY(kind)) for name, kind in columns.items()]
    return func.unnest(*arrays).table_valued(*columns).render_derived()


def any_of(name: str, kind: TypeEngine[Any] | type[TypeEngine[Any]]) -> ColumnElement[Any]:
    """`column == any_of("ids", Uuid)`: the column is in the list passed as parameter `ids`."""
    return func.any(sql_cast(bindparam(name), ARRAY(kind)))


@lru_cache(maxsize=4096)
def only_reads(sql: str) -> bool:
    """Whether a refusal behind this statement may be stored in the same transaction. Locking a row is no write."""
    return sql.startswith("SELECT") or (sql.startswith("WITH") and _WRITING.search(sql) is None)
