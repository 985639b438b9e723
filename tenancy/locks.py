"""Tenant-namespaced locks that keep waiters off the database. They decide nothing: row locks do.

A lock may be held twice (a paused holder, a flushed Redis) or by nobody (Redis away): every command is
still correct, it only meets its rivals later, in PostgreSQL.
"""

import asyncio
import hashlib
import os
import re
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Protocol, TypeVar
from uuid import UUID

from redis.asyncio import Redis

from db.errors import LockTimeout
from db.redis_channel import Channel
from fleet.deadline import within
from tenancy.lock_quorum import Nodes, quorum_scripts
from tenancy.lock_register import LockInfo, LockListing, LockRegister
from tenancy.lock_store import LockObserver, LockScripts, LockStore, kind_of
from tenancy.lock_turns import Lease, StillBusy, Turns

T = TypeVar("T")

#: A name is `<kind>:<ids>`, ids in hexadecimal (uuids, or a digest of anything else): never raw input.
_NAME = re.compile(r"[a-z][a-z_]{0,31}:[0-9a-f][0-9a-f:-]{0,159}")
#: A lease goes from hand to hand inside a process so often or so long at most; then other processes' turn.
MAX_HAND_OVERS = 24
#: How many stock levels one document may lock here; more are left to the row locks alone.
MANY = 16
MAX_HAND_OVER_SECONDS = 0.1


@dataclass(slots=True, eq=False)
class Handle:
    """What `acquire` returns and `release` wants back. `waited` in seconds, `taken_at` event-loop time."""

    names: tuple[str, ...]
    lease: Lease | None
    waited: float = 0.0
    taken_at: float = 0.0
    released: bool = False

    @property
    def degraded(self) -> bool:
        """True when only this process' own waiting lines guard the names: Redis is away."""
        return self.lease is None or self.lease.degraded

    @property
    def lost(self) -> bool:
        """True when the lock was found expired, flushed or taken by another while held."""
        return self.lease is not None and self.lease.lost


class Locks(Protocol):
    """What commands need of the locks."""

    async def acquire(self, tenant_id: UUID, keys: Iterable[str], *, wait: float | None = None) -> Handle: ...
    def release(self, handle: Handle) -> None: ...


class HoldsLocks(Protocol):
    """A unit of work: keeps the locks it was told to take until the commit of its transaction is sent."""

    async def hold_locks(self, keys: Iterable[str]) -> None: ...


def digest_name(kind: str, text: str) -> str:
    """A lock name for anything that is not an id."""
    return f"{kind}:{hashlib.sha256(text.encode()).hexdigest()}"


def _ignore(event: str, kind: str, seconds: float) -> None:
    """Nobody observes."""


class LockService:
    """Locks in one Redis, or in a majority of several independent ones, for one process.

    `nodes`: three, five, ... servers used instead of `redis`. `ttl`: seconds after which the locks of a dead
    holder lapse (a live one renews them every third of it). `wait`: seconds `acquire` waits at most, waiting
    lines of this process included.
    """

    def __init__(
        self,
        redis: Redis,
        *,
        ttl: float = 30.0,
        wait: float = 2.0,
        holder: str | None = None,
        scripts: LockScripts | None = None,
        observe: LockObserver = _ignore,
        nodes: Sequence[Redis] = (),
    ) -> None:
        self._channel = Channel(redis, name="redis-locks")
        self._nodes = (
            Nodes([Channel(one, name=f"redis-locks-{n}") for n, one in enumerate(nodes, 1)]) if nodes else None
        )
        self._register = LockRegister(*(nodes or [redis]))
        scripts = scripts or LockScripts()
        self._wait = wait
        self._ttl = ttl
        self._observe = observe
        self._turns = Turns(self._part_with)
        self._store = LockStore(
            self._channel,
            ttl=ttl,
            holder=(holder or f"{socket.gethostname()}:{os.getpid()}")[:100],
            scripts=quorum_scripts(self._nodes, scripts) if self._nodes else scripts,
            observe=observe,
        )

    async def start(self) -> None:
        """Connect ahead of the first command; harmless when Redis is away."""
        await (self._nodes or self._channel).open()

    async def close(self) -> None:
        """Release everything and disconnect."""
        await self._store.close()
        await (self._nodes or self._channel).close()

    async def acquire(self, tenant_id: UUID, keys: Iterable[str], *, wait: float | None = None) -> Handle:
        """Take all the names or none: one round trip when nobody holds any.

        Raises LockTimeout naming the busy one, DeadlineExceeded. Never fails because Redis does: the handle is
        `degraded` then.
        """
        names = tuple(sorted(set(keys)))
        if not names:
            return Handle((), None)
        prefix = f"lock:{tenant_id}:"
        full = tuple([prefix + _checked(name) for name in names])
        loop = asyncio.get_running_loop()
        started = loop.time()
        deadline = started + within(self._wait if wait is None else wait)
        try:
            lease = await self._lease(full, started, deadline)
        except StillBusy as busy:
            self._observe("timeout", kind_of(busy.key), loop.time() - started)
            raise _timeout(busy.key.removeprefix(prefix)) from None
        now = loop.time()
        how = "degraded" if lease.degraded else "handed_over" if lease.hand_overs else "acquired"
        self._observe(how, kind_of(full[0]), now - started)
        return Handle(names, lease, now - started, now)

    def release(self, handle: Handle) -> None:
        """Let go: at once to a waiter of this process, else by a message nobody waits for. Idempotent."""
        if handle.released or handle.lease is None:
            return
        handle.released = True
        held = asyncio.get_running_loop().time() - handle.taken_at
        self._observe("released", kind_of(handle.lease.keys[0]), held)
        self._part_with(handle.lease)

    @asynccontextmanager
    async def hold(self, tenant_id: UUID, keys: Iterable[str], *, wait: float | None = None) -> AsyncIterator[Handle]:
        """`acquire` and `release` around a block."""
        handle = await self.acquire(tenant_id, keys, wait=wait)
        try:
            yield handle
        finally:
            self.release(handle)

    async def info(self, tenant_id: UUID, name: str) -> LockInfo | None:
        """The lock of that name, None when nobody holds it. Errors: redis.exceptions.RedisError."""
        return await self._register.info(tenant_id, _checked(name))

    async def listing(self, tenant_id: UUID, limit: int = 200, after: str = "") -> LockListing:
        """The tenant's held locks above the name `after`, at most `limit`. Errors: redis.exceptions.RedisError."""
        return await self._register.listing(tenant_id, limit, after)

    async def force_release(self, tenant_id: UUID, name: str, lease: str) -> bool:
        """Open the lock if `lease` (of `info`) still holds it; permission and audit are the caller's.

        False: it was over by itself. Errors: redis.exceptions.RedisError.
        """
        return await self._register.force_release(tenant_id, _checked(name), lease)

    async def _lease(self, keys: tuple[str, ...], since: float, deadline: float) -> Lease:
        lease = await self._turns.take(keys, deadline)
        if lease is not None:
            return lease
        try:
            return await self._store.take(keys, since, deadline)
        except BaseException:
            self._turns.pass_on(keys)
            raise

    def _part_with(self, lease: Lease) -> None:
        if self._may_hand_over(lease) and self._turns.hand_over(lease):
            lease.hand_overs += 1
            return
        self._store.release(lease)
        self._turns.pass_on(lease.keys)

    def _may_hand_over(self, lease: Lease) -> bool:
        now = asyncio.get_running_loop().time()
        return (
            not (lease.degraded or lease.lost or lease.over)
            and lease.hand_overs < MAX_HAND_OVERS
            and now - lease.taken_at < MAX_HAND_OVER_SECONDS
            and now < lease.expires_at - self._ttl / 3
        )


class NoLocks:
    """For settings without Redis: PostgreSQL alone orders the commands."""

    async def acquire(self, tenant_id: UUID, keys: Iterable[str], *, wait: float | None = None) -> Handle:
        return Handle(tuple(sorted(set(keys))), None)

    def release(self, handle: Handle) -> None:
        handle.released = True


async def execute_with_lock(
    locks: Locks, tenant_id: UUID, name: str, run: Callable[[], Awaitable[T]], *, wait: float | None = None
) -> T:
    """Run `run` under the tenant's lock of that name, any text. Raises LockTimeout."""
    try:
        handle = await locks.acquire(tenant_id, [digest_name("named", name)], wait=wait)
    except LockTimeout:
        raise _timeout(name) from None
    try:
        return await run()
    finally:
        locks.release(handle)


def stock_name(product_id: UUID, location_id: UUID) -> str:
    """The lock of what is kept of a product at a location."""
    return f"stock:{product_id}:{location_id}"


def account_name(key: UUID) -> str:
    """The lock of an open item, a payment or a party."""
    return f"account:{key}"


async def stock_operation(work: HoldsLocks, pairs: Iterable[tuple[UUID, UUID]]) -> None:
    """Guard the stock of these (product_id, location_id) until the commit is sent. Raises LockTimeout.

    A document of more than `MANY` pairs takes no lock here: all of so many at once would be free hardly ever,
    while the row locks behind, taken one after another in one order, queue it fairly.
    """
    wanted = set(pairs)
    if len(wanted) <= MANY:
        await work.hold_locks([stock_name(*pair) for pair in wanted])


async def account_operation(work: HoldsLocks, keys: Iterable[UUID]) -> None:
    """Guard these open items, payments or parties until the commit is sent. Raises LockTimeout."""
    await work.hold_locks([account_name(key) for key in sorted(set(keys))])


def is_lock_name(text: str) -> bool:
    """Whether a lock can have this name: `<kind>:<ids in hexadecimal>`."""
    return _NAME.fullmatch(text) is not None


def _checked(name: str) -> str:
    if not is_lock_name(name):
        raise ValueError(f"not a lock name (<kind>:<ids in hexadecimal>): {name[:80]!r}")
    return name


def _timeout(name: str) -> LockTimeout:
    return LockTimeout("Another request is working on the same record.", retry_after=1, key=name)
