"""Filters of lists: which columns may be asked for, how, and what a value looks like on the wire.

Values come from the query string and go to the database as parameters only; names are looked up here.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec
from msgspec import Meta
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ColumnElement,
    Date,
    DateTime,
    Integer,
    Numeric,
    Uuid,
    bindparam,
)

from db.statement import any_of
from erp.kernel.errors import Invalid, InvalidAmount, LimitExceeded
from erp.kernel.text import decimal

#: Values one `in` filter may list, and characters one text value may have.
MAX_VALUES = 100
MAX_TEXT = 200

_INT4 = Annotated[int, Meta(ge=-(2**31), le=2**31 - 1)]
_INT8 = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
_ZONED = Annotated[datetime, Meta(tz=True)]


_NUMBER = Annotated[str, Meta(pattern=r"^-?(0|[1-9][0-9]{0,17})(\.[0-9]{1,12})?$")]


def described_type(column: ColumnElement[Any]) -> Any:
    """The same for the API reference, where a decimal string has a pattern."""
    return _NUMBER if isinstance(column.type, Numeric) else wire_type(column)


def wire_type(column: ColumnElement[Any]) -> Any:
    """The Python type a column's values have on the wire (`Annotated` with its bounds)."""
    kind = column.type
    if isinstance(kind, Uuid):
        return UUID
    if isinstance(kind, Boolean):
        return bool
    if isinstance(kind, BigInteger):
        return _INT8
    if isinstance(kind, Integer):
        return _INT4
    if isinstance(kind, DateTime):
        return _ZONED
    if isinstance(kind, Date):
        return date
    return str


def _parser(column: ColumnElement[Any], name: str) -> Callable[[str], Any]:
    """Text to value. The function raises Invalid or InvalidAmount naming the parameter."""
    if isinstance(column.type, Numeric):

        def number(text: str) -> Any:
            try:
                return decimal(text)
            except InvalidAmount as error:
                raise InvalidAmount(error.hint or "", pointer=name, source="query") from None

        return number
    kind = wire_type(column)
    if kind is str:

        def words(text: str) -> Any:
            if len(text) > MAX_TEXT:
                raise LimitExceeded(f"At most {MAX_TEXT} characters.", pointer=name, source="query")
            return text

        return words

    def other(text: str) -> Any:
        try:
            return msgspec.convert(text, kind, strict=False)
        except msgspec.ValidationError as error:
            raise Invalid(f"{error}.", pointer=name, source="query") from None

    return other


@dataclass(frozen=True, slots=True)
class Parameter:
    """One query parameter of a list: how its text is read and which condition it adds.

    `bind` is the SQL parameter; `kind` and `description` are for the API reference.
    """

    name: str
    bind: str
    condition: ColumnElement[bool]
    parse: Callable[[str], Any]
    kind: Any
    description: str


@dataclass(frozen=True, slots=True)
class Filter:
    """A column and the ways it may be asked for; make one with `eq`, `in_`, `span` or `prefix`."""

    column: ColumnElement[Any]
    build: Callable[[str, ColumnElement[Any]], Sequence[Parameter]]

    def parameters(self, name: str) -> Sequence[Parameter]:
        return self.build(name, self.column)


def eq(column: Column[Any] | ColumnElement[Any]) -> Filter:
    """`?state=confirmed`."""

    def build(name: str, column: ColumnElement[Any]) -> Sequence[Parameter]:
        bind = f"filter_{name}"
        condition = column == bindparam(bind, type_=column.type)
        return (Parameter(name, bind, condition, _parser(column, name), described_type(column), "Equal to."),)

    return Filter(column, build)


def in_(column: Column[Any] | ColumnElement[Any]) -> Filter:
    """`?state=draft,confirmed`: any of at most 100 values."""

    def build(name: str, column: ColumnElement[Any]) -> Sequence[Parameter]:
        one = _parser(column, name)

        def several(text: str) -> list[Any]:
            values = text.split(",")
            if len(values) > MAX_VALUES:
                raise LimitExceeded(f"At most {MAX_VALUES} values.", pointer=name, source="query")
            return [one(value) for value in values]

        bind = f"filter_{name}"
        condition: ColumnElement[bool] = column == any_of(bind, column.type)
        return (Parameter(name, bind, condition, several, str, "Any of these values, separated by commas."),)

    return Filter(column, build)


_BOUNDS: Mapping[str, tuple[str, str]] = {
    "gte": (">=", "At or after."),
    "gt": (">", "After."),
    "lte": ("<=", "At or before."),
    "lt": ("<", "Before."),
}


def span(column: Column[Any] | ColumnElement[Any]) -> Filter:
    """`?created_at.gte=...&created_at.lt=...`: any of gte, gt, lte, lt."""

    def build(name: str, column: ColumnElement[Any]) -> Sequence[Parameter]:
        return [
            Parameter(
                f"{name}.{bound}", f"filter_{name}_{bound}",
                column.bool_op(operator)(bindparam(f"filter_{name}_{bound}", type_=column.type)),
                _parser(column, f"{name}.{bound}"), described_type(column), text,
            )
            for bound, (operator, text) in _BOUNDS.items()
        ]  # fmt: skip

    return Filter(column, build)


def prefix(column: Column[Any] | ColumnElement[Any]) -> Filter:
    """`?name.prefix=Acm`: starts with, case-sensitive; served by a text_pattern_ops index."""

    def build(name: str, column: ColumnElement[Any]) -> Sequence[Parameter]:
        bind = f"filter_{name}_prefix"
        # ^@ is leakproof, so row-level security still lets it use the index; LIKE is not.
        condition = column.bool_op("^@")(bindparam(bind, type_=column.type))
        parse = _parser(column, f"{name}.prefix")
        return (Parameter(f"{name}.prefix", bind, condition, parse, str, "Starts with (case-sensitive)."),)

    return Filter(column, build)
