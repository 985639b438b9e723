"""What the report shows of one tenant, read from the API."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from erp.exchange.demo.client import Client, Json

#: What was traded -> (list, the amount that is added up, what counts).
_TRADE: Final[tuple[tuple[str, str, str, dict[str, str]], ...]] = (
    ("purchase orders, net", "/v1/purchase-orders", "net", {}),
    ("goods receipts, at cost", "/v1/goods-receipts", "value", {}),
    ("supplier bills, gross", "/v1/supplier-bills", "gross", {"state": "posted"}),
    ("payments out", "/v1/payments", "amount", {"direction": "out", "state": "posted"}),
    ("sales orders, gross", "/v1/sales-orders", "gross", {}),
    ("deliveries, at cost", "/v1/deliveries", "cost", {}),
    ("invoices, gross", "/v1/invoices", "gross", {"kind": "invoice", "state": "posted"}),
    ("payments in", "/v1/payments", "amount", {"direction": "in", "state": "posted"}),
    ("returns, at cost", "/v1/returns", "cost", {}),
    ("credit notes, gross", "/v1/invoices", "gross", {"kind": "credit_note", "state": "posted"}),
    ("stock adjustments", "/v1/stock-adjustments", "value", {}),
)


@dataclass(frozen=True, slots=True)
class Traded:
    """Documents of one kind: how many, and what they add up to."""

    kind: str
    documents: int
    amount: Decimal


@dataclass(frozen=True, slots=True)
class Stocked:
    """A product in stock, over all locations."""

    code: str
    name: str
    on_hand: Decimal
    reserved: Decimal
    incoming: Decimal
    value: Decimal
    unit_cost: str


@dataclass(frozen=True, slots=True)
class Figures:
    """`owed_to_us` and `owed_by_us` are the aged totals; `stock_total` is beside the inventory account."""

    traded: tuple[Traded, ...]
    stock: tuple[Stocked, ...]
    stock_total: Json
    trial_balance: Json
    owed_to_us: Json
    owed_by_us: Json
    proof: Json
    jobs: Counter[str]


def read_figures(client: Client) -> Figures:
    """Raises UnexpectedAnswer."""
    trial_balance = client.get("/v1/trial-balance")
    return Figures(
        traded=tuple(_traded(client)),
        stock=tuple(_stock(client)),
        stock_total=client.get("/v1/stock-valuation/total", as_of=trial_balance["as_of"]),
        trial_balance=trial_balance,
        owed_to_us=client.get("/v1/aged-receivables"),
        owed_by_us=client.get("/v1/aged-payables"),
        proof=client.get("/v1/proof"),
        jobs=Counter(job["state"] for job in client.rows("/v1/jobs")),
    )


def _traded(client: Client) -> Iterator[Traded]:
    """Every list is read once, whatever is counted of it."""
    lists = {path: client.rows(path) for path in dict.fromkeys(path for _, path, _, _ in _TRADE)}
    for kind, path, amount, counted in _TRADE:
        rows = [row for row in lists[path] if counted.items() <= row.items()]
        yield Traded(kind, len(rows), _sum(row[amount] for row in rows))


def _stock(client: Client) -> list[Stocked]:
    names = {row["id"]: row["name"] for row in client.rows("/v1/products", kind="stocked")}
    values = {row["product_id"]: row for row in client.rows("/v1/stock-valuation")}
    levels: dict[str, list[Json]] = defaultdict(list)
    for level in client.rows("/v1/stock-levels"):
        levels[level["product_id"]].append(level)
    found = [
        Stocked(
            code=places[0]["product_code"],
            name=names.get(product, ""),
            on_hand=_sum(place["on_hand"] for place in places),
            reserved=_sum(place["reserved"] for place in places),
            incoming=_sum(place["incoming"] for place in places),
            value=Decimal(values[product]["value"]) if product in values else Decimal(0),
            unit_cost=(values[product]["unit_cost"] if product in values else None) or "",
        )
        for product, places in levels.items()
    ]
    return sorted(found, key=lambda one: one.code)


def _sum(numbers: Iterable[str]) -> Decimal:
    return sum((Decimal(number) for number in numbers), Decimal(0))
