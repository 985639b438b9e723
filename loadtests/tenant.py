"""The books that are measured: a wholesaler with products, customers, stock and a few thousand orders."""

import asyncio
import math
import random
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, TypeVar
from uuid import uuid4

import psycopg

from erp.exchange.api import ROWS_PER_REQUEST, Api, RowAnswer
from loadtests.fleet import Fleet

STOCK_OF_EACH = 200_000
STOCK_OF_HOT = 5_000_000
#: Pieces of the product that many clients fight for until it is sold out.
STOCK_OF_SCARCE = 400
_LINES_OF_RECEIPT = 100
_STREAMS = 6
_NOUNS = ("Lantern", "Mug", "Cushion", "Clock", "Basket", "Candle", "Tray", "Ribbon", "Frame", "Bowl", "Lamp", "Box")
_LOOKS = ("Red", "Ivory", "Vintage", "Painted", "Woven", "Small", "Large", "Retro", "Enamel", "Folding", "Glass")
_TOWNS = ("London", "Leeds", "York", "Bristol", "Glasgow", "Cardiff", "Derby", "Exeter", "Luton", "Bath")

Progress = Callable[[str, int, int], None]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much of everything a tenant gets: products, customers, and orders of three kinds."""

    products: int
    customers: int
    direct_sales: int
    confirmed: int
    drafts: int


WHOLESALER = Sizes(products=500, customers=200, direct_sales=1_500, confirmed=1_000, drafts=500)
SHOP = Sizes(products=60, customers=20, direct_sales=40, confirmed=40, drafts=20)


@dataclass(frozen=True, slots=True)
class Product:
    """`price` and `cost` of one piece, with two decimals: the cost of a sale is then always exact."""

    id: str
    code: str
    price: Decimal
    cost: Decimal


@dataclass(frozen=True, slots=True)
class Books:
    """A tenant ready to be driven. `keys`: API keys, one a client. `orders`: ids of orders with three lines.

    `hot` and `scarce` are not among the `products`: everybody orders the one, and there is little of the other.
    """

    tenant_id: str
    owner: str
    keys: tuple[str, ...]
    products: tuple[Product, ...]
    hot: Product
    scarce: Product
    customers: tuple[str, ...]
    orders: tuple[str, ...]

    def api(self, fleet: Fleet) -> Api:
        return Api.over_tls(fleet.url, self.owner, fleet.certificate, connections=_STREAMS)


@asynccontextmanager
async def opened(api: Api) -> AsyncIterator[Api]:
    try:
        yield api
    finally:
        await api.close()


async def make_tenant(fleet: Fleet, name: str) -> tuple[str, str]:
    """A new tenant through POST /v1/tenants; its id and its owner's key. Raises ApiProblem."""
    body = {
        "slug": f"load-{uuid4().hex[:12]}", "name": name, "base_currency": "GBP", "country": "GB",
        "time_zone": "Europe/London",
    }  # fmt: skip
    async with opened(Api.over_tls(fleet.url, fleet.operator_key, fleet.certificate)) as api:
        made = await api.post("/v1/tenants", body, key=str(uuid4()))
    return made["tenant"]["id"], made["owner_key"]["secret"]


async def make_keys(api: Api, count: int, role: str = "owner") -> tuple[str, ...]:
    """API keys, so that every client is a principal of its own."""
    turns = asyncio.Semaphore(_STREAMS)

    async def one(number: int) -> str:
        async with turns:
            made = await api.post("/v1/api-keys", {"name": f"Client {number}", "role": role}, key=str(uuid4()))
        secret: str = made["secret"]
        return secret

    return tuple(await asyncio.gather(*(one(number) for number in range(count))))


async def fill(fleet: Fleet, name: str, sizes: Sizes, clients: int, progress: Progress) -> Books:
    """Provision a tenant and trade for a while, all through the public API. Raises ApiProblem, BadRow."""
    tenant_id, owner = await make_tenant(fleet, name)
    draw = random.Random(20111209)
    async with opened(Api.over_tls(fleet.url, owner, fleet.certificate, connections=_STREAMS)) as api:
        filling = _Filling(api, sizes, draw, progress)
        keys = await make_keys(api, clients)
        tax_group = await _tax_group(api)
        products = await filling.products(tax_group)
        customers = await filling.customers()
        supplier = await filling.supplier()
        hot, scarce, *others = products
        stock = {hot.id: STOCK_OF_HOT, scarce.id: STOCK_OF_SCARCE}
        await filling.opening_stock(supplier, [(one, stock.get(one.id, STOCK_OF_EACH)) for one in products])
        orders = await filling.history(others, customers)
    return Books(tenant_id, owner, keys, tuple(others), hot, scarce, tuple(customers), tuple(orders))


class BadRow(RuntimeError):
    """A row of the prepared data was refused: the data or the application is wrong."""


class _Filling:
    """Sends the prepared records in bulk."""

    def __init__(self, api: Api, sizes: Sizes, draw: random.Random, progress: Progress) -> None:
        self._api = api
        self._sizes = sizes
        self._draw = draw
        self._progress = progress

    async def products(self, tax_group: str) -> list[Product]:
        """Every third line of real catalogues costs pennies, few cost more than a hundred."""
        rows, prices = [], []
        for number in range(self._sizes.products + 2):
            price = Decimal(round(self._draw.lognormvariate(1.8, 1.0) * 100) + 35) / 100
            cost = max(Decimal("0.05"), (price * Decimal(self._draw.randint(40, 70)) / 100).quantize(Decimal("0.01")))
            name = f"{self._draw.choice(_LOOKS)} {self._draw.choice(_NOUNS)} {number}"
            rows.append(
                {"code": f"P{number:05d}", "name": name, "sale_price": str(price), "tax_group_id": tax_group,
                 "reorder_point": "20"}
            )  # fmt: skip
            prices.append((price, cost))
        ids = await self.send("products", rows)
        return [
            Product(one, row["code"], price, cost) for one, row, (price, cost) in zip(ids, rows, prices, strict=True)
        ]

    async def customers(self) -> list[str]:
        rows = []
        for number in range(self._sizes.customers):
            town = self._draw.choice(_TOWNS)
            street = f"{self._draw.randint(1, 200)} {town} Road"
            rows.append(
                {"code": f"C{number:05d}", "name": f"{town} Gifts {number} Ltd", "is_customer": True, "country": "GB",
                 "payment_terms_days": self._draw.choice((14, 30, 60)), "email": f"orders{number}@example.com",
                 "addresses": [{"kind": "billing", "street": street, "city": town, "country": "GB"}]}
            )  # fmt: skip
        return await self.send("parties", rows)

    async def supplier(self) -> str:
        row = {"code": "S00001", "name": "Far East Trading Ltd", "is_supplier": True, "country": "HK"}
        [found] = await self.send("parties", [row])
        return found

    async def opening_stock(self, supplier: str, stock: Sequence[tuple[Product, int]]) -> None:
        """What was bought before the first sale."""
        day = (datetime.now(UTC) - timedelta(days=100)).date().isoformat()
        for done, part in enumerate(_parts(stock, _LINES_OF_RECEIPT), 1):
            lines = [
                {"product_id": one.id, "quantity": str(quantity), "unit_price": str(one.cost)}
                for one, quantity in part
            ]
            receipt = {"party_id": supplier, "date": day, "lines": lines}
            await self._api.post("/v1/direct-receipts", receipt, key=str(uuid4()))
            self._progress("direct-receipts", done, math.ceil(len(stock) / _LINES_OF_RECEIPT))

    async def history(self, products: Sequence[Product], customers: Sequence[str]) -> list[str]:
        """Ninety days of direct sales, then open orders and drafts; ids of those with three lines."""
        sales = [
            {**self._order(products, customers, self._draw.randint(1, 8)), "date": self._day()}
            for _ in range(self._sizes.direct_sales)
        ]
        await self.send("direct-sales", sales)
        confirmed = [{**self._order(products, customers, 3), "confirm": True} for _ in range(self._sizes.confirmed)]
        drafts = [self._order(products, customers, 3) for _ in range(self._sizes.drafts)]
        return await self.send("sales-orders", [*confirmed, *drafts])

    def _order(self, products: Sequence[Product], customers: Sequence[str], lines: int) -> dict[str, Any]:
        chosen = self._draw.sample(products, lines)
        return {
            "party_id": self._draw.choice(customers),
            "lines": [{"product_id": one.id, "quantity": str(self._draw.randint(1, 12))} for one in chosen],
        }

    def _day(self) -> str:
        return (datetime.now(UTC) - timedelta(days=self._draw.randint(1, 90))).date().isoformat()

    async def send(self, resource: str, rows: Sequence[dict[str, Any]]) -> list[str]:
        """The rows' ids, in their order. Raises BadRow."""
        turns = asyncio.Semaphore(_STREAMS)
        done = 0
        run = uuid4().hex[:8]
        self._progress(resource, 0, len(rows))

        async def part(chunk: Sequence[tuple[str, dict[str, Any]]]) -> list[RowAnswer]:
            nonlocal done
            async with turns:
                answers = await self._api.bulk(resource, chunk)
            done += len(chunk)
            self._progress(resource, done, len(rows))
            return answers

        keyed = [(f"{run}:{number}", row) for number, row in enumerate(rows)]
        answers = await asyncio.gather(*(part(chunk) for chunk in _parts(keyed, ROWS_PER_REQUEST)))
        return [_id(resource, answer) for chunk in answers for answer in chunk]


def _bought(product: Product, quantity: int) -> dict[str, str]:
    return {"product_id": product.id, "quantity": str(quantity), "unit_price": str(product.cost)}


def _id(resource: str, answer: RowAnswer) -> str:
    if answer.id is None:
        raise BadRow(f"{resource} {answer.key}: {answer.problem}")
    return answer.id


def _parts(rows: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    return (rows[start : start + size] for start in range(0, len(rows), size))


async def _tax_group(api: Api) -> str:
    """The group with the highest rate today: tax is part of what is measured."""
    page = await api.get("/v1/tax-groups")
    groups = sorted(page["data"], key=lambda one: max((Decimal(rate["rate"]) for rate in one["rates"]), default=0))
    if not groups:
        raise BadRow("tax-groups: the tenant has none")
    found: str = groups[-1]["id"]
    return found


def analyze(fleet: Fleet) -> None:
    """Statistics of what was just loaded; also makes every cached plan be made anew."""
    with psycopg.connect(fleet.superuser_url, autocommit=True) as session:
        session.execute("ANALYZE")
