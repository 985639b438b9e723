"""Callers that trade while the fleet is being broken, and the history of what each of them asked and was told.

Every write carries a mark of its own into the record it makes, so that effects can be counted whatever key
they were asked under. A caller that got no answer, or one that says nothing for certain, asks again under the
same key until it knows.
"""

import asyncio
import contextlib
import itertools
import random
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from tests.fleet.wire import Reply, Wire

#: How much of what is asked is asked by somebody who does not wait for the answer, and how long such a one stays.
_HANGS_UP, _STAYS = 0.06, 0.03
_PAUSE = 0.02
_PATIENCE = 60.0


@dataclass(frozen=True, slots=True)
class Shop:
    """A tenant: who trades what. `scarce` is the product of which there is not enough."""

    id: str
    token: str
    customer: str
    products: tuple[str, ...]
    scarce: str


@dataclass(slots=True)
class Deed:
    """One write under one key. `tries`: the status of each try, None when no answer came; the last one counts."""

    shop: Shop
    kind: str
    mark: str
    path: str
    body: bytes
    tries: list[int | None] = field(default_factory=list)
    answer: bytes = b""
    answered_at: float = 0.0

    @property
    def status(self) -> int:
        """0: never answered for certain."""
        return self.tries[-1] or 0 if self.answer else 0

    @property
    def done(self) -> bool:
        return 200 <= self.status < 300

    @property
    def disturbed(self) -> bool:
        return len(self.tries) > 1

    @property
    def told(self) -> dict[str, Any]:
        found: dict[str, Any] = msgspec.json.decode(self.answer)
        return found


class History:
    """What all traders did, in the order they began it."""

    def __init__(self, run: str) -> None:
        self.deeds: list[Deed] = []
        #: When a try got a 5xx, or no answer though its caller waited for one; monotonic seconds.
        self.troubles: list[float] = []
        #: What each of them was: the problem's code, or how else the try ended.
        self.symptoms: list[str] = []
        #: Reads that got a 5xx or no answer: what, and after how long.
        self.unread: list[str] = []
        #: When each write was asked, and how many seconds its answer took; those without an answer are not here.
        self.answers: list[tuple[float, float]] = []
        #: What a caller did not find as it had just written it.
        self.stale: list[str] = []
        self._run = run
        self._numbers = itertools.count(1)

    def begin(self, shop: Shop, kind: str, path: str, body: Mapping[str, Any], mark_in: str) -> Deed:
        """`mark_in`: the field of the body that takes the mark, '' where the record has none."""
        mark = f"{self._run}-{next(self._numbers):06d}"
        marked = {**body, mark_in: mark} if mark_in else body
        deed = Deed(shop, kind, mark, path, msgspec.json.encode(marked))
        self.deeds.append(deed)
        return deed

    def of(self, shop: Shop, kind: str) -> list[Deed]:
        return [deed for deed in self.deeds if deed.shop is shop and deed.kind == kind]


class Refused(Exception):
    """A definite no; the history has it."""


class Trader:
    """One caller. Order to cash in six requests, orders of the scarce product, and corrections of stock."""

    def __init__(self, wire: Wire, shop: Shop, history: History, seed: int, *, reads_back: bool = False) -> None:
        self._wire = wire
        self._shop = shop
        self._history = history
        self._draw = random.Random(seed)
        self._reads_back = reads_back

    async def trade(self, over: asyncio.Event) -> None:
        """Until told that it is over; what was begun is brought to an end."""
        while not over.is_set():
            chosen = self._draw.random()
            with contextlib.suppress(Refused):
                if chosen < 0.5:
                    await self._order_to_cash()
                elif chosen < 0.75:
                    await self._order_scarce()
                else:
                    await self._correct_stock()
        self._wire.break_off()

    async def _order_to_cash(self) -> None:
        lines = [
            {"product_id": product, "quantity": str(self._draw.randint(1, 3))}
            for product in self._draw.sample(self._shop.products, 2)
        ]
        party = self._shop.customer
        order = await self._must("order", "/v1/sales-orders", {"party_id": party, "lines": lines}, "reference")
        path = f"/v1/sales-orders/{order['id']}"
        await self._read_back(path, "draft")
        await self._must("confirm", f"{path}/confirm", {}, "")
        await self._read_back(path, "confirmed")
        await self._must("delivery", f"{path}/deliveries", {}, "text")
        invoice = await self._must("invoice", f"{path}/invoices", {}, "text")
        posted = await self._must("post", f"/v1/invoices/{invoice['id']}/post", {}, "")
        paid = {"direction": "in", "party_id": party, "amount": posted["gross"]}
        settled = {"invoice_id": invoice["id"], "amount": posted["gross"]}
        await self._must("payment", "/v1/payments", {**paid, "allocations": [settled]}, "reference")

    async def _order_scarce(self) -> None:
        line = {"product_id": self._shop.scarce, "quantity": "1"}
        body = {"party_id": self._shop.customer, "lines": [line], "confirm": True}
        await self._must("scarce", "/v1/sales-orders", body, "reference")

    async def _correct_stock(self) -> None:
        line = {"product_id": self._draw.choice(self._shop.products), "quantity": self._draw.choice(["1", "-1", "2"])}
        body = {"reason": "count", "lines": [line]}
        await self._must("adjustment", "/v1/stock-adjustments", body, "text")

    async def _must(self, kind: str, path: str, body: Mapping[str, Any], mark_in: str) -> dict[str, Any]:
        """What was made. Raises Refused."""
        deed = self._history.begin(self._shop, kind, path, body, mark_in)
        try:
            async with asyncio.timeout(_PATIENCE):
                while not deed.answer:
                    await self._try(deed)
        except TimeoutError:
            raise AssertionError(f"no answer for certain within {_PATIENCE:g} s: {deed}") from None
        await asyncio.sleep(self._draw.uniform(0, _PAUSE))
        if not deed.done:
            raise Refused
        return deed.told

    async def _read_back(self, path: str, state: str) -> None:
        """What this caller has just written; an answer that cannot be given is not a wrong one."""
        if not self._reads_back:
            return
        asked = time.monotonic()
        reply = await self._wire.ask("GET", path)
        if reply is None or reply.status >= 500:
            self._history.unread.append(f"{symptom_of(reply)} after {time.monotonic() - asked:.1f} s")
        else:
            found = msgspec.json.decode(reply.body).get("state") if reply.status == 200 else reply.status
            if found != state:
                self._history.stale.append(f"{path}: {found} instead of {state}")

    async def _try(self, deed: Deed) -> None:
        hang_up = self._draw.uniform(0.001, _STAYS) if self._draw.random() < _HANGS_UP else 0.0
        asked = time.monotonic()
        reply = await self._wire.ask("POST", deed.path, deed.body, key_of(deed), hang_up=hang_up)
        if reply is not None:
            self._history.answers.append((asked, time.monotonic() - asked))
        deed.tries.append(None if reply is None else reply.status)
        if (reply is None and not hang_up) or (reply is not None and reply.status >= 500):
            self._history.troubles.append(time.monotonic())
            self._history.symptoms.append(symptom_of(reply))
        if reply is not None and is_final(reply):
            deed.answer, deed.answered_at = reply.body, time.monotonic()
        else:
            await asyncio.sleep(self._draw.uniform(0.02, 0.2))


def key_of(deed: Deed) -> str:
    """The same for every try."""
    return f"key-of-{deed.mark}"


def symptom_of(reply: Reply | None) -> str:
    """The problem's code; nginx's own answers have none."""
    if reply is None:
        return "no answer"
    with contextlib.suppress(msgspec.DecodeError):
        told = msgspec.json.decode(reply.body)
        return f"{reply.status} {told.get('code', '')}" if isinstance(told, dict) else str(reply.status)
    return str(reply.status)


def is_final(reply: Reply) -> bool:
    """Whether the caller now knows what became of it."""
    if reply.status < 400:
        return True
    return reply.status < 500 and not msgspec.json.decode(reply.body)["retryable"]
