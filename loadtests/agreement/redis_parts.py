"""Locks and the cache, beside the round trips to Redis that they cannot do without."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import msgspec
from redis.asyncio import Redis
from redis.asyncio.client import PubSub

from db.redis import Executor, Script, connect
from db.redis_channel import Channel
from loadtests.agreement.bench import Bench
from loadtests.agreement.figures import Figure, p99_within, timed, times_bare
from loadtests.figures import Latency, latency
from tenancy.cache.entries import Entry, record
from tenancy.cache.service import TenantCache
from tenancy.locks import LockService

_TIMES = 2_000
_ROUNDS = 300
_TTL_MS = 10_000
_INSTANCES = 3
#: The least that could be called a lock: taken when free, left only by its owner.
_TAKE = Script(
    "for i = 1, #KEYS do if not redis.call('SET', KEYS[i], ARGV[1], 'NX', 'PX', ARGV[2]) then return 0 end end"
    " return 1"
)
_LEAVE = Script(
    "for i = 1, #KEYS do if redis.call('GET', KEYS[i]) == ARGV[1] then redis.call('DEL', KEYS[i]) end end return 1"
)


async def locks(bench: Bench) -> list[Figure]:
    """Names nobody else wants: what is measured is the way there and back, not the waiting for others.

    Ours and the bare scripts over a connection of the same kind. Commands do not wait until a lock is given back; so
    both are measured with that, and both without: then its cost falls into the next.
    """
    client = connect(bench.fleet.plan.endpoints.redis_locks_url, timeout=0.5)
    service, channel = LockService(client), Channel(client)
    await service.start()
    await channel.open()
    found = []
    try:
        for name, keys in (("lock acquire + release", 1), ("three-key lock", 3)):
            found.append(await _lock(bench, service, channel, client, name, keys))
        for name, keys in (("lock acquire", 1), ("three-key lock, acquire", 3)):
            found.append(await _taken(bench, service, channel, f"{name}; release not awaited", keys))
        return found
    finally:
        await service.close()
        await channel.close()
        await client.aclose()


async def _lock(bench: Bench, service: LockService, channel: Channel, client: Redis, name: str, keys: int) -> Figure:
    """Until Redis has answered both. Beside it the scripts over our kind of connection, of which the aim speaks, and
    over the usual client."""

    async def ours(number: int) -> None:
        async with service.hold(bench.tenant_id, _ours(number, keys)):
            pass
        await service._store._idle.wait()  # set when Redis has answered the release

    async def bare(executor: Executor, number: int) -> None:
        names, token = _bare(number, keys)
        await _TAKE(executor, names, token, _TTL_MS)
        await _LEAVE(executor, names, token)

    found, lean = await timed(ours, _TIMES), await timed(lambda number: bare(channel, number), _TIMES)
    usual = await timed(lambda number: bare(client, number), _TIMES)
    figure = times_bare(name, found, lean, at_most=1.5)
    beside = f"{figure.value}, {found.p50 / max(usual.p50, 1e-6):.2f} x by redis-py"
    return msgspec.structs.replace(figure, value=beside)


async def _taken(bench: Bench, service: LockService, channel: Channel, name: str, keys: int) -> Figure:
    """As commands hold locks: what gives them back is on its way before the next one takes."""

    async def ours(number: int) -> None:
        async with service.hold(bench.tenant_id, _ours(number, keys)):
            pass

    async def bare(number: int) -> None:
        names, token = _bare(number, keys)
        await _TAKE(channel, names, token, _TTL_MS)
        _LEAVE.post(channel, names, token, done=_given_back)

    found = times_bare(name, await timed(ours, _TIMES), await timed(bare, _TIMES))
    await channel.execute_command("PING")  # behind the last one that was given back
    return found


def _ours(number: int, keys: int) -> list[str]:
    return [f"bench:{number:08x}:{key}" for key in range(keys)]


def _bare(number: int, keys: int) -> tuple[list[str], str]:
    return [f"bare:{number:08x}:{key}" for key in range(keys)], uuid.uuid4().hex


def _given_back(reply: object, error: BaseException | None) -> None:
    assert error is None, error


# -- cache


@dataclass(slots=True)
class _Source:
    """What is cached: the number it has at the moment."""

    number: int = 0

    async def load(self, after: int | None) -> tuple[bytes, int]:
        return str(self.number).encode(), after or 0


@asynccontextmanager
async def _instances(url: str, count: int) -> AsyncIterator[list[TenantCache]]:
    made: list[tuple[TenantCache, Redis, Redis]] = []
    try:
        for _ in range(count):
            client, ears = connect(url, timeout=0.5), connect(url, timeout=5.0)
            made.append((TenantCache(client, ears), client, ears))
            await made[-1][0].start()
        yield [cache for cache, _, _ in made]
    finally:
        for cache, client, ears in made:
            await cache.close()
            await client.aclose()
            await ears.aclose()


async def cache_levels(bench: Bench) -> list[Figure]:
    url, source = bench.fleet.plan.endpoints.redis_cache_url, _Source()
    async with _instances(url, 2) as (filler, reader):
        client = connect(url, timeout=0.5)
        await client.set("bare:entry", b"value", px=60_000)
        entries = [_entry(bench, number) for number in range(_TIMES + 50)]
        for entry in entries:
            await filler.get(bench.tenant_id, entry, None, 60.0, source.load)
        bare = await timed(lambda number: client.get("bare:entry"), _TIMES)
        second = await timed(lambda at: reader.get(bench.tenant_id, entries[at], None, 60.0, source.load), _TIMES)
        first = await timed(lambda at: reader.get(bench.tenant_id, entries[-1], None, 60.0, source.load), _TIMES)
        await client.aclose()
    return [
        times_bare("cache get, this instance's memory", first, bare),
        times_bare("cache get, Redis", second, bare),
    ]


def _entry(bench: Bench, number: int) -> Entry:
    return record("product", uuid.UUID(int=number + 1))


async def invalidation(bench: Bench) -> list[Figure]:
    """From the call on one instance until the last of three no longer has the old answer."""
    url, source, entry = bench.fleet.plan.endpoints.redis_cache_url, _Source(), _entry(bench, 10**9)
    async with _instances(url, _INSTANCES) as caches:

        async def read(cache: TenantCache) -> bytes:
            return (await cache.get(bench.tenant_id, entry, None, 60.0, source.load)).value

        seconds = []
        for number in range(_ROUNDS):
            for cache in caches:
                await read(cache)
            source.number = number + 1
            new, begun = str(source.number).encode(), time.perf_counter()
            await caches[0].invalidate(bench.tenant_id, entry.tags)
            while [await read(cache) for cache in caches] != [new] * _INSTANCES:  # noqa: ASYNC110  # it has no event
                await asyncio.sleep(0.0005)
            seconds.append(time.perf_counter() - begun)
    return [p99_within("invalidation to the last instance", latency(seconds), await _heard(url), 20)]


async def _heard(url: str) -> Latency:
    """The bare limit: a message until the last of as many subscribers has it."""
    client = connect(url, timeout=0.5)
    ears = [client.pubsub(ignore_subscribe_messages=True) for _ in range(_INSTANCES)]
    for ear in ears:
        await ear.subscribe("bench:bare")
        await ear.get_message(timeout=1.0)

    async def told(number: int) -> None:
        await client.publish("bench:bare", str(number))
        await asyncio.gather(*(_next(ear) for ear in ears))

    try:
        return await timed(told, _ROUNDS)
    finally:
        for ear in ears:
            await ear.aclose()  # type: ignore[no-untyped-call]
        await client.aclose()


async def _next(ear: PubSub) -> None:
    while await ear.get_message(timeout=5.0) is None:
        pass
