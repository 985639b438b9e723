"""What the guide is played against: the whole application with its default limits, a coordinator and a worker."""

import os
import random
import sys
from collections.abc import AsyncIterator, Iterator
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import httpx
import pytest
from redis import Redis

from deploy.local.processes import Program, Running, start
from erp.app import build_app
from erp.settings import load_settings
from tests.api.whole.conftest import running
from tests.docs.player import Player
from tests.docs.shapes import Names
from tests.services import Services

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
#: The guide, in the order in which it is read: a chapter knows what the ones before it made.
CHAPTERS = tuple(
    DOCS / "api" / f"{name}.md"
    for name in (
        "guide",
        "stock-and-ledger",
        "many-records",
        "fulfilment",
        "configuration",
        "fleet",
        "price-lists",
        "keys-and-limits",
    )
)


@pytest.fixture
def after_the_answer(services: Services, tmp_path: Path) -> Iterator[None]:
    """Real processes that do what is done after the answer."""
    commands = {
        "coordinator": (sys.executable, "-m", "workers.coordinator"),
        "worker": (
            *(sys.executable, "-m", "dramatiq", "workers.main", "--queues", "low", "--processes", "1"),
            *("--threads", "2", "--worker-shutdown-timeout", "10000", "--skip-logging"),
        ),
    }
    begun: list[Running] = []
    try:
        for role, command in commands.items():
            environment = services.environment(f"guide-{role}", role) | {"ERP_POOL_SIZE": "4"}
            log = tmp_path / f"{role}.log"
            begun.append(start(Program(f"guide-{role}", command, log, ROOT, environment)))
        yield
    finally:
        for one in begun:
            one.sweep()


@pytest.fixture
async def player(services: Services, after_the_answer: None) -> AsyncIterator[Player]:
    """A client from an address of its own, so that no other test's requests count against it."""
    with Redis.from_url(services.redis_sessions_url) as redis:
        # What other tests asked for as the operator within the minute counts against it here, where limits are usual.
        for key in redis.scan_iter("limit:*:user:*", count=1_000):
            redis.delete(key)
    gate = build_app(load_settings(services.environment(f"guide-{os.getpid()}", "api")))
    address = f"10.{random.randrange(256)}.{random.randrange(256)}.{random.randrange(1, 255)}"
    today = datetime.now(ZoneInfo("Europe/London")).date()
    names = Names(
        operator_key=services.operator_key,
        today=today.isoformat(),
        year=str(today.year),
        last_year=str(today.year - 1),
    )
    transport = httpx.ASGITransport(app=gate, client=(address, 40_000))  # type: ignore[arg-type]  # two spellings
    async with running(gate), httpx.AsyncClient(transport=transport, base_url="https://localhost") as client:
        yield Player(client, names)
