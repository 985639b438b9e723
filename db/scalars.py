"""Single values as the text PostgreSQL reads, for statements whose parameter types the server infers.

The driver looks up a dumper per value and may choose a binary form of a type narrower than the statement's;
a registered statement has its casts in its text, so one dictionary look-up per value is enough.
"""

from collections.abc import Callable
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec
from psycopg import DataError
from psycopg.types.json import Jsonb

from db.arrays import array_literal

_encode = msgspec.json.Encoder().encode


def _text(value: str) -> bytes:
    if "\0" in value:
        raise DataError("PostgreSQL text fields cannot contain NUL (0x00) bytes")
    return value.encode()


def _array(values: list[Any]) -> bytes:
    literal = array_literal(values)
    if literal is None:
        raise KeyError("an element's type")
    return literal


_SCALAR: dict[type, Callable[[Any], bytes | None]] = {
    type(None): lambda _: None,
    str: _text,
    UUID: lambda value: b"%032x" % value.int,
    int: lambda value: b"%d" % value,
    bool: lambda value: b"t" if value else b"f",
    Decimal: lambda value: str(value).encode(),
    date: lambda value: value.isoformat().encode(),
    datetime: lambda value: value.isoformat().encode(),
    timedelta: lambda value: b"%d microseconds" % (value // timedelta(microseconds=1)),
    bytes: lambda value: b"\\x" + value.hex().encode(),
    Jsonb: lambda value: _encode(value.obj),
    list: _array,
}


def scalar_texts(values: list[Any]) -> list[bytes | None] | None:
    """The values as text; None when one is of a type that is left to the driver. Raises DataError for NUL."""
    try:
        return [_SCALAR[type(value)](value) for value in values]
    except KeyError:
        return None
