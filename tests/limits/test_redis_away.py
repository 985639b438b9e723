"""Every Redis behind a black hole, or gone: an instance waits for it once, then works without, limits included."""

import asyncio
import math
import statistics
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import httpx
import pytest

from erp.app import build_app
from erp.http.gate import Gate
from erp.settings import load_settings
from fleet.metrics import rate_limit_local_total, redis_degraded
from tests.api.whole.conftest import Tenant, client_of, running, settings_environment
from tests.configuration.severed import Severed, relayed
from tests.services import Services

#: Milliseconds a request may take longer than with Redis, once the breakers have opened (reliability, row 25).
ADDED_MS = 60.0


class Behind:
    """An instance that reaches Redis by way of a relay."""

    def __init__(self, relays: list[Severed], client: httpx.AsyncClient, gate: Gate) -> None:
        self._relays = relays
        self.gate = gate
        self.client = client

    def silence(self) -> None:
        for relay in self._relays:
            relay.silence()

    async def speak(self) -> None:
        for relay in self._relays:
            relay.speak()

    async def sever(self) -> None:
        for relay in self._relays:
            await relay.sever()

    async def timed(self, requests: int) -> list[float]:
        """Milliseconds of each of so many reads of four clients."""

        async def read() -> list[float]:
            taken = []
            for _ in range(requests // 4):
                started = time.perf_counter()
                reply = await self.client.get("/v1/parties")
                taken.append((time.perf_counter() - started) * 1000)
                assert reply.status_code == 200, reply.text
            return taken

        return [one for taken in await asyncio.gather(*(read() for _ in range(4))) for one in taken]


@asynccontextmanager
async def behind(services: Services, tenant: Tenant, **limits: Any) -> AsyncIterator[Behind]:
    async with relayed(services.redis_cache_url) as cache, relayed(services.redis_locks_url) as core:
        urls: dict[str, Any] = {
            "redis_cache_url": cache.url, "redis_sessions_url": core.url, "redis_locks_url": core.url,
        }  # fmt: skip
        settings = load_settings(settings_environment(services, "behind"))
        gate = build_app(replace(settings, api_instances=2, **urls, **limits))
        async with running(gate), client_of(gate, tenant.key) as client:
            yield Behind([cache, core], client, gate)
            for relay in (cache, core):
                relay.speak()


def p95(taken: list[float]) -> float:
    return statistics.quantiles(taken, n=20)[-1]


async def test_a_black_hole_adds_little_once_the_breakers_are_open(services: Services, tenant: Tenant) -> None:
    async with behind(services, tenant) as instance:
        await instance.timed(40)
        usual = p95(await instance.timed(200))
        instance.silence()
        await instance.timed(8)  # the first ones find out
        silent = await instance.timed(200)
        assert p95(silent) <= usual + ADDED_MS
        assert redis_degraded.at("limits")._value.get() == 1
        await instance.speak()
        deadline = time.monotonic() + 20
        while redis_degraded.at("limits")._value.get():
            assert time.monotonic() < deadline, "Redis is back and not used"
            await instance.client.get("/v1/parties")
            await asyncio.sleep(0.05)


async def test_without_redis_an_instance_lets_twice_its_share_pass(services: Services, tenant: Tenant) -> None:
    async with behind(services, tenant, key_per_minute=20) as instance:
        await instance.sever()
        before = rate_limit_local_total._value.get()
        statuses = [(await instance.client.get("/v1/parties")).status_code for _ in range(30)]
        share = 2 / max(2, instance.gate._services.gatekeeper.instances)  # of an earlier test one may still count
        passed = math.ceil(20 * share)
        assert statuses == [200] * passed + [429] * (30 - passed)
        assert rate_limit_local_total._value.get() > before


async def test_guessing_keys_stays_strict_without_redis(services: Services, tenant: Tenant) -> None:
    async with behind(services, tenant) as instance:
        await instance.sever()
        wrong = tenant.key[:-8] + "00000000"
        headers = {"Authorization": f"Bearer {wrong}"}
        statuses = [(await instance.client.get("/v1/parties", headers=headers)).status_code for _ in range(8)]
        assert statuses == [401] * 5 + [429] * 3
        assert (await instance.client.get("/v1/parties")).status_code in (200, 429)


async def test_writes_go_on_under_the_locks_of_the_database(services: Services, tenant: Tenant) -> None:
    async with behind(services, tenant) as instance:
        instance.silence()
        for number in range(3):
            body = {"code": f"S{number}", "name": "Silent", "is_customer": True}
            assert (await instance.client.post("/v1/parties", json=body)).status_code == 201


@pytest.mark.parametrize("how", ["silent", "stopped"])
async def test_the_operator_sees_which_breakers_are_open(services: Services, tenant: Tenant, how: str) -> None:
    async with behind(services, tenant) as instance:
        operator = {"Authorization": f"Bearer {services.operator_key}"}

        async def sessions() -> Any:
            shown = (await instance.client.get("/v1/breakers", headers=operator)).json()["data"]
            return next(one for one in shown if one["name"] == "redis-sessions")

        await instance.client.get("/v1/parties")
        assert (await sessions())["state"] == "closed"
        if how == "silent":
            instance.silence()
        else:
            await instance.sever()
        await instance.client.get("/v1/parties")
        shown = await sessions()
        assert shown["state"] == "open"
        assert 0 < shown["retry_in"] <= 1
        refused = await instance.client.get("/v1/breakers")
        assert refused.status_code == 403
