"""Redis flushed, frozen, stopped or restarted: commands go on, and nothing stays locked afterwards."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from db.counting import RoundTrips, round_trips
from db.errors import LockTimeout
from tenancy.locks import LockService
from tests.tenancy.coordination.conftest import OwnRedis

NAME, OTHER = f"stock:{'a' * 32}", f"stock:{'b' * 32}"


class Told:
    """Collects what the locks report."""

    def __init__(self) -> None:
        self.events: list[str] = []

    def __call__(self, event: str, kind: str, seconds: float) -> None:
        assert kind == "stock"
        self.events.append(event)


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
async def locks(redis: Redis, told: Told) -> AsyncIterator[LockService]:
    service = LockService(redis, observe=told)
    yield service
    await service.close()


async def test_a_stopped_redis_degrades_at_once(
    own_redis: OwnRedis, locks: LockService, tenant: uuid.UUID, told: Told
) -> None:
    await locks.start()
    own_redis.stop()
    started = time.monotonic()
    for _ in range(50):
        handle = await locks.acquire(tenant, [NAME])
        assert handle.degraded
        locks.release(handle)
    assert time.monotonic() - started < 0.5
    assert told.events == ["degraded", "released"] * 50


async def test_a_silent_redis_costs_its_bound_once(
    own_redis: OwnRedis, locks: LockService, tenant: uuid.UUID
) -> None:
    await locks.start()
    own_redis.freeze()
    started = time.monotonic()
    for _ in range(50):
        handle = await locks.acquire(tenant, [NAME])
        assert handle.degraded
        locks.release(handle)
    assert 0.4 < time.monotonic() - started < 0.9


async def test_one_process_still_queues_its_own_waiters(
    own_redis: OwnRedis, locks: LockService, tenant: uuid.UUID
) -> None:
    own_redis.stop()
    async with locks.hold(tenant, [NAME]) as handle:
        assert handle.degraded
        with pytest.raises(LockTimeout):
            await locks.acquire(tenant, [NAME], wait=0.05)
        async with locks.hold(tenant, [OTHER], wait=0.05):
            pass


async def test_a_waiter_goes_on_when_redis_goes_away(
    own_redis: OwnRedis, redis: Redis, locks: LockService, tenant: uuid.UUID
) -> None:
    holder = LockService(redis)
    handle = await holder.acquire(tenant, [NAME])
    waiting = asyncio.create_task(locks.acquire(tenant, [NAME], wait=30))
    await asyncio.sleep(0.05)
    own_redis.stop()
    taken = await asyncio.wait_for(waiting, 1)
    assert taken.degraded
    locks.release(taken)
    holder.release(handle)
    await holder.close()


@pytest.mark.parametrize("taken_before", [True, False])
async def test_a_release_redis_did_not_hear_is_repeated(
    own_redis: OwnRedis, redis: Redis, locks: LockService, tenant: uuid.UUID, taken_before: bool
) -> None:
    """Either the release, or the acquire itself, is on its way when Redis falls silent."""
    await locks.start()
    if taken_before:
        handle = await locks.acquire(tenant, [NAME])
        own_redis.freeze()
    else:
        own_redis.freeze()
        handle = await locks.acquire(tenant, [NAME])
        assert handle.degraded
    locks.release(handle)
    await asyncio.sleep(0.6)
    own_redis.thaw()
    later = LockService(redis)
    async with later.hold(tenant, [NAME], wait=5) as taken:
        assert not taken.degraded
    await later.close()


async def test_locks_work_again_when_redis_is_back(
    own_redis: OwnRedis, locks: LockService, tenant: uuid.UUID
) -> None:
    locks.release(await locks.acquire(tenant, [NAME]))
    own_redis.stop()
    locks.release(await locks.acquire(tenant, [NAME]))
    own_redis.start()
    deadline = time.monotonic() + 5
    while (handle := await locks.acquire(tenant, [NAME])).degraded:
        locks.release(handle)
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)
    locks.release(handle)


async def test_a_lost_script_is_sent_again(redis: Redis, locks: LockService, tenant: uuid.UUID) -> None:
    locks.release(await locks.acquire(tenant, [NAME]))
    await redis.script_flush()
    round_trips.set(counter := RoundTrips())
    handle = await locks.acquire(tenant, [NAME])
    round_trips.set(None)
    assert not handle.degraded
    assert counter.redis == 2
    await redis.script_flush()
    locks.release(handle)
    async with locks.hold(tenant, [NAME], wait=0.2):
        pass


async def test_a_flushed_lock_is_noticed_and_hurts_nobody(redis: Redis, told: Told, tenant: uuid.UUID) -> None:
    service = LockService(redis, ttl=0.3, observe=told)
    handle = await service.acquire(tenant, [NAME])
    await redis.flushall()
    await asyncio.sleep(0.2)
    assert handle.lost
    assert told.events[-1] == "lost"
    service.release(handle)
    async with service.hold(tenant, [NAME], wait=0.2):
        pass
    await service.close()


async def test_flushing_all_the_time_only_makes_locks_shared(
    redis: Redis, locks: LockService, tenant: uuid.UUID
) -> None:
    async def flush() -> None:
        while True:
            await redis.flushall()
            await asyncio.sleep(0.005)

    async def enter(service: LockService) -> None:
        for _ in range(20):
            async with service.hold(tenant, [NAME, OTHER], wait=10):
                await asyncio.sleep(0)

    flushing = asyncio.create_task(flush())
    others = LockService(redis)
    await asyncio.wait_for(asyncio.gather(*(enter(service) for service in [locks, others] * 8)), 20)
    flushing.cancel()
    await others.close()
