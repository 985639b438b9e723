"""Batches that lock the same records in opposite orders wait for each other, whatever kinds of commands they hold."""

import asyncio
import json
import uuid
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from erp.app import COMMANDS, build_app
from erp.http import batch as batches
from erp.http import bulk
from erp.http.gate import Gate
from erp.settings import load_settings
from fleet.metrics import db_transaction_retries_total
from tenancy.locks import MANY
from tests.api.whole.conftest import (
    Tenant,
    client_of,
    gate,
    newcomer,
    operator,
    running,
    settings_environment,
    tenant,
)
from tests.api.whole.trading import stocked_product
from tests.concurrency.opposite_orders import STORIES, Operation, Round, Story, closings, line, run
from tests.services import Services

__all__ = ["gate", "newcomer", "operator", "tenant"]

#: Two clients of one tenant.
Clients = tuple[httpx.AsyncClient, httpx.AsyncClient]
ROUNDS = 12
_NOBODY_LISTENS = "redis://127.0.0.1:9/0"


@pytest.fixture(scope="module")
async def instances(services: Services) -> AsyncIterator[tuple[Gate, Gate]]:
    """Two that reach no Redis for their locks, so that rivals meet in PostgreSQL alone."""
    environment = [settings_environment(services, name) for name in ("apart-1", "apart-2")]
    first, second = (
        build_app(load_settings({**each, "ERP_REDIS_LOCKS_URL": _NOBODY_LISTENS})) for each in environment
    )
    async with running(first), running(second):
        yield first, second


@pytest.fixture
async def apart(instances: tuple[Gate, Gate], tenant: Tenant) -> AsyncIterator[Clients]:
    first, second = (client_of(instance, tenant.key) for instance in instances)
    async with first, second:
        yield first, second


def deadlocks() -> float:
    """Those the server has broken up, in all of this process: each comes back to it as one command to repeat."""
    return float(db_transaction_retries_total.at("DeadlockDetected")._value.get())


async def opposed(clients: Clients, operations: Round) -> list[str]:
    """The one in the order given, the other backwards. What each is told: "done", or a problem's code."""
    first, second = clients
    replies = await asyncio.gather(run(first, operations()), run(second, operations()[::-1]))
    return [told(reply) for reply in replies]


def told(reply: httpx.Response) -> str:
    return "done" if reply.is_success else str(reply.json()["code"])


#: Commands that need a key and move neither money nor stock themselves: they decide on one row and set work going.
MOVE_NOTHING = {
    "dead_letters.discard", "dead_letters.replay", "fulfilments.compensate", "fulfilments.create",
    "fulfilments.retry", "fulfilments.skip", "purchase_proposals.accept", "purchase_proposals.run",
    "recurring_orders.run", "schedules.run",
}  # fmt: skip
every_story = pytest.mark.parametrize("story", [pytest.param(story, id=story.__name__) for story in STORIES])


def expected(story: Story) -> set[str]:
    return {"done", STORIES[story] or "done"}


def test_whatever_needs_a_key_says_what_it_will_lock() -> None:
    """Money and stock: a command that is new claims something, or is named above."""
    assert {one.name for one in COMMANDS if one.key == "required" and one.claims is None} == MOVE_NOTHING


async def alone(client: httpx.AsyncClient, operations: list[Operation]) -> list[str]:
    """Each in a transaction of its own, which locks nothing ahead."""
    return [told(await run(client, [operation])) for operation in operations]


@every_story
async def test_they_do_not_deadlock(tenant: Tenant, apart: Clients, story: Story) -> None:
    """Neither with each other nor with the same operations one by one."""
    rounds = await story(tenant, ROUNDS)
    before = deadlocks()
    for operations in rounds:
        both, single = await asyncio.gather(opposed(apart, operations), alone(apart[0], operations()))
        assert {*both, *single} <= expected(story)
    assert deadlocks() == before


async def test_postings_pass_the_gate_of_periods_before_they_lock_stock(tenant: Tenant, apart: Clients) -> None:
    """One batch closes periods among others of its operations, the other only posts."""
    (first, second), before = apart, deadlocks()
    for operations in await closings(tenant, ROUNDS):
        lost = operations()[0]
        replies = await asyncio.gather(run(first, operations()), run(second, [lost, lost]))
        assert [told(reply) for reply in replies] == ["done", "done"]
    assert deadlocks() == before


@every_story
async def test_they_do_not_time_out_behind_each_others_locks(tenant: Tenant, story: Story) -> None:
    for operations in await story(tenant, ROUNDS):
        assert set(await opposed((tenant.client,) * 2, operations)) == expected(story)


@every_story
async def test_without_locks_ahead_they_deadlock(
    tenant: Tenant, apart: Clients, story: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The planted bug: each operation locks in order when its turn comes, together they lock in none."""
    rounds = iter(await story(tenant, ROUNDS))
    monkeypatch.setattr(batches, "lock_ahead", nothing)
    before = deadlocks()
    while deadlocks() == before:  # the rounds end
        await opposed(apart, next(rounds))


async def nothing(*_: Any) -> None:
    """Instead of `lock_ahead`."""


# -- streams that are booked as a whole ------------------------------------------------------------


async def stream(client: httpx.AsyncClient, rows: list[Any]) -> str:
    content = b"".join(json.dumps({"key": uuid.uuid4().hex, "data": row}).encode() + b"\n" for row in rows)
    headers = {"Idempotency-Key": uuid.uuid4().hex, "Content-Type": "application/x-ndjson"}
    path = "/v1/bulk/stock-adjustments?mode=atomic"
    return told(await client.post(path, content=content, headers=headers))


async def streamed(clients: Clients, rows: list[Any]) -> list[str]:
    first, second = clients
    return list(await asyncio.gather(stream(first, rows), stream(second, rows[::-1])))


async def rows_of(tenant: Tenant, products: int) -> list[Any]:
    stock = [await stocked_product(tenant, f"P{number}", "1000") for number in range(products)]
    return [{"reason": "lost", "lines": [line(one, "-1")]} for one in stock]


async def test_atomic_streams_in_opposite_orders_do_not_deadlock(tenant: Tenant, apart: Clients) -> None:
    rows, before = await rows_of(tenant, 3), deadlocks()
    for _ in range(ROUNDS):
        assert await streamed(apart, rows) == ["done", "done"]
    assert deadlocks() == before


async def test_more_rows_than_locks_are_taken_for_do_not_time_out(tenant: Tenant) -> None:
    """Behind rows that are all locked nobody waits for the lock of one of them in Redis."""
    rows = await rows_of(tenant, MANY + 4)
    for _ in range(4):
        both = asyncio.ensure_future(streamed((tenant.client,) * 2, rows))
        while not both.done():
            single = await asyncio.gather(*(stream(tenant.client, [row]) for row in rows[::5]))
            assert set(single) == {"done"}
        assert await both == ["done", "done"]


async def test_without_locks_ahead_atomic_streams_deadlock(
    tenant: Tenant, apart: Clients, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The planted bug of streams."""
    rows, before = await rows_of(tenant, 3), deadlocks()
    monkeypatch.setattr(bulk, "lock_ahead", nothing)
    while deadlocks() == before:
        await streamed(apart, rows)
