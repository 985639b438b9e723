"""The file, line by line: what can be read as a line, and what cannot and why."""

import csv
import gzip
import sys
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple, TextIO

COLUMNS = ("InvoiceNo", "StockCode", "Description", "Quantity", "InvoiceDate", "UnitPrice", "CustomerID", "Country")

#: The format as its several publications write timestamps.
_TIMESTAMPS = ("%Y-%m-%d %H:%M:%S", "%m/%d/%Y %H:%M", "%d/%m/%Y %H:%M")


class Line(NamedTuple):
    """One line. `number` counts the file's lines from 1 (the header); money is exact."""

    number: int
    document: str
    code: str
    description: str
    quantity: Decimal
    at: datetime
    price: Decimal
    customer: str
    country: str

    @property
    def amount(self) -> Decimal:
        return self.quantity * self.price


class Rejected(NamedTuple):
    """A line that cannot be booked, with the reason a person can act on."""

    number: int
    reason: str


class WrongFormat(ValueError):
    """The file's header is not that of the format."""


def read_lines(path: Path) -> Iterator[Line | Rejected]:
    """Every line of a plain or gzip-compressed file, in order. Raises WrongFormat, OSError."""
    with _open(path) as file:
        reader = csv.reader(file)
        header = next(reader, [])
        if tuple(name.strip().lstrip("\ufeff") for name in header) != COLUMNS:
            raise WrongFormat(f"{path.name}: expected the columns {', '.join(COLUMNS)}; found {', '.join(header)}")
        for row in reader:
            yield _parse(reader.line_num, row)


def _open(path: Path) -> TextIO:
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="utf-8", errors="replace", newline="")
    return path.open(encoding="utf-8", errors="replace", newline="")


def _parse(number: int, row: list[str]) -> Line | Rejected:
    if len(row) != len(COLUMNS):
        return Rejected(number, f"has {len(row)} fields, not {len(COLUMNS)}")
    document, code, description, quantity, at, price, customer, country = (field.strip() for field in row)
    if not document or not code:
        return Rejected(number, "lacks a document number or stock code")
    try:
        moment = _timestamp(at)
        exact_quantity, exact_price = Decimal(quantity), Decimal(price)
    except (ValueError, InvalidOperation):
        return Rejected(number, f"holds no usable quantity, date or price: {quantity!r}, {at!r}, {price!r}")
    if not (exact_quantity.is_finite() and exact_price.is_finite()):
        return Rejected(number, "holds a quantity or price that is not finite")
    return Line(
        number, sys.intern(document), sys.intern(code), sys.intern(description), exact_quantity, moment,
        exact_price, sys.intern(customer.removesuffix(".0")), sys.intern(country),
    )  # fmt: skip


@lru_cache(maxsize=256)
def _timestamp(text: str) -> datetime:
    for pattern in _TIMESTAMPS:
        try:
            return datetime.strptime(text, pattern)  # noqa: DTZ007  # the wholesaler's local time; only its date is used
        except ValueError:
            continue
    raise ValueError(text)
