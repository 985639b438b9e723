"""Trading on the whole fleet while processes of it are killed: what was done, and what was seen meanwhile."""

import asyncio
import os
import signal
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import msgspec
import psycopg

from erp.exchange.api import Api
from tests.fleet.local_fleet import LocalFleet
from tests.fleet.reconciliation import Database
from tests.fleet.traders import History, Shop, Trader
from tests.fleet.wire import Wire

CLIENTS_OF_EACH = 8
OPENING, SCARCE = Decimal(5_000), 25
IMPORTED = 400
_TRADED_BEFORE = 100
_WORKER = "worker-low"  # imports are its
_INSTANCES = ("api-1", "api-2")


@dataclass(slots=True)
class Storm:
    """What is known afterwards. Times in seconds."""

    fleet: LocalFleet
    database: Database
    shops: tuple[Shop, ...]
    history: History
    imports: list[str]
    broken_off: dict[str, int] = field(default_factory=dict)
    taken_over_after: dict[str, float] = field(default_factory=dict)
    served_again: dict[str, float] = field(default_factory=dict)
    proofs: list[Any] = field(default_factory=list)

    async def ask(self, shop: Shop, path: str) -> Any:
        return await ask(self.fleet, shop.token, path)


async def blow(fleet: LocalFleet) -> Storm:
    """Sixteen traders of two tenants; a worker and both instances, one after the other, are killed under them."""
    database = psycopg.connect(fleet.endpoints.superuser_url, autocommit=True)
    shops = (await open_shop(fleet), await open_shop(fleet))
    storm = Storm(fleet, database, shops, History(uuid.uuid4().hex[:8]), [])
    over = asyncio.Event()
    trading = [
        asyncio.create_task(_trader(storm, shop, place).trade(over))
        for place, shop in enumerate(shops * CLIENTS_OF_EACH)
    ]
    try:
        await _until(lambda: len(storm.history.deeds) > _TRADED_BEFORE, "there is trade")
        storm.imports = await asyncio.gather(*(start_import(fleet, shop) for shop in shops))
        await _until(lambda: _under_way(storm), "both imports are under way")
        _kill_worker(storm)
        for name in _INSTANCES:
            await _kill_instance(storm, name)
            storm.proofs += [await storm.ask(shop, "/v1/proof") for shop in shops]
        await _until(lambda: _all_taken_over(storm), "another worker has the killed one's jobs")
        await _until(lambda: all(_sold_out(storm, shop) for shop in shops), "the scarce product is sold out")
    finally:
        over.set()
        await asyncio.gather(*trading)
    await _until(lambda: len(notices(storm)) == len(shops) and not unfinished_jobs(storm), "all jobs are finished")
    return storm


def _trader(storm: Storm, shop: Shop, seed: int) -> Trader:
    wire = Wire(storm.fleet.options.ports["https"], storm.fleet.trust, shop.token)
    return Trader(wire, shop, storm.history, seed)


# -- tenants


async def open_shop(fleet: LocalFleet) -> Shop:
    """A tenant with a customer and stock."""
    name = uuid.uuid4().hex[:10]
    body = {"slug": f"storm-{name}", "name": f"Storm {name}", "base_currency": "GBP", "country": "GB"}
    operator = Api.over_tls(fleet.url, fleet.endpoints.operator_key, fleet.layout.certificate)
    made = await operator.post("/v1/tenants", {**body, "time_zone": "Europe/London"}, key=uuid.uuid4().hex)
    await operator.close()
    token = made["owner_key"]["secret"]
    api = Api.over_tls(fleet.url, token, fleet.layout.certificate)
    customer = await _make(api, "parties", code="C1", name="Customer", is_customer=True)
    products = [await _make(api, "products", code=f"P{n}", name=f"Product {n}", sale_price="9.90") for n in range(6)]
    scarce = await _make(api, "products", code="S", name="Scarce", sale_price="99", reorder_point="10")
    stock = [*((one, OPENING) for one in products), (scarce, Decimal(SCARCE))]
    lines = [{"product_id": one, "quantity": str(quantity), "unit_cost": "4.25"} for one, quantity in stock]
    await _make(api, "stock-adjustments", reason="opening", lines=lines)
    await api.close()
    return Shop(made["tenant"]["id"], token, customer, tuple(products), scarce)


async def _make(api: Api, resource: str, **fields: Any) -> str:
    made = await api.post(f"/v1/{resource}", fields, key=uuid.uuid4().hex)
    found: str = made["id"]
    return found


async def start_import(fleet: LocalFleet, shop: Shop) -> str:
    """A long job: so many corrections of stock, each with a mark of its own. The job's id."""
    line = {"product_id": shop.products[0], "quantity": "1"}
    rows = [
        {"key": f"row-of-{number:06d}", "data": {"reason": "count", "text": f"import-{number:06d}", "lines": [line]}}
        for number in range(IMPORTED)
    ]
    body = b"\n".join(msgspec.json.encode(row) for row in rows)
    async with fleet.async_client(shop.token) as client:
        reply = await client.post(
            "/v1/imports/stock-adjustments", content=body, headers={"Content-Type": "application/x-ndjson"}
        )
    assert reply.status_code == 202, reply.text
    found: str = reply.json()["id"]
    return found


async def ask(fleet: LocalFleet, token: str, path: str) -> Any:
    """The answer of a GET, asked again while instances are being lost."""
    for _ in range(40):
        async with fleet.async_client(token) as client:
            reply = await client.get(path)
        assert "statement-timeout" not in reply.text, path
        if reply.status_code < 500:
            assert reply.is_success, reply.text
            return reply.json()
        await asyncio.sleep(0.25)
    raise AssertionError(f"{path}: {reply.text}")


# -- faults


def _under_way(storm: Storm) -> bool:
    sql = "SELECT count(*) FROM jobs WHERE id = ANY(%s::uuid[]) AND state = 'running' AND progress IS NOT NULL"
    [[running]] = storm.database.execute(sql, [storm.imports]).fetchall()
    return bool(running == len(storm.imports))


def _kill_worker(storm: Storm) -> None:
    """As a container is killed: the process and what it forked."""
    os.killpg(storm.fleet.pids()[_WORKER], signal.SIGKILL)
    killed = time.monotonic()
    rows = storm.database.execute("SELECT id::text, fence FROM jobs WHERE queue = 'low' AND state = 'running'")
    storm.broken_off = dict(rows.fetchall())
    storm.taken_over_after = dict.fromkeys(storm.broken_off, -killed)


def _all_taken_over(storm: Storm) -> bool:
    """Notes when each job the killed worker had was claimed by its successor."""
    sql = "SELECT id::text, fence, state FROM jobs WHERE id = ANY(%s::uuid[])"
    for job, fence, state in storm.database.execute(sql, [list(storm.broken_off)]).fetchall():
        if storm.taken_over_after[job] < 0 and fence > storm.broken_off[job] and state != "queued":
            storm.taken_over_after[job] += time.monotonic()
    return all(seconds >= 0 for seconds in storm.taken_over_after.values())


def _sold_out(storm: Storm, shop: Shop) -> bool:
    return any(deed.answer and not deed.done for deed in storm.history.of(shop, "scarce"))


async def _kill_instance(storm: Storm, name: str) -> None:
    """kill -9, and wait until its successor serves requests that come through the balancer."""
    fleet, token = storm.fleet, storm.fleet.endpoints.operator_key
    os.kill(fleet.pids()[name], signal.SIGKILL)
    killed = time.monotonic()

    def served() -> bool:
        _all_taken_over(storm)
        child = fleet.child(name)
        return child.state == "ready" and child.restarts > 0

    await _until(served, f"{name} is ready again")
    while True:
        health = await ask(fleet, token, "/health")
        since = time.monotonic() - killed
        if health["instance"] == name and health["uptime_seconds"] < since:
            break
        assert since < 60, f"{name} serves nobody"
        await asyncio.sleep(0.1)
    storm.served_again[name] = since


def unfinished_jobs(storm: Storm) -> list[Any]:
    """Jobs of the two tenants that are due and not done."""
    sql = (
        "SELECT id, kind, state, attempts, error_code FROM jobs"
        " WHERE tenant_id = ANY(%s::uuid[]) AND state <> 'done' AND run_at <= now()"
    )
    return storm.database.execute(sql, [[shop.id for shop in storm.shops]]).fetchall()


def notices(storm: Storm) -> list[Any]:
    """Of low stock: a job that follows from an event that follows from an order."""
    sql = "SELECT tenant_id::text FROM jobs WHERE tenant_id = ANY(%s::uuid[]) AND kind = 'low_stock_notice'"
    return storm.database.execute(sql, [[shop.id for shop in storm.shops]]).fetchall()


async def _until(fact: Callable[[], bool], what: str, seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not fact():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds:g} s: {what}")
        await asyncio.sleep(0.05)
