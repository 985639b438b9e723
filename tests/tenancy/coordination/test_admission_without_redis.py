"""The gate without Redis: bounded, approximate, and honest about what it no longer knows."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from db.redis import connect
from tenancy.admission import EPOCH_KEY, MEMORY_MS, Gatekeeper
from tenancy.limits import tenant_limit
from tests.tenancy.coordination.conftest import OwnRedis


class Told:
    """Collects what the gate reports."""

    def __init__(self) -> None:
        self.events: list[str] = []

    def __call__(self, event: str, detail: str) -> None:
        self.events.append(event)


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def principal() -> uuid.UUID:
    return uuid.uuid4()


@pytest.fixture
async def gatekeeper(redis: Redis, told: Told) -> AsyncIterator[Gatekeeper]:
    gate = Gatekeeper(redis, instances=4, observe=told)
    await gate.start()
    yield gate
    await gate.close()


async def epoch(redis: Redis) -> int:
    """Microseconds since 1970."""
    return int(await redis.get(EPOCH_KEY) or 0)


async def until_back(gate: Gatekeeper, tenant: uuid.UUID, principal: uuid.UUID) -> None:
    deadline = time.monotonic() + 5
    while (await gate.admit(tenant, principal, (), False)).degraded:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)


async def test_each_instance_lets_twice_its_share_pass(
    own_redis: OwnRedis, gatekeeper: Gatekeeper, tenant: uuid.UUID, principal: uuid.UUID, told: Told
) -> None:
    own_redis.stop()
    limits = (tenant_limit(tenant, 20),)
    answers = [await gatekeeper.admit(tenant, principal, limits, False) for _ in range(15)]
    assert sum(answer.allowed for answer in answers) == 10
    assert all(answer.degraded and answer.needs_primary for answer in answers)
    assert all(answer.credentials is None for answer in answers)
    assert answers[-1].refused_by == "tenant"
    assert answers[-1].retry_after
    assert told.events.count("degraded") == 15


async def test_a_silent_redis_delays_requests_once(
    own_redis: OwnRedis, redis: Redis, tenant: uuid.UUID, principal: uuid.UUID
) -> None:
    client = connect(own_redis.url, timeout=0.05)
    gate = Gatekeeper(client)
    await gate.start()
    own_redis.freeze()
    started = time.monotonic()
    first = await gate.admit(tenant, principal, (), False)
    assert first.degraded
    assert time.monotonic() - started < 0.15
    started = time.monotonic()
    assert all([(await gate.admit(tenant, principal, (), False)).degraded for _ in range(100)])
    assert time.monotonic() - started < 0.05
    await gate.close()
    await client.aclose()


async def test_guessing_stays_at_five_per_minute(own_redis: OwnRedis, gatekeeper: Gatekeeper) -> None:
    own_redis.stop()
    blocked = [await gatekeeper.note_failure("203.0.113.1", "k1") for _ in range(6)]
    assert [wait is not None for wait in blocked] == [False] * 5 + [True]
    assert await gatekeeper.guessing_blocked("203.0.113.2", "k1") is not None
    assert await gatekeeper.guessing_blocked("203.0.113.2", "k2") is None


async def test_the_gate_is_exact_again_when_redis_is_back(
    own_redis: OwnRedis, gatekeeper: Gatekeeper, tenant: uuid.UUID, principal: uuid.UUID
) -> None:
    own_redis.stop()
    assert (await gatekeeper.admit(tenant, principal, (), False)).degraded
    own_redis.start()
    await until_back(gatekeeper, tenant, principal)


async def test_a_write_during_the_outage_is_remembered_after_it(
    own_redis: OwnRedis, gatekeeper: Gatekeeper, tenant: uuid.UUID, principal: uuid.UUID
) -> None:
    assert not (await gatekeeper.admit(tenant, principal, (), True)).degraded
    own_redis.stop()
    assert (await gatekeeper.admit(tenant, principal, (), True)).degraded
    gatekeeper.remember_write(tenant, principal, 41)
    gatekeeper.remember_write(tenant, principal, 42)
    own_redis.start()
    await until_back(gatekeeper, tenant, principal)
    deadline = time.monotonic() + 5
    while (await gatekeeper.admit(tenant, principal, (), False)).position != 42:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)


async def test_credentials_revoked_during_the_outage_are_bumped_after_it(
    own_redis: OwnRedis, gatekeeper: Gatekeeper, redis: Redis, tenant: uuid.UUID, principal: uuid.UUID
) -> None:
    before = (await gatekeeper.admit(tenant, principal, (), False)).credentials
    own_redis.freeze()
    assert not await gatekeeper.bump_credentials(tenant)
    own_redis.thaw()
    deadline = time.monotonic() + 5
    while (await gatekeeper.admit(tenant, principal, (), False)).credentials in (before, None):
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)


async def test_a_restarted_server_is_not_trusted_to_remember_its_last_second(
    own_redis: OwnRedis, gatekeeper: Gatekeeper, redis: Redis, tenant: uuid.UUID, principal: uuid.UUID
) -> None:
    """The append-only file brings the epoch back, but may miss the writes of the last second."""
    await gatekeeper.admit(tenant, principal, (), False)
    await redis.set(EPOCH_KEY, await epoch(redis) - MEMORY_MS * 1000)
    assert not (await gatekeeper.admit(tenant, principal, (), False)).needs_primary
    own_redis.stop()
    own_redis.start()
    await until_back(gatekeeper, tenant, principal)
    assert await epoch(redis) < (time.time() * 1000 - MEMORY_MS) * 1000
    assert (await gatekeeper.admit(tenant, principal, (), False)).needs_primary
