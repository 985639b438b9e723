"""Locks between operating-system processes, some of which are killed or paused while they hold one."""

import asyncio
import signal
import time
import uuid
from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from db.errors import LockTimeout
from db.redis import Script
from tenancy.lock_store import ACQUIRE, RELEASE, LockScripts
from tenancy.locks import LockService
from tests.tenancy.coordination.conftest import OwnRedis, Rivals
from tests.tenancy.coordination.rival import overwriting_acquire

NAME = f"stock:{'a' * 32}"


@pytest.fixture
async def locks(redis: Redis) -> AsyncIterator[LockService]:
    service = LockService(redis)
    yield service
    await service.close()


async def crowd(
    own_redis: OwnRedis, rivals: Rivals, tenant: uuid.UUID, keys: int, *, planted: bool = False
) -> list[tuple[int, ...]]:
    """Three processes of 16 tasks, 6 rounds each: (entries, overlaps seen, waits given up) per process."""
    begun = [await rivals("contend", own_redis.url, tenant, 16, 6, keys, planted) for _ in range(3)]
    for rival in begun:
        assert await rival.says() == "ready"
    for rival in begun:
        rival.tell()
    return [tuple(map(int, (await rival.says()).split())) for rival in begun]


@pytest.mark.parametrize("keys", [1, 4])
async def test_sixteen_tasks_in_three_processes_never_meet_in_a_section(
    own_redis: OwnRedis, redis: Redis, rivals: Rivals, tenant: uuid.UUID, keys: int
) -> None:
    assert await crowd(own_redis, rivals, tenant, keys) == [(16 * 6, 0, 0)] * 3


async def test_the_crowd_catches_an_acquire_that_overwrites(
    own_redis: OwnRedis, redis: Redis, rivals: Rivals, tenant: uuid.UUID
) -> None:
    results = await crowd(own_redis, rivals, tenant, 1, planted=True)
    assert sum(overlaps for _, overlaps, _ in results) > 0


async def test_a_killed_holders_lock_lapses_with_its_time_to_live(
    own_redis: OwnRedis, locks: LockService, rivals: Rivals, tenant: uuid.UUID
) -> None:
    rival = await rivals("hold", own_redis.url, tenant, NAME, 1.0)
    assert await rival.says() == "held"
    rival.send(signal.SIGKILL)
    with pytest.raises(LockTimeout):
        await locks.acquire(tenant, [NAME], wait=0.2)
    started = time.monotonic()
    locks.release(await locks.acquire(tenant, [NAME], wait=5))
    assert time.monotonic() - started < 1.2


async def stale_release_spares_the_next_holder(
    own_redis: OwnRedis, redis: Redis, tenant: uuid.UUID, scripts: LockScripts
) -> None:
    """A lapsed holder releases after another has taken the lock: it must still be the other's."""
    late, second, third = (LockService(redis, ttl=0.2, scripts=scripts) for _ in range(3))
    handle = await late.acquire(tenant, [NAME])
    await redis.flushdb()
    async with second.hold(tenant, [NAME]):
        late.release(handle)
        await late.close()
        with pytest.raises(LockTimeout):
            third.release(await third.acquire(tenant, [NAME], wait=0.05))
    await second.close()
    await third.close()


async def only_one_holds(redis: Redis, tenant: uuid.UUID, scripts: LockScripts) -> None:
    """Two processes ask at once: one is told to wait."""
    services = [LockService(redis, scripts=scripts) for _ in range(2)]
    answers = await asyncio.gather(
        *(service.acquire(tenant, [NAME], wait=0.05) for service in services), return_exceptions=True
    )
    for service in services:
        await service.close()
    assert sum(isinstance(answer, LockTimeout) for answer in answers) == 1


async def test_a_stale_release_spares_the_next_holder(own_redis: OwnRedis, redis: Redis, tenant: uuid.UUID) -> None:
    await stale_release_spares_the_next_holder(own_redis, redis, tenant, LockScripts())


async def test_a_release_that_does_not_compare_tokens_is_caught(
    own_redis: OwnRedis, redis: Redis, tenant: uuid.UUID
) -> None:
    planted = Script(RELEASE.source.replace("if lock[1] == token then", "if lock[1] then"))
    assert planted.source != RELEASE.source
    with pytest.raises(pytest.fail.Exception, match="DID NOT RAISE"):
        await stale_release_spares_the_next_holder(own_redis, redis, tenant, LockScripts(release=planted))


async def test_two_processes_cannot_hold_one_lock(redis: Redis, tenant: uuid.UUID) -> None:
    await only_one_holds(redis, tenant, LockScripts())


async def test_an_acquire_that_overwrites_is_caught(redis: Redis, tenant: uuid.UUID) -> None:
    planted = overwriting_acquire()
    assert planted.source != ACQUIRE.source
    with pytest.raises(AssertionError):
        await only_one_holds(redis, tenant, LockScripts(acquire=planted))


async def test_a_paused_holder_neither_keeps_nor_opens_the_lock_it_lost(
    own_redis: OwnRedis, locks: LockService, redis: Redis, rivals: Rivals, tenant: uuid.UUID
) -> None:
    rival = await rivals("hold", own_redis.url, tenant, NAME, 0.6)
    assert await rival.says() == "held"
    rival.send(signal.SIGSTOP)
    async with locks.hold(tenant, [NAME], wait=5):
        rival.send(signal.SIGCONT)
        rival.tell("release")
        assert await rival.says() == "lost"
        held = await locks.info(tenant, NAME)
        assert held is not None
        assert held.expires_in > 25  # ours, not the rival's 0.6 s
    await locks.close()
