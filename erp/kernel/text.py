"""The types of fields on the wire: numbers as strings, bounded texts and codes.

Patterns are valid in Python and ECMA 262 (they go into the OpenAPI document). Both let `$` match before a
final newline, hence `(?!\\n)`. `extra["kind"]` marks the decimal types: a JSON number in such a field gets
its own problem, because it may have lost digits already.
"""

import re
from datetime import date, datetime
from decimal import Decimal
from typing import Annotated

from msgspec import Meta

from erp.kernel.errors import InvalidAmount

_NOT_ZERO = r"(?!-?0(\.0+)?$)"
_NO_MINUS_ZERO = r"(?!-0(\.0+)?$)"
_END = r"(?!\n)$"
_WHOLE = r"(0|[1-9][0-9]{0,13})"


def _decimal_meta(pattern: str, kind: str, description: str, *examples: str) -> Meta:
    return Meta(pattern=pattern, description=description, examples=list(examples), extra={"kind": kind})


Amount = Annotated[
    str,
    _decimal_meta(
        rf"^{_WHOLE}(\.[0-9]{{1,3}})?{_END}", "amount",
        "Money as a decimal string, zero or more, with no more decimals than its currency has.", "1249.90",
    ),
]  # fmt: skip
PositiveAmount = Annotated[
    str,
    _decimal_meta(
        rf"^{_NOT_ZERO}{_WHOLE}(\.[0-9]{{1,3}})?{_END}", "amount",
        "Money as a decimal string, more than zero, with no more decimals than its currency has.", "1249.90",
    ),
]  # fmt: skip
SignedAmount = Annotated[
    str,
    _decimal_meta(
        rf"^{_NO_MINUS_ZERO}-?{_WHOLE}(\.[0-9]{{1,3}})?{_END}", "amount",
        "Money as a decimal string, negative allowed, with no more decimals than its currency has.", "-20.00",
    ),
]  # fmt: skip
UnitPrice = Annotated[
    str,
    _decimal_meta(
        rf"^{_WHOLE}(\.[0-9]{{1,6}})?{_END}", "price",
        "Price of one unit as a decimal string, zero or more, at most six decimals.", "12.495",
    ),
]  # fmt: skip
UnitCost = Annotated[
    str,
    _decimal_meta(
        rf"^{_WHOLE}(\.[0-9]{{1,10}})?{_END}", "price",
        "Cost of one unit as a decimal string, zero or more, at most ten decimals.", "7.3333333333",
    ),
]  # fmt: skip
Quantity = Annotated[
    str,
    _decimal_meta(
        rf"^{_NOT_ZERO}{_WHOLE}(\.[0-9]{{1,6}})?{_END}", "quantity",
        "Quantity as a decimal string, more than zero, at most six decimals.", "12",
    ),
]  # fmt: skip
QuantityOrZero = Annotated[
    str,
    _decimal_meta(
        rf"^{_WHOLE}(\.[0-9]{{1,6}})?{_END}", "quantity",
        "Quantity as a decimal string, zero or more, at most six decimals.", "0",
    ),
]  # fmt: skip
SignedQuantity = Annotated[
    str,
    _decimal_meta(
        rf"^{_NOT_ZERO}-?{_WHOLE}(\.[0-9]{{1,6}})?{_END}", "quantity",
        "Quantity as a decimal string, negative allowed, never zero, at most six decimals.", "-3",
    ),
]  # fmt: skip
Percent = Annotated[
    str,
    _decimal_meta(
        rf"^(100(\.0{{1,4}})?|[1-9]?[0-9](\.[0-9]{{1,4}})?){_END}", "percent",
        "Percentage from 0 to 100 as a decimal string, at most four decimals.", "19.6",
    ),
]  # fmt: skip
Rate = Annotated[
    str,
    _decimal_meta(
        rf"^{_NOT_ZERO}(0|[1-9][0-9]{{0,8}})(\.[0-9]{{1,10}})?{_END}", "rate",
        "A factor as a decimal string, more than zero, at most ten decimals.", "1.0832",
    ),
]  # fmt: skip

Code = Annotated[
    str,
    Meta(
        min_length=1, max_length=64, pattern=rf"^\S([^\n\t]*\S)?{_END}",
        description="Short code, 1 to 64 characters, no blanks at either end.", examples=["85123A"],
    ),
]  # fmt: skip
Name = Annotated[
    str,
    Meta(
        min_length=1, max_length=200, pattern=rf"^\S([^\n\t]*\S)?{_END}",
        description="Name in one line, 1 to 200 characters, no blanks at either end.", examples=["Acme Ltd"],
    ),
]  # fmt: skip
Text = Annotated[str, Meta(max_length=4000, description="Free text, at most 4,000 characters, several lines.")]
Reason = Annotated[str, Meta(min_length=3, max_length=500, pattern=r"\S", description="Why, in 3 to 500 characters.")]
ExternalId = Annotated[
    str,
    Meta(
        min_length=1, max_length=128, pattern=rf"^[!-~]+{_END}",
        description="The record's key in your own system: 1 to 128 visible ASCII characters, unique.",
        examples=["customer:17850"],
    ),
]  # fmt: skip
Slug = Annotated[
    str,
    Meta(
        pattern=rf"^[a-z][a-z0-9-]{{1,61}}[a-z0-9]{_END}",
        description="3 to 63 lower-case letters, digits and hyphens, starting with a letter.", examples=["acme"],
    ),
]  # fmt: skip
Key = Annotated[
    str,
    Meta(
        pattern=rf"^[a-z][a-z0-9_]{{0,62}}{_END}",
        description="Lower-case letters, digits and underscores, starting with a letter.",
        examples=["damaged_goods"],
    ),
]  # fmt: skip
CurrencyCode = Annotated[
    str, Meta(pattern=rf"^[A-Z]{{3}}{_END}", description="ISO 4217 currency code.", examples=["EUR"])
]
CountryCode = Annotated[
    str, Meta(pattern=rf"^[A-Z]{{2}}{_END}", description="ISO 3166-1 alpha-2 country code.", examples=["GB"])
]

Count = Annotated[int, Meta(ge=0, le=2_147_483_647)]
PositiveCount = Annotated[int, Meta(ge=1, le=2_147_483_647)]
Days = Annotated[int, Meta(ge=0, le=3650, description="A number of days, at most ten years.")]

#: A business date: a day of the calendar, without a zone.
Date = date
#: A moment: always with its offset, or it is refused.
Timestamp = Annotated[datetime, Meta(tz=True, description="Date and time with offset (RFC 3339).")]

_DECIMAL = re.compile(r"-?(0|[1-9][0-9]{0,17})(\.[0-9]{1,12})?")


def decimal(text: str, *, pointer: str | None = None) -> Decimal:
    """The number of a wire string. Raises InvalidAmount unless it is a plain, finite decimal."""
    # Before Decimal: int(Decimal("1E+1000000")) runs for seconds, and Decimal takes "NaN" and "１２".
    if not _DECIMAL.fullmatch(text) or (text[0] == "-" and not text.strip("-0.")):
        raise InvalidAmount(pointer=pointer)
    return Decimal(text)
