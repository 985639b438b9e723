"""A coordinator is killed at every edge; recovery ends what it left, in both databases alike, within a minute."""

import asyncio
import json
import signal
import sys
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import psycopg
import pytest
from redis import Redis

from db.two_phase import PREFIX
from db.two_phase_recovery import Recovery, patiently
from deploy.local.processes import Program, start
from erp.placed import build_two_phase
from erp.settings import load_settings
from tests.api.whole.conftest import Newcomer
from tests.services import Services
from tests.two_phase.trading import Pair, assert_proven, make_pair

ROOT = Path(__file__).parents[2]
#: Where it is killed -> whether the sale has happened when all is over.
EDGES = {
    "begun": False, "prepared:0": False, "prepared:1": False, "decided": True, "committed:0": True,
    "committed:1": True,
}  # fmt: skip


@pytest.fixture
async def recovery(services: Services) -> AsyncIterator[Recovery]:
    two_phase = build_two_phase(load_settings(services.environment("recovery", "coordinator")))
    await two_phase.open()
    yield Recovery(two_phase, grace=0.0)
    await two_phase.close()


def prepared(services: Services) -> list[str]:
    with psycopg.connect(services.superuser_url, autocommit=True) as connection:
        return [gid for (gid,) in connection.execute("SELECT gid FROM pg_prepared_xacts ORDER BY gid").fetchall()]


async def die(services: Services, deaths: Sequence[tuple[Pair, str]], folder: Path, **more: str) -> None:
    """For each pair, a seller's process that is killed at the edge."""
    told = [(pair.seller.key, json.dumps(pair.sale()), edge) for pair, edge in deaths]
    program = Program(
        "sellers", (sys.executable, "-m", "tests.two_phase.dying_seller", json.dumps(told)),
        folder / "sellers.log", ROOT, services.environment("dying.seller", "api") | more,
    )  # fmt: skip
    running = start(program)
    await asyncio.to_thread(running.process.wait, 90)
    log = (folder / "sellers.log").read_text()
    assert f"ended: {[-signal.SIGKILL.value] * len(deaths)}" in log, log[-2000:]
    # The dead processes' efficiency locks lapse by themselves, but not within a test's patience.
    with Redis.from_url(services.redis_locks_url) as redis:
        redis.flushdb()


async def sold(pair: Pair) -> set[int]:
    return set((await pair.counts()).values())


async def test_killed_at_any_edge_both_halves_end_alike(
    services: Services, newcomer: Newcomer, recovery: Recovery, tmp_path: Path
) -> None:
    pairs = [await make_pair(newcomer) for _ in EDGES]
    await die(services, list(zip(pairs, EDGES, strict=True)), tmp_path)
    left = prepared(services)
    assert all(gid.startswith(f"{PREFIX}:dying.seller:") for gid in left)
    # begun 0, prepared:0 1, prepared:1 2, decided 2, committed:0 1, committed:1 0
    assert len(left) == 6
    await patiently(recovery, 10)
    assert prepared(services) == []
    assert [await sold(pair) for pair in pairs] == [{int(happened)} for happened in EDGES.values()]
    # The tenants go on: no lock, no turn and no number was left behind.
    for pair in pairs:
        await pair.sell()
    assert [await sold(pair) for pair in pairs] == [{int(happened) + 1} for happened in EDGES.values()]
    await assert_proven(*(tenant for pair in pairs for tenant in (pair.seller, pair.buyer)))


async def test_a_coordinator_process_resolves_within_a_minute(
    services: Services, newcomer: Newcomer, tmp_path: Path
) -> None:
    """With its own settings: nobody has shortened a grace or a lease."""
    pairs = [await make_pair(newcomer) for _ in range(2)]
    await die(services, list(zip(pairs, ("prepared:1", "decided"), strict=True)), tmp_path)
    environment = services.environment("resolver", "coordinator")
    program = Program(
        "coordinator", (sys.executable, "-m", "workers.coordinator"), tmp_path / "coordinator.log", ROOT, environment
    )
    with psycopg.connect(services.superuser_url, autocommit=True) as connection:
        connection.execute("DELETE FROM leases")
    begun, running = time.monotonic(), start(program)
    try:
        while prepared(services):
            assert time.monotonic() - begun < 60, (tmp_path / "coordinator.log").read_text()[-3000:]
            await asyncio.sleep(0.2)
    finally:
        running.sweep()
    print(f"resolved {time.monotonic() - begun:.1f} s after the coordinator started")
    assert [await sold(pair) for pair in pairs] == [{0}, {1}]
    await assert_proven(*(tenant for pair in pairs for tenant in (pair.seller, pair.buyer)))


async def test_without_the_log_the_halves_would_differ(
    services: Services, newcomer: Newcomer, recovery: Recovery, tmp_path: Path
) -> None:
    """The planted bug: participants are told to commit before the decision is logged."""
    pair = await make_pair(newcomer)
    await die(services, [(pair, "committed:0")], tmp_path, PLANTED="no-log")
    await patiently(recovery, 10)
    counts = await pair.counts()
    assert {name: count for name, count in counts.items() if name.startswith("seller")} != {
        name: count for name, count in counts.items() if name.startswith("buyer")
    }
    assert sorted(set(counts.values())) == [0, 1]


async def test_a_recovery_that_commits_without_a_decision_would_be_seen(
    services: Services, newcomer: Newcomer, recovery: Recovery, tmp_path: Path, monkeypatch: Any
) -> None:
    """The planted bug: what has no decision is committed, though only one half was ever prepared."""
    pair = await make_pair(newcomer)
    await die(services, [(pair, "prepared:0")], tmp_path)

    async def hopeful(ids: list[Any], given_up: Any) -> dict[Any, str]:
        return dict.fromkeys(ids, "commit")

    monkeypatch.setattr(recovery, "_decisions", hopeful)
    await patiently(recovery, 10)
    counts = await pair.counts()
    assert (counts["seller intercompany-sales"], counts["buyer intercompany-sales"]) == (1, 0)
