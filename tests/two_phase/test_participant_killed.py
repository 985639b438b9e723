"""A participant's own server is killed between its PREPARE and its COMMIT PREPARED, and comes back."""

import asyncio
import contextlib
import json
import sys
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
from redis import Redis

from db.errors import DomainError
from db.migrations import migrate
from db.two_phase import Observers
from deploy.local.processes import Program, start
from erp.app import build_app
from erp.http.commands import view_answer
from erp.intercompany.routes import SELL
from erp.runtime import build_runtime
from erp.settings import load_settings
from tenancy.database import Idempotency
from tests.api.whole.conftest import Newcomer, Tenant, client_of, new_tenant, running, settings_environment
from tests.services import OtherServer, Services, other_server
from tests.standbys import catch_up
from tests.two_phase.trading import Pair, assert_proven, make_pair

ROOT = Path(__file__).parents[2]
#: Where the buyer's server dies -> whether the sale has happened when all is over. The seller is participant 0.
EDGES = {"prepared:0": False, "prepared:1": True, "decided": True, "committed:0": True}
_PREPARED = "SELECT count(*) FROM pg_prepared_xacts"


@dataclass(frozen=True, slots=True)
class Third:
    """The fleet's processes with a database `third` on a server of its own; `environment` tells them so."""

    server: OtherServer
    environment: dict[str, str]

    def named(self, instance: str, role: str) -> dict[str, str]:
        return self.environment | {"ERP_INSTANCE": instance, "ERP_ROLE": role}


@pytest.fixture(scope="module")
def third(services: Services) -> Iterator[Third]:
    with other_server() as server:
        migrate(server.url("erp_owner"))
        known = {
            "database_url": server.url("erp_app"), "platform_url": server.url("erp_platform"),
            "two_phase_url": server.url("erp_app"), "replica_urls": [],
        }  # fmt: skip
        # No pooler stands before the third: nobody prepares the statements there.
        told = {"ERP_DATABASES": json.dumps({"third": known}), "ERP_PREPARED_STATEMENTS": "off"}
        yield Third(server, settings_environment(services, "third") | told)


@pytest.fixture
async def newcomer(services: Services, third: Third) -> AsyncIterator[Newcomer]:
    gate, made = build_app(load_settings(third.environment)), []
    async with running(gate), client_of(gate, services.operator_key) as operator:

        async def make(**fields: Any) -> Tenant:
            made.append(await new_tenant(gate, operator, **fields))
            return made[-1]

        yield make
        for tenant in made:
            await tenant.client.aclose()


def prepared(services: Services, third: Third) -> list[int]:
    found = []
    for url in (services.superuser_url, third.server.url("postgres")):
        with psycopg.connect(url, autocommit=True) as connection:
            found += [count for (count,) in connection.execute(_PREPARED).fetchall()]
    return found


async def sell(third: Third, pair: Pair, deadly: str) -> str:
    """A sale during which the buyer's server dies at the edge; what the seller is told."""

    def edge(name: str) -> None:
        if name == deadly:
            third.server.kill()

    runtime = build_runtime(load_settings(third.named("seller", "api")))
    runtime.two_phase.observers = Observers(edge=edge)
    await runtime.open()
    try:
        caller = (await runtime.identity.authenticate(pair.seller.key)).caller
        command = SELL.bind(None, SELL.decode(json.dumps(pair.sale()).encode()))
        idempotency = Idempotency(uuid.uuid4().hex, b"request")
        answer = await runtime.database.answer(
            caller, command, lambda view: view_answer(view, 201, None), idempotency
        )
    except (DomainError, psycopg.Error) as error:
        return getattr(error, "code", type(error).__name__)
    finally:
        await runtime.close()
    return str(answer.status)


async def test_both_halves_end_alike_within_a_minute(
    services: Services, third: Third, newcomer: Newcomer, tmp_path: Path
) -> None:
    pairs = {edge: await make_pair(newcomer, buyer="third") for edge in EDGES}
    told, left = {}, {}
    for edge, pair in pairs.items():
        told[edge] = await sell(third, pair, edge)
        third.server.start_again()
        left[edge] = sum(prepared(services, third))
    assert told["prepared:0"] != "201"
    assert [told[edge] for edge in EDGES if EDGES[edge]] == ["201"] * 3, told
    assert left["prepared:1"] > left["prepared:0"], left  # what the dead server had prepared is still there
    with Redis.from_url(services.redis_locks_url) as redis:
        redis.flushdb()
    with coordinator(services, third, tmp_path):
        begun = time.monotonic()
        while any(await asyncio.to_thread(prepared, services, third)):
            assert time.monotonic() - begun < 60, (tmp_path / "coordinator.log").read_text()[-3000:]
            await asyncio.sleep(0.2)
    print(f"decided {time.monotonic() - begun:.1f} s after the coordinator started")
    await asyncio.to_thread(catch_up, services)
    await answering(*(pair.buyer for pair in pairs.values()))
    sold = {edge: set((await pair.counts()).values()) for edge, pair in pairs.items()}
    assert sold == {edge: {int(happened)} for edge, happened in EDGES.items()}
    await assert_proven(*(tenant for pair in pairs.values() for tenant in (pair.seller, pair.buyer)))
    # No lock and no turn was left behind.
    for edge, pair in pairs.items():
        await pair.sell()
        assert set((await pair.counts()).values()) == {int(EDGES[edge]) + 1}


async def answering(*tenants: Tenant) -> None:
    """Until the instance has found the server again: its pool tries less and less often."""
    begun = time.monotonic()
    for tenant in tenants:
        while (reply := await tenant.client.get("/v1/parties")).status_code != 200:
            assert time.monotonic() - begun < 40, reply.text


@contextlib.contextmanager
def coordinator(services: Services, third: Third, folder: Path) -> Iterator[None]:
    """With its own settings: nobody has shortened a grace or a lease."""
    for url in (services.superuser_url, third.server.url("postgres")):
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("DELETE FROM leases")
    command = (sys.executable, "-m", "workers.coordinator")
    environment = third.named("resolver", "coordinator")
    process = start(Program("coordinator", command, folder / "coordinator.log", ROOT, environment))
    try:
        yield
    finally:
        process.sweep()
