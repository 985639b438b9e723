"""What every chapter of the story works with: the company, its client, its calendar and what it knows by name."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from erp.exchange.demo.client import Client, Json
from erp.exchange.demo.companies import Company, Item
from erp.exchange.demo.generate import Calendar, Trading

#: The last record of the story: where it is, the story was told to its end.
LAST_ENTRY = "demo:month-end"
ADVANCE = "500.00"


@dataclass(slots=True)
class Shop:
    """`parties` and `products`: the ids behind the codes. `tell` shows a sentence to whoever watches."""

    company: Company
    client: Client
    calendar: Calendar
    trading: Trading
    tell: Callable[[str], None]
    parties: dict[str, str] = field(default_factory=dict)
    products: dict[str, str] = field(default_factory=dict)

    def key(self, name: str) -> str:
        """The Idempotency-Key of a step: the same in every run, so that a run that broke off goes on."""
        return f"demo:{self.company.slug}:{name}"

    def post(self, path: str, name: str, body: Json | None = None) -> Any:
        """A step of the story. Raises UnexpectedAnswer."""
        return self.client.post(path, body, key=self.key(name))

    def batch(self, name: str, *operations: Json) -> list[Json]:
        """Several steps in one transaction. Raises UnexpectedAnswer."""
        return self.client.batch(list(operations), key=self.key(name))

    def supplier(self, place: int) -> str:
        return self.parties[supplier_code(place)]

    def customer(self, place: int) -> str:
        return self.parties[customer_code(place)]

    def lines(self, sold: Sequence[tuple[str, Decimal]]) -> list[Json]:
        """Lines of a document: product and quantity; the price is the product's own."""
        return [{"product_id": self.products[code], "quantity": plain(quantity)} for code, quantity in sold]

    def money(self, amount: str | Decimal) -> str:
        """An amount for a sentence."""
        return f"{self.company.currency} {Decimal(amount):,.2f}"

    def purchase_lines(self, bought: Sequence[tuple[Item, Decimal]]) -> list[Json]:
        return [
            {"product_id": self.products[item.code], "quantity": plain(quantity), "unit_price": item.cost}
            for item, quantity in bought
        ]


def supplier_code(place: int) -> str:
    return f"S-{place + 1:03}"


def customer_code(place: int) -> str:
    return f"C-{place + 1:03}"


def plain(quantity: Decimal) -> str:
    """A quantity on the wire: no exponent, no zeros at the end."""
    return f"{quantity.normalize():f}"


def operation(op: str, data: Json | None = None, target: Any = None) -> Json:
    """One operation of a batch."""
    found: Json = {"op": op, "data": data or {}}
    return {**found, "target": target} if target is not None else found


def result(number: int, name: str = "id") -> Json:
    """A field of an earlier operation's result in the same batch."""
    return {"$from": number, "field": name}
