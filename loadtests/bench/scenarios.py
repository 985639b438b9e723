"""What clients do: reads by id, lists, an order in one request, order to cash in six, one hot product."""

import asyncio
import itertools
import random
import time
from collections.abc import Callable, Sequence
from uuid import uuid4

import msgspec

from loadtests.bench.client import Client, Reply, finish, opening
from loadtests.bench.measure import Scenario, Unexpected
from loadtests.fleet import Fleet
from loadtests.tenant import Books, Product

_ID = b'"id":"'
_GROSS = b'"gross":"'
_EMPTY = b"{}"

#: A product or a few of them for the next order of a client.
Choose = Callable[[], Sequence[Product]]


class Problem(msgspec.Struct, frozen=True):
    """What an error answer says about itself."""

    code: str = "unknown"


class Callers:
    """The connections and prepared request openings of all clients; each client has its own key and connection."""

    def __init__(self, fleet: Fleet, books: Books, clients: int) -> None:
        trust = fleet.trust
        self.books = books
        self.draw = random.Random(1)
        self._keys = [books.keys[number % len(books.keys)] for number in range(clients)]
        self._clients = [Client(fleet.host, fleet.port, trust) for _ in range(clients)]
        self._openings: dict[tuple[str, str, int], bytes] = {}
        self._run = uuid4().hex[:12]
        self._sent = itertools.count()

    @property
    def connects(self) -> int:
        """Connections opened so far; more than clients when the server closed some."""
        return sum(client.connects for client in self._clients)

    def close(self) -> None:
        for client in self._clients:
            client.close()

    def get(self, client: int, path: str) -> bytes:
        return opening("GET", path, self._keys[client]) + b"\r\n"

    async def ask(self, client: int, raw: bytes, status: int = 200) -> tuple[Reply, float]:
        """The reply and the seconds it took. Raises Unexpected, OSError."""
        started = time.perf_counter()
        reply = await self._clients[client].request(raw)
        spent = time.perf_counter() - started
        if reply.status != status:
            raise Unexpected(f"{reply.status} {_code(reply)}")
        return reply, spent

    async def post(self, client: int, path: str, body: bytes = _EMPTY, status: int = 201) -> tuple[Reply, float]:
        """A write with an Idempotency-Key of its own. `path` may hold an id: only the others are kept prepared."""
        key = f"{self._run}-{next(self._sent):08d}"
        return await self.ask(client, opening("POST", path, self._keys[client]) + finish(body, key), status)

    def order(self, products: Sequence[Product], *, confirm: bool) -> bytes:
        """The body of an order of one to three pieces of each product."""
        lines = ",".join(f'{{"product_id":"{one.id}","quantity":"{self.draw.randint(1, 3)}"}}' for one in products)
        party = self.draw.choice(self.books.customers)
        return f'{{"party_id":"{party}","confirm":{"true" if confirm else "false"},"lines":[{lines}]}}'.encode()

    def some(self) -> Sequence[Product]:
        """Three different products."""
        return self.draw.sample(self.books.products, 3)


def _code(reply: Reply) -> str:
    try:
        return msgspec.json.decode(reply.body, type=Problem).code
    except (msgspec.DecodeError, msgspec.ValidationError):
        return "without a problem document"


def value_of(body: bytes, name: bytes) -> str:
    """The first text after `name` in a JSON answer: cheaper than decoding it all."""
    start = body.index(name) + len(name)
    return body[start : body.index(b'"', start)].decode()


def reads(callers: Callers) -> Scenario:
    """GET /v1/sales-orders/{id} of orders with three lines, at random."""
    orders = callers.books.orders

    async def step(client: int) -> Sequence[float]:
        raw = callers.get(client, f"/v1/sales-orders/{callers.draw.choice(orders)}")
        return ((await callers.ask(client, raw))[1],)

    return Scenario("read an order by id", "reads", ("read",), step)


def lists(callers: Callers) -> Scenario:
    """GET /v1/sales-orders: the newest fifty."""

    async def step(client: int) -> Sequence[float]:
        return ((await callers.ask(client, callers.get(client, "/v1/sales-orders?limit=50")))[1],)

    return Scenario("list 50 orders", "lists", ("list",), step)


def confirmed_orders(callers: Callers) -> Scenario:
    """POST /v1/sales-orders with three lines and `confirm`: created, reserved, confirmed."""

    async def step(client: int) -> Sequence[float]:
        body = callers.order(callers.some(), confirm=True)
        return ((await callers.post(client, "/v1/sales-orders", body))[1],)

    return Scenario("create + confirm a 3-line order", "orders", ("create + confirm",), step)


def order_to_cash(callers: Callers) -> Scenario:
    """Six requests one after the other; the payment settles the invoice in full."""

    async def step(client: int) -> Sequence[float]:
        created, first = await callers.post(client, "/v1/sales-orders", callers.order(callers.some(), confirm=False))
        order = f"/v1/sales-orders/{value_of(created.body, _ID)}"
        _, second = await callers.post(client, f"{order}/confirm", status=200)
        _, third = await callers.post(client, f"{order}/deliveries")
        drafted, fourth = await callers.post(client, f"{order}/invoices")
        invoice = value_of(drafted.body, _ID)
        posted, fifth = await callers.post(client, f"/v1/invoices/{invoice}/post", status=200)
        party, gross = value_of(created.body, b'"party_id":"'), value_of(posted.body, _GROSS)
        paid = (
            f'{{"direction":"in","party_id":"{party}","amount":"{gross}",'
            f'"allocations":[{{"invoice_id":"{invoice}","amount":"{gross}"}}]}}'
        )
        _, sixth = await callers.post(client, "/v1/payments", paid.encode())
        return (first, second, third, fourth, fifth, sixth)

    parts = ("create", "confirm", "deliver", "invoice", "post", "pay")
    return Scenario("order to cash in six requests", "flows", parts, step)


def one_line_orders(callers: Callers, name: str, choose: Choose) -> Scenario:
    """POST /v1/sales-orders with one line and `confirm`, of the product that `choose` gives."""

    async def step(client: int) -> Sequence[float]:
        body = callers.order(choose(), confirm=True)
        return ((await callers.post(client, "/v1/sales-orders", body))[1],)

    return Scenario(name, "orders", ("create + confirm",), step)


def hot_product(callers: Callers) -> Scenario:
    hot = (callers.books.hot,)
    return one_line_orders(callers, "1-line orders, one hot product", lambda: hot)


def spread_products(callers: Callers) -> Scenario:
    products = callers.books.products
    return one_line_orders(callers, "1-line orders, spread products", lambda: (callers.draw.choice(products),))


async def sell_out(callers: Callers, clients: int) -> int:
    """Order the scarce product, a piece at a time, until every client was refused; the pieces sold.

    Raises Unexpected for a refusal of another kind.
    """
    scarce = callers.books.scarce
    body = (
        f'{{"party_id":"{callers.books.customers[0]}","confirm":true,'
        f'"lines":[{{"product_id":"{scarce.id}","quantity":"1"}}]}}'
    ).encode()
    sold = 0

    async def client(number: int) -> None:
        nonlocal sold
        while True:
            try:
                await callers.post(number, "/v1/sales-orders", body)
            except Unexpected as refusal:
                if str(refusal) == "409 insufficient-stock":
                    return
                raise
            sold += 1

    await asyncio.gather(*(client(number) for number in range(clients)))
    return sold
