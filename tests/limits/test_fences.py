"""A lock that takes several transactions: its holder may sleep through its end, its number may not be overtaken."""

import asyncio
import uuid
from typing import Any

import httpx
import pytest

from db.redis import connect
from erp.http.gate import Gate
from erp.operations import usage, usage_queries
from erp.operations.usage import plan_quotas_of, set_plan_quotas
from erp.operations.usage_schemas import QuotasInput, SetQuotasInput
from tenancy.caller import Caller
from tenancy.fencing import LockLost, execute_fenced
from tenancy.identity import PLATFORM
from tests.services import Services


def wanted(products: int) -> SetQuotasInput:
    return SetQuotasInput(quotas=QuotasInput(products=products), reason="For a test")


class Two:
    """Two operators who set one plan's quotas; the first falls asleep with the lock, which Redis then forgets."""

    def __init__(self, gate: Gate, services: Services) -> None:
        self._services = gate._services
        self._url = services.redis_locks_url
        self.plan = f"plan-{uuid.uuid4().hex[:8]}"
        self.fences: list[int] = []
        self._caller = Caller(PLATFORM, uuid.UUID(int=1), "operator", "operator", "operator", frozenset())

    async def set(self, products: int, pause: asyncio.Event | None = None) -> Any:
        async def run(fence: int) -> Any:
            self.fences.append(fence)
            if pause is not None:
                await pause.wait()
            return await set_plan_quotas(self._services.platforms, self.plan, wanted(products), fence)

        held = self._services.locks, self._services.database, self._caller
        return await execute_fenced(*held, f"plan:{self.plan}", run, wait=5)

    async def overtake(self) -> asyncio.Task[Any]:
        """The sleeper's unfinished work, after the other's is done."""
        wakes = asyncio.Event()
        sleeper = asyncio.create_task(self.set(1, wakes))
        while not self.fences:  # noqa: ASYNC110  # the list tells nobody
            await asyncio.sleep(0.005)
        redis = connect(self._url, timeout=0.5)
        await redis.flushdb()
        await redis.aclose()
        # The sleeper's own process keeps its waiting line: rivals come from another one.
        fence = self.fences[0] + 1
        await set_plan_quotas(self._services.platforms, self.plan, wanted(2), fence)
        wakes.set()
        return sleeper

    async def holds(self) -> int | None:
        return (await plan_quotas_of(self._services.platforms, self.plan)).quotas.get("products")


async def test_a_holder_that_was_overtaken_writes_nothing(gate: Gate, services: Services) -> None:
    two = Two(gate, services)
    with pytest.raises(LockLost):
        await (await two.overtake())
    assert await two.holds() == 2


async def test_a_lock_without_its_number_lets_the_sleeper_overwrite(
    gate: Gate, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The planted bug of the test above."""
    two, checked = Two(gate, services), usage_queries.ADD_PLAN_QUOTAS

    def unchecked(*, fence: int, **parameters: Any) -> Any:
        return checked(fence=10**6, **parameters)

    monkeypatch.setattr(usage, "ADD_PLAN_QUOTAS", unchecked)
    await (await two.overtake())
    assert await two.holds() == 1


async def test_numbers_grow_whatever_becomes_of_redis(gate: Gate, services: Services) -> None:
    two = Two(gate, services)
    redis = connect(services.redis_locks_url, timeout=0.5)
    for products in range(4):
        await two.set(products)
        await redis.flushdb()
    await redis.aclose()
    assert two.fences == [1, 2, 3, 4]
    assert await two.holds() == 3


async def test_operators_at_once_leave_one_history(operator: httpx.AsyncClient) -> None:
    path = f"/v1/plans/plan-{uuid.uuid4().hex[:8]}/quotas"
    bodies = [{"quotas": {"products": number}, "reason": "At once"} for number in range(8)]
    replies = await asyncio.gather(*(operator.put(path, json=body) for body in bodies))
    assert [reply.status_code for reply in replies] == [200] * 8, [reply.text for reply in replies]
    assert sorted(reply.json()["version"] for reply in replies) == list(range(1, 9))
