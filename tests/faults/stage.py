"""The fleet that is broken, who trades on it meanwhile, and how it is told what to suffer."""

import asyncio
import contextlib
import os
import random
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field

import psycopg
from redis import Redis

from deploy.local.descendants import children_of
from deploy.local.options import VIA
from deploy.local.ports import free_port
from tests.faults.proxy import Faulty, start_proxy
from tests.faults.verdict import Check
from tests.fleet.local_fleet import WITHOUT_LIMITS, LocalFleet, local_fleet
from tests.fleet.storm import open_shop
from tests.fleet.traders import History, Shop, Trader
from tests.fleet.wire import Wire

TRADERS = 8
#: A killed leader is followed sooner than usual.
SETTINGS = WITHOUT_LIMITS | {
    "ERP_WORKER_LEASE_TTL": "5",
    "ERP_WORKER_LEASE_RENEWAL": "1.5",
    "ERP_WORKER_LEASE_RETRY": "0.5",
    "ERP_WORKER_SWEEP_AFTER": "5",
}
#: What is reached through a proxy: both Redis servers by the application, a standby by the pooler.
PROXIED = ("redis-core", "redis-cache", "replica1")
WARM, RECOVERY = 1.0, 2.0


@dataclass(slots=True)
class Stage:
    """`proxies`: by the names of the servers behind them. `seconds`: how long a fault lasts."""

    fleet: LocalFleet
    proxies: dict[str, Faulty]
    seed: int
    seconds: float

    def database(self) -> psycopg.Connection[tuple[object, ...]]:
        """The superuser's, straight to the primary."""
        return psycopg.connect(self.fleet.endpoints.superuser_url, autocommit=True, connect_timeout=5)

    def redis(self) -> list[Redis]:
        """Clients that know nothing of the proxies."""
        plan = self.fleet.plan
        return [Redis.from_url(server.url(0), socket_timeout=2.0) for server in (plan.core, plan.cache)]

    def pid(self, name: str) -> int:
        return self.fleet.pids()[name]

    def kill(self, name: str) -> None:
        """kill -9 of it and of what it forked, as a container's end does it."""
        for pid in family(self.pid(name)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    @contextlib.contextmanager
    def frozen(self, *names: str) -> Iterator[None]:
        """Stopped with all their children for as long as the block lasts."""
        pids = [pid for name in names for pid in family(self.pid(name))]
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)

    async def restarted(self, name: str, before: int, within: float = 60.0) -> float:
        """Seconds until it runs again as another process and is ready."""
        return await until(
            lambda: self.fleet.child(name).state == "ready" and self.pid(name) not in (0, before), within, name
        )

    async def whole(self) -> None:
        """Until every process is ready: the next fault meets a healthy fleet."""
        await until(self.fleet.all_ready, 60.0, "all processes are ready")


@dataclass(slots=True)
class Trade:
    """What happened while the fault lasted: from `began` until `healed`, monotonic seconds.

    `checks`: what the fault itself found. `imported`: pieces of the first product that imports of the run found.
    """

    shop: Shop
    history: History
    began: float = 0.0
    healed: float = 0.0
    imported: int = 0
    checks: list[Check] = field(default_factory=list)

    @property
    def window(self) -> float:
        """Seconds from the first to the last try that got a 5xx or nothing, since the fault began."""
        felt = [at for at in self.history.troubles if at >= self.began]
        return felt[-1] - felt[0] if felt else 0.0

    @property
    def felt(self) -> int:
        """Such tries since the fault began."""
        return sum(1 for at in self.history.troubles if at >= self.began)

    def slowest_but_few(self, since: float, until: float) -> float:
        """p95 of the seconds that writes asked in that time took; 0 when there were none."""
        took = sorted(seconds for asked, seconds in self.history.answers if since <= asked <= until)
        return took[int(len(took) * 0.95)] if took else 0.0

    def acknowledged(self, since: float, until: float) -> int:
        """Writes that were answered with 2xx in that time."""
        return sum(1 for deed in self.history.deeds if deed.done and since <= deed.answered_at <= until)


Fault = Callable[[Stage, Trade], Awaitable[None]]


async def traded(stage: Stage, name: str, fault: Fault, traders: int = TRADERS) -> Trade:
    """Trade of one tenant before, during and after the fault; every write was answered for certain at return."""
    draw = random.Random(f"{stage.seed}:{name}")
    shop = await open_shop(stage.fleet)
    trade = Trade(shop, History(f"{draw.getrandbits(32):08x}"))
    over = asyncio.Event()
    port, trust = stage.fleet.options.ports["https"], stage.fleet.trust
    trading = [
        asyncio.create_task(
            Trader(Wire(port, trust, shop.token), shop, trade.history, draw.getrandbits(32), reads_back=True).trade(
                over
            )
        )
        for _ in range(traders)
    ]
    try:
        await asyncio.sleep(WARM)
        trade.began = time.monotonic()
        await fault(stage, trade)
        trade.healed = trade.healed or time.monotonic()
        await asyncio.sleep(RECOVERY)
    finally:
        over.set()
        await asyncio.gather(*trading)
    return trade


def family(pid: int) -> list[int]:
    """The process and all its descendants; it comes first."""
    found = [pid]
    for one in found:
        found += children_of(one)
    return found


async def until(fact: Callable[[], bool], within: float, what: str) -> float:
    """Seconds until it holds. Raises TimeoutError."""
    begun = time.monotonic()
    while not await asyncio.to_thread(fact):
        if time.monotonic() - begun > within:
            raise TimeoutError(f"not within {within:g} s: {what}")
        await asyncio.sleep(0.05)
    return time.monotonic() - begun


@contextlib.asynccontextmanager
async def staged(seed: int, seconds: float) -> AsyncIterator[Stage]:
    """A fleet of its own with a proxy before each Redis, ended at the end."""
    ports = {name: free_port() for name in PROXIED}
    via = {VIA[name]: str(port) for name, port in ports.items()}
    with local_fleet(SETTINGS | via) as fleet:
        targets = {name: fleet.options.ports[name] for name in PROXIED}
        proxies = {name: await start_proxy(ports[name], target) for name, target in targets.items()}
        try:
            await asyncio.to_thread(fleet.up)
            yield Stage(fleet, proxies, seed, seconds)
        finally:
            for proxy in proxies.values():
                await proxy.end()
