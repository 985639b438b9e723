"""From documents to the rows that are sent: parties, products, opening stock, then the documents themselves.

The rules, where the file leaves a choice:

* A customer is a party. One who appears in a second country gets a second party for it, so that figures by
  country stay right. Documents without a customer belong to a cash-sales party of their country.
* Codes that are no goods (carriage, fees, discounts, vouchers) are services; every other code is stocked.
  Codes that differ in case are different products.
* Opening stock: one purchase on the day before the first document brings, for every stocked code, as many
  pieces as the file ever takes out, one at least. So stock suffices whatever the order in which documents
  arrive, and goods that only ever come back have a cost to come back at.
* The file knows no costs. The opening cost of a piece is half the lowest price it was ever sold at, at least
  one cent.
* Prices carry no tax in the file; products are in the group without tax.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Decimal
from hashlib import sha256
from typing import Any, Final

from erp.exchange.online_retail.documents import Document, Kind, is_service
from erp.exchange.online_retail.rows import Line

_CENT: Final = Decimal("0.01")
#: An order takes at most this many lines; opening stock is split accordingly.
_LINES_PER_RECEIPT: Final = 1500

#: The file's names of countries that are not their ISO name.
_COUNTRIES: Final = {
    "United Kingdom": "GB", "EIRE": "IE", "Germany": "DE", "France": "FR", "Netherlands": "NL", "Belgium": "BE",
    "Switzerland": "CH", "Portugal": "PT", "Spain": "ES", "Italy": "IT", "Norway": "NO", "Sweden": "SE",
    "Finland": "FI", "Denmark": "DK", "Austria": "AT", "Poland": "PL", "Japan": "JP", "Australia": "AU",
    "Cyprus": "CY", "Greece": "GR", "Iceland": "IS", "Israel": "IL", "Hong Kong": "HK", "Singapore": "SG",
    "Lebanon": "LB", "Lithuania": "LT", "United Arab Emirates": "AE", "USA": "US", "Canada": "CA", "Malta": "MT",
    "Bahrain": "BH", "RSA": "ZA", "Saudi Arabia": "SA", "Czech Republic": "CZ", "Brazil": "BR",
    "Channel Islands": "JE", "European Community": "EU", "Unspecified": "ZZ",
}  # fmt: skip


def country_code(name: str) -> str:
    """ISO 3166 alpha-2 where there is one; ZZ (unknown) for a name nobody has met yet."""
    return _COUNTRIES.get(name, "ZZ")


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a bulk stream: `key` makes it repeatable, `lines` are the file's lines behind it."""

    key: str
    data: dict[str, Any]
    lines: tuple[int, ...] = ()
    resource: str = ""


@dataclass(frozen=True, slots=True)
class Product:
    code: str
    description: str
    stocked: bool
    price: Decimal
    lowest_price: Decimal
    taken_out: Decimal

    @property
    def cost(self) -> Decimal:
        half = (self.lowest_price / 2).quantize(_CENT, ROUND_HALF_UP)
        return max(half, _CENT)


@dataclass(slots=True)
class _Seen:
    description: str = ""
    price: Decimal = Decimal(0)
    lowest: Decimal | None = None
    out: Decimal = field(default_factory=lambda: Decimal(0))


def party_key(document: Document) -> str:
    """The external id of the document's party."""
    return f"customer:{document.customer or 'cash'}:{country_code(document.country)}"


def party_rows(documents: Iterable[Document]) -> list[Row]:
    """One row per customer and country, in order of appearance."""
    rows: dict[str, Row] = {}
    for document in documents:
        key, country = party_key(document), country_code(document.country)
        if key in rows:
            continue
        customer = document.customer
        code = f"{customer}-{country}" if customer else f"CASH-{country}"
        name = f"Customer {customer}" if customer else f"Cash sales ({document.country})"
        rows[key] = Row(
            key,
            {"code": code, "name": name, "is_customer": True, "country": country, "external_id": key},
            (document.lines[0].number,),
        )
    return list(rows.values())


def products(documents: Iterable[Document]) -> list[Product]:
    """Every stock code with its first description, its usual price and how much of it the file takes out."""
    seen: dict[str, _Seen] = {}
    for document in documents:
        if document.kind is Kind.ADJUSTMENT:
            continue
        for line in document.lines:
            _note(seen.setdefault(line.code, _Seen()), document.kind, line)
    return [
        Product(code, one.description or code, not is_service(code), one.price, one.lowest or Decimal(0), one.out)
        for code, one in seen.items()
    ]


def _note(seen: _Seen, kind: Kind, line: Line) -> None:
    if not seen.description and line.description:
        seen.description = line.description
    if line.price > 0:
        seen.price = seen.price or line.price
        seen.lowest = line.price if seen.lowest is None else min(seen.lowest, line.price)
    if kind in (Kind.SALE, Kind.GIVEN):
        seen.out += line.quantity
    elif kind is Kind.WRITE_OFF:
        seen.out -= line.quantity


def product_key(code: str) -> str:
    """The external id of a stock code. Blanks are no part of an external id."""
    return "product:" + code.replace("%", "%25").replace(" ", "%20")


def product_rows(found: Iterable[Product], tax_group_id: str) -> list[Row]:
    return [
        Row(
            product_key(one.code),
            {
                "code": one.code, "name": one.description[:200], "kind": "stocked" if one.stocked else "service",
                "unit": "pcs", "sale_price": _plain(one.price), "tax_group_id": tax_group_id,
                "external_id": product_key(one.code),
            },
        )
        for one in found
    ]  # fmt: skip


def opening_rows(
    found: Iterable[Product], supplier_id: str, product_ids: dict[str, str], first: date, source: str
) -> Iterator[Row]:
    """The opening purchases. `source` names the file: another file brings its own opening stock."""
    lines = [
        {"product_id": product_ids[product_key(one.code)], "quantity": _plain(max(one.taken_out, Decimal(1))),
         "unit_price": _plain(one.cost)}
        for one in found
        if one.stocked
    ]  # fmt: skip
    for part, start in enumerate(range(0, len(lines), _LINES_PER_RECEIPT), 1):
        key = f"opening:{source}:{part}"
        yield Row(
            key,
            {
                "party_id": supplier_id, "date": str(first - timedelta(days=1)), "external_id": key,
                "history": True, "lines": lines[start : start + _LINES_PER_RECEIPT],
            },
        )  # fmt: skip


def document_row(document: Document, party_ids: dict[str, str], product_ids: dict[str, str]) -> Row:
    """The row that books the document, and the bulk resource it goes to."""
    key = f"document:{document.number}"
    common = {"date": str(document.day), "external_id": key}
    # Documents arrive in no order: their costs are those of the order of recording.
    moving = {**common, "history": True}
    numbers = tuple(line.number for line in document.lines)
    match document.kind:
        case Kind.SALE:
            lines = [_sold(line, product_ids, line.quantity) for line in document.lines]
            data = {
                **moving,
                "party_id": party_ids[party_key(document)],
                "lines": lines,
                "reference": document.number,
            }
            return Row(key, data, numbers, "direct-sales")
        case Kind.CREDIT:
            lines = [_sold(line, product_ids, -line.quantity) for line in document.lines]
            data = {
                **moving,
                "party_id": party_ids[party_key(document)],
                "lines": lines,
                "reason": "Credit " + document.number,
            }
            return Row(key, data, numbers, "direct-credits")
        case Kind.ADJUSTMENT:
            return Row(key, {**common, **_entry(document)}, numbers, "journal-entries")
        case _:
            data = {**moving, **_adjustment(document, product_ids)}
            return Row(key, data, numbers, "stock-adjustments")


def _sold(line: Line, product_ids: dict[str, str], quantity: Decimal) -> dict[str, str]:
    sold = {
        "product_id": product_ids[product_key(line.code)], "quantity": _plain(quantity),
        "unit_price": _plain(line.price),
    }  # fmt: skip
    if line.description:
        sold["description"] = line.description
    return sold


_REASONS: Final = {Kind.WRITE_OFF: "write_off", Kind.FOUND: "found", Kind.GIVEN: "free_of_charge"}


def _adjustment(document: Document, product_ids: dict[str, str]) -> dict[str, Any]:
    sign = -1 if document.kind is Kind.GIVEN else 1
    lines = [
        {"product_id": product_ids[product_key(line.code)], "quantity": _plain(line.quantity * sign)}
        for line in document.lines
        if not is_service(line.code)
    ]
    notes = "; ".join(line.description for line in document.lines if line.description)
    return {"reason": _REASONS[document.kind], "lines": lines, "text": f"{document.number} {notes}".strip()[:4000]}


def _entry(document: Document) -> dict[str, Any]:
    """Bad debt: a negative amount is a loss on receivables, a positive one takes a loss back."""
    amount = document.net.quantize(_CENT, ROUND_HALF_UP)
    debit, credit = ("@bad_debts", "@bad_debt_allowance") if amount < 0 else ("@bad_debt_allowance", "@bad_debts")
    text = f"{document.number} {document.lines[0].description}".strip()
    lines = [{"account": debit, "debit": _plain(abs(amount))}, {"account": credit, "credit": _plain(abs(amount))}]
    return {"lines": lines, "text": text}


def source_name(content_digest: bytes) -> str:
    """A short name of a file by its content."""
    return sha256(content_digest).hexdigest()[:16]


def _plain(value: Decimal) -> str:
    """Without exponent or trailing zeros."""
    text = format(value, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text
