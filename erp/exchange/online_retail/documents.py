"""Lines gathered into documents, and what kind of business each document is."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import StrEnum

from erp.exchange.online_retail.rows import Line, Rejected

#: Codes that are no goods: carriage, fees, discounts, vouchers. Everything else is kept in stock.
_SERVICES = frozenset({
    "POST", "DOT", "M", "D", "S", "C2", "B", "AMAZONFEE", "BANK CHARGES", "CRUK", "PADS",
})  # fmt: skip


def is_service(code: str) -> bool:
    """Whether a stock code stands for something that has no stock."""
    return code.upper() in _SERVICES or code.lower().startswith("gift_")


class Kind(StrEnum):
    """How a document is booked."""

    SALE = "sale"  # order, delivery and posted invoice in one
    CREDIT = "credit"  # 'C...': a posted credit note, goods back into stock
    WRITE_OFF = "write_off"  # no price, negative: damaged, lost, thrown away
    FOUND = "found"  # no price, positive, nobody's: stock found in the warehouse
    GIVEN = "given"  # no price, positive, a customer: given away free of charge
    ADJUSTMENT = "adjustment"  # 'A...': a journal entry (bad debt)


@dataclass(frozen=True, slots=True)
class Document:
    """All lines of one number. The first line's date, customer and country stand for the document."""

    number: str
    kind: Kind
    lines: list[Line]

    @property
    def day(self) -> date:
        return self.lines[0].at.date()

    @property
    def customer(self) -> str:
        return self.lines[0].customer

    @property
    def country(self) -> str:
        return self.lines[0].country

    @property
    def net(self) -> Decimal:
        """Exact, unrounded."""
        return sum((line.amount for line in self.lines), Decimal(0))


def gather(lines: Iterable[Line | Rejected]) -> tuple[list[Document], list[Rejected]]:
    """Documents in order of appearance, and the lines that cannot be booked.

    A document's lines need not stand together. Repeated equal lines are real and are kept.
    """
    grouped: dict[str, list[Line]] = {}
    rejected: list[Rejected] = []
    for line in lines:
        if isinstance(line, Rejected):
            rejected.append(line)
        else:
            grouped.setdefault(line.document, []).append(line)
    documents = []
    for number, members in grouped.items():
        outcome = _classify(number, members)
        if isinstance(outcome, Kind):
            documents.append(Document(number, outcome, members))
        else:
            rejected += [Rejected(line.number, outcome) for line in members]
    return documents, rejected


def _classify(number: str, lines: list[Line]) -> Kind | str:
    """The kind, or why the document cannot be booked."""
    if any(line.quantity == 0 for line in lines):
        return "the document has a line of quantity zero"
    if number.upper().startswith("A"):
        return Kind.ADJUSTMENT
    if any(line.price < 0 for line in lines):
        return "the document has a negative price but is no adjustment (A...)"
    if number.upper().startswith("C"):
        positive = any(line.quantity > 0 for line in lines)
        return "the credit note has a positive quantity" if positive else Kind.CREDIT
    if all(line.price == 0 for line in lines):
        return _classify_unpriced(lines)
    if any(line.quantity < 0 for line in lines):
        return "the document has prices and a negative quantity but is no credit note (C...)"
    return Kind.SALE


def _classify_unpriced(lines: list[Line]) -> Kind | str:
    if all(is_service(line.code) for line in lines):
        return "nothing to book: no price and no goods"
    if all(line.quantity < 0 for line in lines):
        return Kind.WRITE_OFF
    if all(line.quantity > 0 for line in lines):
        return Kind.GIVEN if lines[0].customer else Kind.FOUND
    return "the unpriced document mixes positive and negative quantities"
