"""One run: fill, drive each scenario through the front door, run its bare limit, prove the books."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import psycopg
from rich.console import Console

from loadtests.bench import aims
from loadtests.bench.aims import Found, verdicts
from loadtests.bench.bare import Pgbench, Script
from loadtests.bench.machine import describe
from loadtests.bench.measure import Scenario, Unexpected, measure, warm_up
from loadtests.bench.report import Proof, Report, SellOut, show_limits, show_machine
from loadtests.bench.scenarios import (
    Callers,
    confirmed_orders,
    hot_product,
    lists,
    order_to_cash,
    reads,
    sell_out,
    spread_products,
)
from loadtests.bench.writes import traces
from loadtests.fleet import TOO_YOUNG, Fleet
from loadtests.tenant import STOCK_OF_SCARCE, WHOLESALER, Books, analyze, fill, opened

HOT_CLIENTS = 32
#: No product has this id: a script that is told to order only it orders any.
_ANY = "00000000-0000-0000-0000-000000000000"


@dataclass(frozen=True, slots=True)
class Options:
    """`clients` of every scenario but the two on one product, which have 32. Seconds per measurement."""

    clients: int
    seconds: float
    warm_up: float
    only: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Planned:
    """A scenario, the script that is its bare limit, and the number of clients of both."""

    name: str
    make: Callable[[Callers], Scenario]
    clients: int
    script: tuple[str, ...]
    told: Callable[[Books], dict[str, str]] = lambda books: {}


def plan(options: Options) -> list[Planned]:
    few = options.clients
    order, flow = ("decide", "confirmed_order"), ("decide", "order_to_cash")
    every = [
        Planned(aims.READS, reads, few, ("read_order",)),
        Planned(aims.LISTS, lists, few, ("list_orders",)),
        Planned(aims.ORDERS, confirmed_orders, few, order, lambda books: {"lines": "3", "only": _ANY}),
        Planned(aims.FLOWS, order_to_cash, few, flow, lambda books: {"lines": "3", "only": _ANY}),
        Planned(aims.SPREAD, spread_products, HOT_CLIENTS, order, lambda books: {"lines": "1", "only": _ANY}),
        Planned(aims.HOT, hot_product, HOT_CLIENTS, order, lambda books: {"lines": "1", "only": books.hot.id}),
    ]
    return [one for one in every if not options.only or one.name in options.only]


class Run:
    """One run on a fleet; `out` tells how far it is."""

    def __init__(self, fleet: Fleet, options: Options, out: Console) -> None:
        self._fleet = fleet
        self._options = options
        self._out = out
        self._failures: list[str] = []

    async def report(self) -> Report:
        """Raises ApiProblem, BadRow, BareFailed."""
        machine = describe(self._fleet)
        show_machine(self._out, machine)
        show_limits(self._out, self._fleet.raised)
        planned = plan(self._options)
        clients = max(HOT_CLIENTS, self._options.clients)
        books = await fill(self._fleet, "Bench Wholesale Ltd", WHOLESALER, clients, self._told)
        analyze(self._fleet)
        bench = Pgbench(self._fleet)
        callers = Callers(self._fleet, books, clients)
        try:
            await self._come_of_age()
            results = {one.name: await self._scenario(one, callers, bench) for one in planned}
            self._out.print(f"{STOCK_OF_SCARCE} pieces of one product, {HOT_CLIENTS} clients, until it is sold out")
            sold = await self._sold_out(callers, books)
        finally:
            callers.close()
        proof = await self._proof(books)
        oversold = self._oversold(books)
        self._judge(results, sold, oversold, proof)
        return Report(
            taken_at=datetime.now(UTC).isoformat(timespec="seconds"),
            machine=machine,
            raised_limits={one.name: (one.default, one.now) for one in self._fleet.raised},
            seconds=self._options.seconds,
            results=results,
            aims=verdicts(results),
            sell_out=sold,
            oversold=oversold,
            proof=proof,
            restarts=self._fleet.restarts(),
            failures=self._failures,
        )

    def _told(self, what: str, done: int, total: int) -> None:
        if done == total:
            self._out.print(f"  {total:,} {what}")

    async def _come_of_age(self) -> None:
        """Until then every read goes to the primary, which is not how a fleet lives."""
        left = self._fleet.comes_of_age_in()
        if left > 0:
            self._out.print(TOO_YOUNG.format(left))
            await asyncio.sleep(left)

    async def _scenario(self, planned: Planned, callers: Callers, bench: Pgbench) -> Found:
        scenario = planned.make(callers)
        self._out.print(f"{scenario.name}: {planned.clients} clients, {self._options.seconds:g} s, then the bare SQL")
        await warm_up(scenario, planned.clients, self._options.warm_up)
        measured = await measure(scenario, planned.clients, self._options.seconds, self._fleet.cpu)
        known = {**bare_variables(self._fleet, callers.books), **planned.told(callers.books)}
        script = Script(planned.script, known)
        url = self._fleet.superuser_url
        try:
            asked = await traces(url, lambda: scenario.step(0))
        except Unexpected:
            return Found(measured)  # it fails, so there is nothing to compare; its errors are told anyway
        script = script.told(asked.texts)
        bare = await bench.measure(
            script, planned.clients, self._options.seconds, self._options.warm_up, self._fleet.cpu
        )
        done = await traces(url, lambda: bench.once(script))
        return Found(measured, bare, self._same(script.name, asked.rows, done.rows))

    def _same(self, script: str, asked: dict[str, int], done: dict[str, int]) -> bool:
        """The bare limit means something only while its script writes what the requests write."""
        apart = sorted(name for name in asked.keys() | done.keys() if asked.get(name) != done.get(name))
        if apart:
            told = ", ".join(f"{name} {asked.get(name, 0)}/{done.get(name, 0)}" for name in apart)
            self._out.print(f"[yellow]rows written, requests / {script}.sql: {told}[/]")
        return not apart

    async def _sold_out(self, callers: Callers, books: Books) -> SellOut:
        sold: int | None
        try:
            sold = await sell_out(callers, HOT_CLIENTS)
        except (Unexpected, OSError) as error:
            self._failures.append(f"selling out: {error}")
            sold = None
        async with opened(books.api(self._fleet)) as api:
            there = await api.get(f"/v1/products/{books.scarce.id}/availability")
        return SellOut(
            clients=HOT_CLIENTS,
            pieces=STOCK_OF_SCARCE,
            sold=sold,
            reserved=there["reserved"],
            available=there["available"],
        )

    async def _proof(self, books: Books) -> Proof:
        async with opened(books.api(self._fleet)) as api:
            found = await api.get("/v1/proof")
        broken = [check["name"] for check in found["checks"] if not check["holds"]]
        return Proof(found["holds"], len(found["checks"]), broken)

    def _oversold(self, books: Books) -> list[str]:
        """Products of which more is reserved than there is, or whose reservations do not add up."""
        query = (
            "SELECT p.code FROM stock_levels l JOIN products p ON (p.tenant_id, p.id) = (l.tenant_id, l.product_id)"
            " LEFT JOIN (SELECT tenant_id, product_id, location_id, sum(open_quantity) AS held FROM reservations"
            " WHERE state = 'active' GROUP BY 1, 2, 3) r"
            " ON (r.tenant_id, r.product_id, r.location_id) = (l.tenant_id, l.product_id, l.location_id)"
            " WHERE l.tenant_id = %s AND (l.reserved > l.on_hand OR l.reserved <> coalesce(r.held, 0))"
        )
        with psycopg.connect(self._fleet.superuser_url, autocommit=True) as session:
            return [code for (code,) in session.execute(query, [books.tenant_id]).fetchall()]

    def _judge(self, results: dict[str, Found], sold: SellOut, oversold: Sequence[str], proof: Proof) -> None:
        for found in results.values():
            for kind, count in found.measured.errors.items():
                self._failures.append(f"{found.measured.name}: {count} x {kind}")
        if not sold.exact:
            self._failures.append(f"{sold.pieces} pieces were there, {sold.sold} sold, {sold.reserved} reserved")
        if oversold:
            self._failures.append(f"oversold: {', '.join(oversold)}")
        if not proof.holds:
            self._failures.append(f"the proof is broken: {', '.join(proof.broken)}")
        for name, count in self._fleet.restarts().items():
            self._failures.append(f"{name} crashed {count} times")


def bare_variables(fleet: Fleet, books: Books) -> dict[str, str]:
    """What the scripts have to know of the tenant: what an application has in memory when a request comes."""
    query = (
        "SELECT l.id::text, k.id::text FROM locations l JOIN api_keys k USING (tenant_id)"
        " WHERE l.tenant_id = %s AND l.is_default ORDER BY k.created_at LIMIT 1"
    )
    with psycopg.connect(fleet.superuser_url, autocommit=True) as session:
        [(location, principal)] = session.execute(query, [books.tenant_id]).fetchall()
    return {
        "tenant": books.tenant_id,
        "location": location,
        "principal": principal,
        "hot": books.hot.id,
        "scarce": books.scarce.id,
    }
