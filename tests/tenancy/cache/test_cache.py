"""Two levels of cached answers: when they are used, when they end, and what a stale fill meets."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import pytest
from redis.asyncio import Redis

from db.errors import Overloaded, ReadUnavailable
from db.redis import Script, connect
from fleet.deadline import Deadline, DeadlineExceeded, remaining
from tenancy.cache import service
from tenancy.cache.entries import changed, listed, record
from tenancy.cache.memory import Cached, Memory
from tenancy.cache.service import Load, TenantCache
from tests.tenancy.coordination.conftest import OwnRedis, own_redis, redis, redis_of_our_own, tenant

__all__ = ["own_redis", "redis", "redis_of_our_own", "tenant"]

Instances = Callable[..., Coroutine[Any, Any, TenantCache]]


class Source:
    """A record in a database, with the loads counted. `held`: loads wait until it is set."""

    def __init__(self, value: bytes = b"old") -> None:
        self.value = value
        self.loads = 0
        self.asked: list[int | None] = []
        self.reading, self.held = asyncio.Event(), asyncio.Event()
        self.held.set()

    async def load(self, after: int | None) -> tuple[bytes, int]:
        self.loads += 1
        self.asked.append(after)
        value = self.value
        self.reading.set()
        await self.held.wait()
        return value, after or 0


@pytest.fixture
async def instance(own_redis: OwnRedis, redis: Redis) -> AsyncIterator[Instances]:
    """Makes caches as different instances have them."""
    made: list[tuple[TenantCache, Redis, Redis]] = []

    async def make(**options: Any) -> TenantCache:
        client, ears = connect(own_redis.url, timeout=0.3), connect(own_redis.url, timeout=5.0)
        cache = TenantCache(client, ears, **options)
        await cache.start()
        made.append((cache, client, ears))
        return cache

    yield make
    for cache, client, ears in made:
        await cache.close()
        await client.aclose()
        await ears.aclose()


KEY = uuid.UUID(int=7)
ENTRY = record("product", KEY)


async def ask(cache: TenantCache, tenant: uuid.UUID, load: Load, after: int | None = None) -> bytes:
    return (await cache.get(tenant, ENTRY, after, 30.0, load)).value


async def eventually(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110  # nothing announces it
            await asyncio.sleep(0.005)


async def test_a_second_look_is_answered_from_memory_and_another_instance_from_redis(
    instance: Instances, tenant: uuid.UUID
) -> None:
    events: list[str] = []
    one, other = await instance(observe=lambda event, kind: events.append(event)), await instance()
    source = Source()
    for cache in (one, one, other):
        assert await ask(cache, tenant, source.load) == b"old"
    assert source.loads == 1
    assert events == ["loaded", "memory"]


async def test_the_same_id_of_another_tenant_is_another_entry(instance: Instances, tenant: uuid.UUID) -> None:
    cache = await instance()
    assert await ask(cache, tenant, Source(b"mine").load) == b"mine"
    assert await ask(cache, uuid.uuid4(), Source(b"theirs").load) == b"theirs"


async def test_a_change_ends_the_entry_on_every_instance(instance: Instances, tenant: uuid.UUID) -> None:
    one, other = await instance(), await instance()
    source = Source()
    for cache in (one, other):
        await ask(cache, tenant, source.load)
    source.value = b"new"
    await one.invalidate(tenant, changed("product", KEY), position=50)
    assert await ask(one, tenant, source.load) == b"new"
    async with asyncio.timeout(1):
        while await ask(other, tenant, source.load) != b"new":  # noqa: ASYNC110  # nothing announces it
            await asyncio.sleep(0.002)


async def test_a_list_ends_with_any_change_of_its_kind_and_no_other(instance: Instances, tenant: uuid.UUID) -> None:
    cache = await instance()
    source = Source()
    page = listed("product", b"?limit=2")

    async def shown() -> bytes:
        return (await cache.get(tenant, page, None, 30.0, source.load)).value

    await shown()
    source.value = b"new"
    await cache.invalidate(tenant, changed("party", KEY))
    assert await shown() == b"old"
    await cache.invalidate(tenant, changed("product", KEY))
    assert await shown() == b"new"


async def test_a_fill_from_before_the_change_is_refused(instance: Instances, tenant: uuid.UUID) -> None:
    """Reader misses and reads the old row; writer changes and invalidates; only then the reader stores."""
    events: list[str] = []
    cache = await instance(observe=lambda event, kind: events.append(event))
    slow = Source()
    slow.held.clear()
    reader = asyncio.create_task(ask(cache, tenant, slow.load))
    await slow.reading.wait()
    await cache.invalidate(tenant, changed("product", KEY), position=9)
    slow.held.set()
    assert await reader == b"old"  # it began before the change
    assert "refused" in events
    assert await ask(cache, tenant, Source(b"new").load) == b"new"


async def test_without_the_version_check_the_stale_fill_stays(
    instance: Instances, tenant: uuid.UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bug that would be there otherwise."""
    unchecked = service.FILL.source.replace("~= ARGV[3]", "== 'never'")
    naive = Script(unchecked.replace("'v', ARGV[3]", "'v', table.concat(versions, ',')"))
    monkeypatch.setattr(service, "FILL", naive)
    cache = await instance(memory=Memory(most=0))
    slow = Source()
    slow.held.clear()
    reader = asyncio.create_task(ask(cache, tenant, slow.load))
    await slow.reading.wait()
    await cache.invalidate(tenant, changed("product", KEY), position=9)
    slow.held.set()
    await reader
    assert await ask(cache, tenant, Source(b"new").load) == b"old"


async def test_a_fill_must_have_replayed_the_change(instance: Instances, tenant: uuid.UUID) -> None:
    cache = await instance()
    await cache.invalidate(tenant, changed("product", KEY), position=4_711)
    source = Source()
    await ask(cache, tenant, source.load)
    assert source.asked == [4_711]


async def test_a_caller_sees_its_own_write_whatever_is_cached(instance: Instances, tenant: uuid.UUID) -> None:
    """Its position is beyond what the entry covers, even when the invalidation was lost."""
    cache = await instance()
    source = Source()
    await ask(cache, tenant, source.load, after=10)
    source.value = b"new"
    assert await ask(cache, tenant, source.load, after=10) == b"old"
    assert await ask(cache, tenant, source.load, after=11) == b"new"
    assert await ask(cache, tenant, source.load, after=11) == b"new"
    assert source.loads == 2


async def test_a_hundred_askers_of_four_instances_cost_one_load(instance: Instances, tenant: uuid.UUID) -> None:
    caches = [await instance() for _ in range(4)]
    for _ in range(5):  # where Redis answers too late, and it may on a busy machine, each instance loads for itself
        source = Source()
        source.held.clear()
        askers = [asyncio.create_task(ask(cache, tenant, source.load)) for cache in caches for _ in range(25)]
        await source.reading.wait()
        await asyncio.sleep(0)
        source.held.set()
        assert set(await asyncio.gather(*askers)) == {b"old"}
        assert source.loads <= len(caches)
        if source.loads == 1:
            return
        tenant = uuid.uuid4()
    raise AssertionError("never a single load")


async def test_an_asker_that_gives_up_does_not_fail_the_others(instance: Instances, tenant: uuid.UUID) -> None:
    cache = await instance()
    source = Source()
    source.held.clear()
    first, second = (asyncio.create_task(ask(cache, tenant, source.load)) for _ in range(2))
    await source.reading.wait()
    first.cancel()
    source.held.set()
    assert await second == b"old"


async def test_a_shared_load_has_nobodys_deadline_and_each_asker_its_own(
    instance: Instances, tenant: uuid.UUID
) -> None:
    cache = await instance()
    source = Source()
    source.held.clear()
    left: list[float | None] = []

    async def load(after: int | None) -> tuple[bytes, int]:
        left.append(remaining())
        return await source.load(after)

    async def hurried() -> bytes:
        with Deadline(0.1):
            return await ask(cache, tenant, load)

    first = asyncio.create_task(hurried())
    await source.reading.wait()
    second = asyncio.create_task(ask(cache, tenant, load))
    with pytest.raises(DeadlineExceeded):
        await first
    source.held.set()
    assert await second == b"old"
    assert (left, source.loads) == ([None], 1)


async def test_what_a_writer_has_filled_again_is_not_bound_by_its_deadline(
    instance: Instances, tenant: uuid.UUID
) -> None:
    cache = await instance()
    source = Source()
    left: list[float | None] = []

    async def load(after: int | None) -> tuple[bytes, int]:
        left.append(remaining())
        return await source.load(after)

    for _ in range(5):
        await ask(cache, tenant, load)
    with Deadline(5.0):
        await cache.invalidate(tenant, changed("product", KEY))
    await eventually(lambda: source.loads == 2 and cache.kept == 1)
    assert left == [None, None]


async def test_a_load_that_never_ends_ends_for_whoever_waits(
    instance: Instances, tenant: uuid.UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "_FLIGHT", 0.2)
    cache = await instance()
    source = Source()
    source.held.clear()
    with pytest.raises(ReadUnavailable):
        await ask(cache, tenant, source.load)


async def test_a_missing_record_is_remembered_shortly_and_found_once_made(
    instance: Instances, tenant: uuid.UUID
) -> None:
    cache = await instance()
    source = Source(b"")
    for _ in range(3):
        assert await ask(cache, tenant, source.load) == b""
    assert source.loads == 1
    source.value = b"made"
    await cache.invalidate(tenant, changed("product", KEY))
    assert await ask(cache, tenant, source.load) == b"made"


async def test_an_emptied_redis_brings_nothing_old_back(instance: Instances, tenant: uuid.UUID, redis: Redis) -> None:
    cache = await instance(memory=Memory(most=0))
    source = Source()
    await ask(cache, tenant, source.load)
    kept = await redis.dump(f"c:{tenant.hex}:product:{KEY.hex}")
    assert kept is not None
    source.value = b"new"
    await cache.invalidate(tenant, changed("product", KEY))
    await redis.flushall()
    await redis.restore(f"c:{tenant.hex}:product:{KEY.hex}", 60_000, kept)
    assert await ask(cache, tenant, source.load) == b"new"


async def test_without_redis_memory_answers_for_its_two_seconds(
    instance: Instances, tenant: uuid.UUID, own_redis: OwnRedis
) -> None:
    now = [0.0]
    cache = await instance(memory=Memory(clock=lambda: now[0]))
    source = Source()
    await ask(cache, tenant, source.load)
    own_redis.stop()
    await eventually(lambda: not cache.listening)
    source.value = b"new"
    assert await ask(cache, tenant, source.load) == b"new", "what was kept before the silence is not trusted"
    assert cache.degraded
    source.value = b"newer"
    assert await ask(cache, tenant, source.load) == b"new"
    now[0] += 2.1
    assert await ask(cache, tenant, source.load) == b"newer"


async def test_a_lost_subscription_empties_the_memory(instance: Instances, tenant: uuid.UUID, redis: Redis) -> None:
    cache = await instance()
    source = Source()
    await ask(cache, tenant, source.load)
    assert cache.kept == 1
    await redis.client_kill_filter(_type="pubsub")
    await eventually(lambda: cache.kept == 0)
    await eventually(lambda: cache.listening)


async def test_a_new_instance_begins_with_what_the_others_need_most(instance: Instances, tenant: uuid.UUID) -> None:
    one = await instance()
    source = Source()
    for _ in range(5):
        await ask(one, tenant, source.load)
    await one.share_popular()
    assert (await instance()).kept == 1


async def test_what_is_used_most_is_filled_again_after_a_change(instance: Instances, tenant: uuid.UUID) -> None:
    cache = await instance()
    source = Source()
    for _ in range(5):
        await ask(cache, tenant, source.load)
    source.value = b"new"
    await cache.invalidate(tenant, changed("product", KEY))
    await eventually(lambda: source.loads == 2 and cache.kept == 1)
    assert await ask(cache, tenant, source.load) == b"new"
    assert source.loads == 2


async def test_a_cold_cache_does_not_flood_the_database(
    instance: Instances, tenant: uuid.UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = await instance()
    source = Source()
    source.held.clear()
    entries = [record("product", uuid.uuid4()) for _ in range(service._LOADS + 1)]
    asked = [asyncio.create_task(cache.get(tenant, entry, None, 30.0, source.load)) for entry in entries]
    await eventually(lambda: source.loads == service._LOADS)
    done, _ = await asyncio.wait(asked, return_when=asyncio.FIRST_COMPLETED, timeout=5)
    source.held.set()
    assert [type(task.exception()) for task in done] == [Overloaded]
    await asyncio.gather(*asked, return_exceptions=True)


async def test_invalidation_reaches_the_last_instance_soon(instance: Instances, tenant: uuid.UUID) -> None:
    caches = [await instance() for _ in range(3)]
    source = Source()
    took: list[float] = []
    for turn in range(50):
        for cache in caches:
            await ask(cache, tenant, source.load)
        source.value = b"%d" % turn
        began = time.perf_counter()
        await caches[0].invalidate(tenant, changed("product", KEY))
        for cache in caches[1:]:
            while await ask(cache, tenant, source.load) != b"%d" % turn:  # noqa: ASYNC110  # nothing announces it
                await asyncio.sleep(0)
        took.append(time.perf_counter() - began)
    assert sorted(took)[-1] < 1.0


def test_memory_is_bounded_in_number_and_bytes() -> None:
    memory = Memory(most=3, most_bytes=1_000)
    for number in range(5):
        memory.put(f"k{number}", ("t",), Cached(b"x" * 10, 0, 0), 1.0)
    assert len(memory) == 3
    assert memory.get("k0") is None
    memory.put("big", ("t",), Cached(b"x" * 2_000, 0, 0), 1.0)
    assert memory.size <= 1_000
    memory.drop(["t"])
    assert (len(memory), memory.size) == (0, 0)
