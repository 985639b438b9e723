"""Answers kept in two levels: this instance's memory, then Redis, then the database.

Nothing a stock or money decision rests on is kept here. An entry is used only while its tags have the versions
they had when it was looked up, and only by callers whose own writes it covers; a fill from before a change, or
from a replica behind one, is refused. Redis away: memory alone, two seconds at most.
"""

import asyncio
import random
import secrets
import time
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Protocol
from uuid import UUID

from redis.asyncio import Redis
from redis.exceptions import RedisError

from db.consistency import PRIMARY_ONLY
from db.errors import Overloaded, ReadUnavailable
from db.redis import Script
from db.redis_channel import Channel
from fleet.deadline import apart, shared
from tenancy.cache.entries import Entry, entry_key, tag_key
from tenancy.cache.invalidation import CHANNEL, Listener
from tenancy.cache.memory import Cached, Memory
from tenancy.cache.wire import read_back, written

LOOK = Script.load("tenancy.cache", "lua/look.lua")
FILL = Script.load("tenancy.cache", "lua/fill.lua")
BUMP = Script.load("tenancy.cache", "lua/bump.lua")

#: Milliseconds one instance may take to fill an entry before another does.
_LEAD_MS = 2_000
#: Milliseconds a tag is remembered after its last change; longer than any entry lives.
_TAG_MS = 24 * 3600 * 1000
#: Seconds to wait for the instance that fills, between looks and in all.
_LOOK_AGAIN = 0.005
_PATIENCE = 0.1
#: Loads at once for a cold cache; beyond, a second of waiting and then 503.
_LOADS = 20
#: Seconds a fetch takes at most, whoever waits for it; above what its parts may take by their own bounds.
_FLIGHT = 10.0
#: Seconds a missing record is remembered as missing.
_MISSING_TTL = 2.0

#: How many entries a new instance begins with, and where their names are.
_HOT = 100
_HOT_KEY = "c:hot"
_SHARE_EVERY = 10.0

#: Reads the value having replayed at least the position given; returns it and a position it is not newer than.
Load = Callable[[int | None], Awaitable[tuple[bytes, int]]]


class CacheObserver(Protocol):
    """`event`: memory, redis, waited, loaded, refused, missing, degraded,
    recovered, invalidated, lost; `kind` of record."""

    def __call__(self, event: str, kind: str) -> None: ...


def _ignore(event: str, kind: str) -> None:
    """Nobody observes."""


@dataclass(frozen=True, slots=True)
class _Miss:
    """What a fill must match (`versions` of the tags) and have replayed (`position`)."""

    versions: bytes
    position: int


@dataclass(frozen=True, slots=True)
class _Ask:
    """One entry asked for. `keys`: entry, lead, tags; `generation` of the memory when it was begun."""

    entry: Entry
    keys: tuple[str, ...]
    token: str
    after: int | None
    ttl: float
    load: Load
    generation: int
    refill: Callable[[], Any]


class TenantCache:
    """The cache of one instance. `start` before use, `close` at the end."""

    def __init__(
        self, redis: Redis, ears: Redis, *, observe: CacheObserver = _ignore, memory: Memory | None = None
    ) -> None:
        """`ears`: a client of its own for the subscription, patient where `redis` is not."""
        self._channel = Channel(redis, name="redis-cache")
        self._observe = observe
        self._name = secrets.token_hex(8)
        self._memory = Memory() if memory is None else memory
        self._listener = Listener(ears, self._changed, self._deaf)
        self._flights: dict[str, asyncio.Task[Cached]] = {}
        self._turns = asyncio.Semaphore(_LOADS)
        self._sharing: asyncio.Task[None] | None = None
        self.degraded = False

    @property
    def listening(self) -> bool:
        return self._listener.listening.is_set()

    @property
    def kept(self) -> int:
        """Entries in this instance's memory."""
        return len(self._memory)

    async def start(self) -> None:
        """Listen, take over what other instances need most, and tell them the same every ten seconds."""
        await self._channel.open()
        await self._listener.start()
        await self.warm()
        self._sharing = asyncio.get_running_loop().create_task(self._share())

    async def close(self) -> None:
        if self._sharing is not None:
            self._sharing.cancel()
        await self._listener.close()
        for flight in tuple(self._flights.values()):
            flight.cancel()
        await self._channel.close()

    async def get(self, tenant_id: UUID, entry: Entry, after: int | None, ttl: float, load: Load) -> Cached:
        """The entry, loaded when it is nowhere. `after`: what the caller must see.

        Raises what `load` raises, and DeadlineExceeded for the asker whose own time has passed.
        """
        if ttl <= 0 or after == PRIMARY_ONLY:
            value, seen = await load(after)
            return Cached(value, after or 0, seen)
        key = entry_key(tenant_id, entry)
        found = self._memory.get(key)
        if found is not None and (after is None or found.covered >= after):
            self._observe("memory", entry.kind)
            return found
        fetched = await shared(self._flight(tenant_id, entry, key, after, ttl, load), bounded=_FLIGHT)
        if after is None or fetched.covered >= after:
            return fetched
        return await self._fetch(self._asked(tenant_id, entry, key, after, ttl, load))  # that flight was less behind

    def _flight(
        self, tenant_id: UUID, entry: Entry, key: str, after: int | None, ttl: float, load: Load
    ) -> "asyncio.Task[Cached]":
        """The one fetch of this entry that is under way in this process, bounded by nobody's deadline who asks."""
        flight = self._flights.get(key)
        if flight is None:
            fetching = self._bounded(self._asked(tenant_id, entry, key, after, ttl, load))
            flight = self._flights[key] = asyncio.get_running_loop().create_task(fetching, context=apart())
            flight.add_done_callback(partial(self._landed, key))
        return flight

    def _landed(self, key: str, flight: "asyncio.Task[Cached]") -> None:
        del self._flights[key]
        if not flight.cancelled():
            flight.exception()  # whoever waits gets it; a refill has nobody who waits

    def _asked(self, tenant_id: UUID, entry: Entry, key: str, after: int | None, ttl: float, load: Load) -> _Ask:
        keys = (key, f"{key}:lead", *(tag_key(tenant_id, tag) for tag in entry.tags))
        refill = partial(self._flight, tenant_id, entry, key, None, ttl, load)
        return _Ask(entry, keys, secrets.token_hex(8), after, ttl, load, self._memory.generation, refill)

    async def invalidate(self, tenant_id: UUID, tags: Iterable[str], position: int | None = None) -> bool:
        """Nothing loaded before `position` is used any more, on any instance. False: Redis did not answer."""
        full = [tag_key(tenant_id, tag) for tag in dict.fromkeys(tags)]
        if not full:
            return True
        refills = self._memory.drop(full)
        self._observe("invalidated", "")
        try:
            await BUMP(
                self._channel,
                full,
                max(position or 0, 0),
                _TAG_MS,
                CHANNEL,
                "\n".join([self._name, *full]),
                self._name,
            )
        except RedisError:
            self._note_degraded(True)
            return False
        for refill in refills:
            refill()
        return True

    # -- between the levels --------------------------------------------------------------------

    async def _bounded(self, ask: _Ask) -> Cached:
        try:
            async with asyncio.timeout(_FLIGHT):
                return await self._fetch(ask)
        except TimeoutError:
            raise ReadUnavailable(retry_after=1) from None

    async def _fetch(self, ask: _Ask) -> Cached:
        looked = await self._look(ask)
        if isinstance(looked, Cached):
            self._keep(ask, looked)
            return looked
        behind = max(ask.after or 0, looked.position if looked else 0) or None
        cached = await self._load(ask, behind)
        if looked is None:
            self._keep(replace(ask, generation=self._memory.generation), cached)
        else:
            await self._fill(ask, looked, cached)
        return cached

    async def _look(self, ask: _Ask) -> Cached | _Miss | None:
        """Redis' entry, or what a fill needs; None when Redis is away. Waits a little for whoever fills."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _PATIENCE
        while True:
            try:
                found, versions, position, *rest = await LOOK(self._channel, ask.keys, ask.token, _LEAD_MS, _TAG_MS)
            except RedisError:
                self._note_degraded(True)
                return None
            self._note_degraded(False)
            if found:
                cached = Cached(read_back(rest[0]), int(rest[1]), int(rest[2]))
                if ask.after is None or cached.covered >= ask.after:
                    self._observe("redis", ask.entry.kind)
                    return cached
            if found or rest[0] or loop.time() >= deadline:
                return _Miss(versions, int(position))
            self._observe("waited", ask.entry.kind)
            await asyncio.sleep(_LOOK_AGAIN * random.uniform(0.5, 1.5))

    async def _load(self, ask: _Ask, after: int | None) -> Cached:
        try:
            async with asyncio.timeout(1):
                await self._turns.acquire()
        except TimeoutError:
            raise Overloaded("Too many reads wait for the database.", retry_after=1) from None
        try:
            value, seen = await ask.load(after)
        finally:
            self._turns.release()
        self._observe("loaded" if value else "missing", ask.entry.kind)
        return Cached(value, after or 0, seen)

    async def _fill(self, ask: _Ask, looked: _Miss, cached: Cached) -> None:
        ttl = ask.ttl if cached.value else min(ask.ttl, _MISSING_TTL)
        milliseconds = max(1, int(ttl * random.uniform(0.8, 1.0) * 1000))
        try:
            stored = await FILL(
                self._channel, ask.keys, written(cached.value), milliseconds, looked.versions, cached.covered,
                cached.seen, ask.token, "\n".join(ask.keys[2:]),
            )  # fmt: skip
        except RedisError:
            self._note_degraded(True)
            return
        if stored:
            self._keep(ask, cached)
        else:
            self._observe("refused", ask.entry.kind)

    def _keep(self, ask: _Ask, cached: Cached) -> None:
        """In memory too, unless something was dropped since the entry was looked up."""
        if ask.generation == self._memory.generation and (self.listening or self.degraded):
            ttl = ask.ttl if cached.value else min(ask.ttl, _MISSING_TTL)
            self._memory.put(ask.keys[0], ask.keys[2:], cached, ttl, ask.refill)

    # -- warming -----------------------------------------------------------------------------

    async def _share(self) -> None:
        while True:
            await asyncio.sleep(_SHARE_EVERY)
            await self.share_popular()

    async def share_popular(self) -> None:
        """Tell instances to come which entries this one needs most. Best effort."""
        keys = self._memory.popular(_HOT)
        if keys:
            with suppress(RedisError):
                now = time.time()
                words = [word for key in keys for word in (now, key)]
                await self._channel.execute_command("ZADD", _HOT_KEY, *words)
                await self._channel.execute_command("ZREMRANGEBYRANK", _HOT_KEY, 0, -_HOT - 1)

    async def warm(self) -> int:
        """Take the entries other instances need most into memory; how many. Best effort."""
        warmed = 0
        with suppress(RedisError):
            for key in await self._channel.execute_command("ZREVRANGE", _HOT_KEY, 0, _HOT - 1):
                warmed += await self._warm_one(key.decode())
        return warmed

    async def _warm_one(self, key: str) -> bool:
        tags = await self._channel.execute_command("HGET", key, "t")
        if not tags:
            return False
        keys = [key, f"{key}:lead", *tags.decode().split("\n")]
        generation = self._memory.generation
        found, _, _, *rest = await LOOK(self._channel, keys, "", 1, _TAG_MS)
        if not found or generation != self._memory.generation or not self.listening:
            return False
        self._memory.put(
            key, tuple(keys[2:]), Cached(read_back(rest[0]), int(rest[1]), int(rest[2])), self._memory.longest
        )
        return True

    # -- what is heard ------------------------------------------------------------------------

    def _changed(self, message: list[str]) -> None:
        sender, *tags = message
        if sender != self._name:  # its own it has dropped before it said so
            for refill in self._memory.drop(tags):
                refill()

    def _deaf(self) -> None:
        if len(self._memory):
            self._observe("lost", "")
        self._memory.clear()

    def _note_degraded(self, degraded: bool) -> None:
        if degraded != self.degraded:
            self.degraded = degraded
            self._memory.clear()
            self._observe("degraded" if degraded else "recovered", "")
