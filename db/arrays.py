"""Lists as PostgreSQL array literals, for the few types our statements send by the list.

A command sends some forty arrays. The driver's general array adaptation looks at every element several times;
here one dictionary look-up per element is enough, because `rows_of` and `any_of` cast each array anyway.
"""

from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec
from psycopg import DataError
from psycopg.types.json import Jsonb

_encode = msgspec.json.Encoder().encode


def _quoted(text: str) -> str:
    if "\0" in text:
        raise DataError("PostgreSQL text fields cannot contain NUL (0x00) bytes")
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _json(value: Jsonb) -> str:
    return _quoted(_encode(value.obj).decode())


_ELEMENT: dict[type, Callable[[Any], str]] = {
    type(None): lambda _: "NULL",
    UUID: lambda value: f"{value.int:032x}",  # half the price of its text with hyphens
    Decimal: str,
    int: str,
    bool: lambda value: "t" if value else "f",
    str: _quoted,
    date: date.isoformat,
    datetime: lambda value: '"' + value.isoformat() + '"',
    Jsonb: _json,
}


def array_literal(values: list[Any]) -> bytes | None:
    """`{a,b,NULL}`; None when an element is of a type that is left to the driver. Raises DataError for NUL."""
    try:
        return ("{" + ",".join([_ELEMENT[type(value)](value) for value in values]) + "}").encode()
    except KeyError:
        return None
