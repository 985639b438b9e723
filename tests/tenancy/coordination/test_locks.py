"""Locks of one process: atomic, fair, bounded, and cheap when nobody contends."""

import asyncio
import random
import uuid
from collections.abc import AsyncIterator, Iterable

import pytest
from redis.asyncio import Redis

from db.counting import RoundTrips, round_trips
from db.errors import LockTimeout
from db.pool import Pool
from db.replicas import ReplicaSet
from tenancy.caller import Caller, TenantFacts
from tenancy.database import TenantDatabase
from tenancy.locks import (
    LockService,
    NoLocks,
    account_operation,
    digest_name,
    execute_with_lock,
    stock_operation,
)
from tenancy.reads import TenantReads
from tenancy.work import Bounds, UnitOfWork

A, B, C = (f"stock:{letter * 32}" for letter in "abc")


@pytest.fixture
async def locks(redis: Redis) -> AsyncIterator[LockService]:
    service = LockService(redis)
    yield service
    await service.close()


@pytest.fixture
async def others(redis: Redis) -> AsyncIterator[LockService]:
    """A second process' service: nothing in common but Redis."""
    service = LockService(redis)
    yield service
    await service.close()


async def is_free(service: LockService, tenant: uuid.UUID, name: str) -> bool:
    try:
        handle = await service.acquire(tenant, [name], wait=0.06)
    except LockTimeout:
        return False
    service.release(handle)
    return True


async def test_free_locks_cost_one_round_trip_and_their_release_none(locks: LockService, tenant: uuid.UUID) -> None:
    await locks.start()
    await is_free(locks, tenant, C)
    round_trips.set(counter := RoundTrips())
    locks.release(await locks.acquire(tenant, [A, B]))
    round_trips.set(None)
    assert counter.redis == 1


async def test_another_process_waits_until_the_release(
    locks: LockService, others: LockService, tenant: uuid.UUID
) -> None:
    handle = await locks.acquire(tenant, [A])
    waiting = asyncio.create_task(others.acquire(tenant, [A]))
    done, _ = await asyncio.wait([waiting], timeout=0.1)
    assert not done
    locks.release(handle)
    others.release(await waiting)


@pytest.mark.parametrize("same_process", [True, False])
async def test_waiting_over_the_bound_is_refused_and_names_the_busy_key(
    locks: LockService, others: LockService, tenant: uuid.UUID, same_process: bool
) -> None:
    async with locks.hold(tenant, [B]):
        with pytest.raises(LockTimeout) as refusal:
            await (locks if same_process else others).acquire(tenant, [A, B, C], wait=0.05)
    assert refusal.value.facts == {"key": B}
    assert refusal.value.retry_after == 1


@pytest.mark.parametrize("same_process", [True, False])
async def test_a_refused_set_leaves_no_key_behind(
    locks: LockService, others: LockService, tenant: uuid.UUID, same_process: bool
) -> None:
    async with locks.hold(tenant, [B]):
        with pytest.raises(LockTimeout):
            await (locks if same_process else others).acquire(tenant, [A, B, C], wait=0.05)
        assert await is_free(locks, tenant, A)
        assert await is_free(others, tenant, C)


async def test_tenants_do_not_share_names(locks: LockService, tenant: uuid.UUID) -> None:
    async with locks.hold(tenant, [A]), locks.hold(uuid.uuid4(), [A], wait=0.5):
        pass


async def test_one_process_serves_its_waiters_in_order(locks: LockService, tenant: uuid.UUID) -> None:
    order: list[int] = []

    async def enter(number: int) -> None:
        async with locks.hold(tenant, [A]):
            order.append(number)
            await asyncio.sleep(0.001)

    await asyncio.gather(*(enter(number) for number in range(30)))
    assert order == list(range(30))


async def test_only_the_first_waiter_of_a_process_asks_redis(
    locks: LockService, others: LockService, tenant: uuid.UUID
) -> None:
    counters = [RoundTrips() for _ in range(10)]

    async def wait_for_it(counter: RoundTrips) -> None:
        round_trips.set(counter)
        others.release(await others.acquire(tenant, [A]))

    async with locks.hold(tenant, [A]):
        waiting = [asyncio.create_task(wait_for_it(counter)) for counter in counters]
        await asyncio.sleep(0.1)
        asked = [counter.redis for counter in counters]
        assert asked[0] > 1
        assert asked[1:] == [0] * 9
    await asyncio.gather(*waiting)


async def test_a_lock_passes_to_the_next_waiter_without_redis(locks: LockService, tenant: uuid.UUID) -> None:
    counter = RoundTrips()

    async def wait_for_it() -> None:
        round_trips.set(counter)
        locks.release(await locks.acquire(tenant, [A, B]))

    async with locks.hold(tenant, [A, B]):
        waiting = asyncio.create_task(wait_for_it())
        await asyncio.sleep(0)
    await waiting
    assert counter.redis == 0
    assert await is_free(locks, tenant, A)


async def test_a_busy_process_lets_the_others_in(locks: LockService, others: LockService, tenant: uuid.UUID) -> None:
    entered: list[str] = []

    async def enter(service: LockService, who: str) -> None:
        async with service.hold(tenant, [A], wait=10):
            entered.append(who)
            await asyncio.sleep(0.002)

    crowd = [asyncio.create_task(enter(locks, "crowd")) for _ in range(200)]
    await asyncio.sleep(0.01)
    await enter(others, "outsider")
    await asyncio.gather(*crowd)
    # Two dozen after it has asked, and those that come before its question does on a busy machine.
    assert entered.index("outsider") < 120


async def test_overlapping_sets_never_block_each_other_in_a_circle(redis: Redis, tenant: uuid.UUID) -> None:
    services = [LockService(redis, wait=20) for _ in range(3)]
    names = [f"stock:{number:032x}" for number in range(5)]
    holders: dict[str, object] = {}

    async def enter(service: LockService) -> None:
        me = object()
        for _ in range(5):
            chosen = random.sample(names, random.randint(1, 4))
            async with service.hold(tenant, chosen):
                assert not any(name in holders for name in chosen)
                holders.update(dict.fromkeys(chosen, me))
                await asyncio.sleep(0)
                for name in chosen:
                    assert holders.pop(name) is me

    async with asyncio.TaskGroup() as group:
        for service in services * 10:
            group.create_task(enter(service))
    for service in services:
        await service.close()


async def test_cancelled_waiters_leave_nothing_behind(
    locks: LockService, others: LockService, tenant: uuid.UUID
) -> None:
    async def enter(service: LockService) -> None:
        async with service.hold(tenant, random.sample([A, B, C], random.randint(1, 3)), wait=10):
            await asyncio.sleep(random.uniform(0, 0.003))

    for _ in range(10):
        tasks = [asyncio.create_task(enter(service)) for service in [locks, others] * 15]
        await asyncio.sleep(random.uniform(0, 0.02))
        for task in random.sample(tasks, 15):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for name in (A, B, C):
        assert await is_free(locks, tenant, name)
        assert await is_free(others, tenant, name)


async def test_a_held_lock_outlives_its_time_to_live(redis: Redis, others: LockService, tenant: uuid.UUID) -> None:
    service = LockService(redis, ttl=0.3)
    async with service.hold(tenant, [A]) as handle:
        await asyncio.sleep(0.9)
        assert not await is_free(others, tenant, A)
        assert not handle.lost
    assert await is_free(others, tenant, A)
    await service.close()


async def test_execute_with_lock_takes_any_text_as_name(locks: LockService, tenant: uuid.UUID) -> None:
    async def nested() -> None:
        await execute_with_lock(locks, tenant, "close the day *\n", work, wait=0.05)

    async def work() -> None:
        raise AssertionError("must not run")

    with pytest.raises(LockTimeout) as refusal:
        await execute_with_lock(locks, tenant, "close the day *\n", nested)
    assert refusal.value.facts == {"key": "close the day *\n"}
    assert await is_free(locks, tenant, digest_name("named", "close the day *\n"))


@pytest.mark.parametrize("name", ["stock", "stock:", "stock:*", "Stock:ab", "stock:a b", f"stock:{'a' * 161}"])
async def test_raw_input_is_no_lock_name(locks: LockService, tenant: uuid.UUID, name: str) -> None:
    with pytest.raises(ValueError, match="not a lock name"):
        await locks.acquire(tenant, [name])


async def test_operators_see_who_holds_what_and_can_open_it(
    locks: LockService, others: LockService, tenant: uuid.UUID
) -> None:
    async with locks.hold(tenant, [A, B]), locks.hold(uuid.uuid4(), [C]):
        assert not await is_free(others, tenant, B)
        shown = await others.listing(tenant)
        assert [lock.name for lock in shown.locks] == [A, B]
        assert shown.complete
        assert [lock.waited_for for lock in shown.locks] == [False, True]
        assert 25 < shown.locks[0].expires_in <= 30
        assert shown.locks[0].holder
        assert not (await others.listing(tenant, limit=1)).complete
        assert await others.info(tenant, C) is None
        lease = shown.locks[0].lease
        assert await others.force_release(tenant, A, lease)
        assert not await others.force_release(tenant, A, lease)
        assert await is_free(others, tenant, A)


async def test_opening_by_force_leaves_whoever_came_after_the_one_that_was_looked_at(
    locks: LockService, others: LockService, tenant: uuid.UUID
) -> None:
    first = await locks.acquire(tenant, [A])
    seen = await others.info(tenant, A)
    assert seen is not None
    locks.release(first)
    async with others.hold(tenant, [A]):
        assert not await others.force_release(tenant, A, seen.lease)
        assert not await is_free(locks, tenant, A)


async def test_releasing_twice_does_not_open_the_next_holders_lock(
    locks: LockService, others: LockService, tenant: uuid.UUID
) -> None:
    first = await locks.acquire(tenant, [A])
    locks.release(first)
    second = await locks.acquire(tenant, [A])
    locks.release(first)
    assert not await is_free(others, tenant, A)
    locks.release(second)


async def test_stock_and_account_operations_name_their_rows_once_and_sorted() -> None:
    class Work:
        def __init__(self) -> None:
            self.held: list[str] = []

        async def hold_locks(self, keys: Iterable[str]) -> None:
            self.held = list(keys)

    low, high = uuid.UUID(int=1), uuid.UUID(int=2)
    work = Work()
    await stock_operation(work, [(high, low), (low, high), (high, low)])
    assert work.held == [f"stock:{low}:{high}", f"stock:{high}:{low}"]
    await account_operation(work, [high, low, high])
    assert work.held == [f"account:{low}", f"account:{high}"]


async def test_without_redis_settings_the_null_locks_stand_in(tenant: uuid.UUID) -> None:
    locks = NoLocks()
    first, second = await locks.acquire(tenant, [A]), await locks.acquire(tenant, [A])
    assert first.degraded
    locks.release(second)


async def test_a_unit_of_work_asks_for_a_name_once_and_releases_all_at_its_end(
    locks: LockService, others: LockService, tenant: uuid.UUID
) -> None:
    """Several commands of one batch may touch the same stock."""
    facts = TenantFacts(tenant, "bare", "Bare", "active", "GBP", "GB", "Europe/London")
    caller = Caller(facts, uuid.uuid4(), "system", "test", "owner", frozenset(), "127.0.0.1", "test")
    pool = Pool("", name="never opened", size=1)
    database = TenantDatabase(pool, locks=locks, reads=TenantReads(pool, ReplicaSet([], pool)))
    work = UnitOfWork(pool, caller, database=database, locks=locks, bounds=Bounds())
    await work.hold_locks([A])
    await work.hold_locks([A, B])
    assert not await is_free(others, tenant, A)
    assert not await is_free(others, tenant, B)
    await work.end()
    assert await is_free(others, tenant, A)
    assert await is_free(others, tenant, B)
