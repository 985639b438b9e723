"""What operators see of the locks, and the one thing they may do: force one open."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha1
from typing import TypeVar
from uuid import UUID

from redis.asyncio import Redis

from db.redis import Script

T = TypeVar("T")

_FORCE = Script.load("tenancy", "lua/lock_force.lua")

#: Keys looked at per SCAN step, and steps at most: a bound on the work for one listing.
_SCAN_STEP = 1000
_SCAN_STEPS = 200


@dataclass(frozen=True, slots=True)
class LockInfo:
    """A lock that is held. `holder` is `host:process`, `expires_in` seconds (renewed while held). `lease` tells this
    holding from any other of the name; it opens nothing.
    """

    name: str
    holder: str
    since: datetime
    expires_in: float
    waited_for: bool
    lease: str


@dataclass(frozen=True, slots=True)
class LockListing:
    """`complete` is False when there were more keys to look through than one listing may."""

    locks: tuple[LockInfo, ...]
    complete: bool


class LockRegister:
    """Reads the locks of one tenant. Errors: redis.exceptions.RedisError when Redis is away.

    With several independent servers a lock is held when a majority of them says so.
    """

    def __init__(self, *servers: Redis) -> None:
        self._servers = servers
        self._majority = len(servers) // 2 + 1

    async def info(self, tenant_id: UUID, name: str) -> LockInfo | None:
        """The lock of that name, None when nobody holds it."""
        [found] = await self._describe(_prefix(tenant_id), [f"{_prefix(tenant_id)}{name}"])
        return found

    async def listing(self, tenant_id: UUID, limit: int = 200, after: str = "") -> LockListing:
        """Up to `limit` held locks with names above `after`, by name."""
        prefix = _prefix(tenant_id)
        found: set[str] = set()
        complete = True
        for keys, whole in await self._of_each(lambda server: _names(server, f"{prefix}*")):
            found.update(keys)
            complete = complete and whole
        names = [name for name in sorted(found) if name > f"{prefix}{after}"]
        infos = await self._describe(prefix, names[:limit])
        return LockListing(tuple(info for info in infos if info is not None), complete and len(names) <= limit)

    async def force_release(self, tenant_id: UUID, name: str, lease: str) -> bool:
        """Delete the lock while it is held by this lease; the holder goes on under the database's own locks.

        False when nobody held it any more, or somebody else. The caller asks the permission and writes the audit
        entry.
        """
        key = f"{_prefix(tenant_id)}{name}"
        return any(await self._of_each(lambda server: _FORCE(server, [key], lease)))

    async def _describe(self, prefix: str, keys: list[str]) -> list[LockInfo | None]:
        if not keys:
            return []
        told = await self._of_each(lambda server: _described(server, prefix, keys))
        known = [[info for info in infos if info is not None] for infos in zip(*told, strict=True)]
        return [self._held(infos) for infos in known]

    def _held(self, infos: list[LockInfo]) -> LockInfo | None:
        """By whom a majority says it is: a minority may be with somebody who did not get the lock."""
        leases = Counter(info.lease for info in infos)
        return next((info for info in infos if leases[info.lease] >= self._majority), None)

    async def _of_each(self, ask: Callable[[Redis], Awaitable[T]]) -> list[T]:
        """What the servers that answered said. Raises the first error when a majority did not answer."""
        answers = await asyncio.gather(*(ask(server) for server in self._servers), return_exceptions=True)
        said = [answer for answer in answers if not isinstance(answer, BaseException)]
        if len(said) < self._majority:
            raise next(answer for answer in answers if isinstance(answer, BaseException))
        return said


async def _names(server: Redis, pattern: str) -> tuple[list[str], bool]:
    """The keys of that pattern, and whether every one was looked at."""
    found: list[str] = []
    cursor = 0
    for _ in range(_SCAN_STEPS):
        cursor, keys = await server.scan(cursor, match=pattern, count=_SCAN_STEP)
        found += [key.decode() if isinstance(key, bytes) else key for key in keys]
        if cursor == 0:
            return found, True
    return found, False


async def _described(server: Redis, prefix: str, keys: list[str]) -> list[LockInfo | None]:
    pipeline = server.pipeline(transaction=False)
    for key in keys:
        pipeline.hmget(key, ["token", "holder", "since", "next"])
        pipeline.pttl(key)
    replies = await pipeline.execute()
    return [
        None
        if fields[0] is None
        else LockInfo(
            name=key.removeprefix(prefix),
            holder=fields[1].decode(),
            since=datetime.fromtimestamp(int(fields[2]) / 1000, UTC),
            expires_in=max(0, left) / 1000,
            waited_for=fields[3] is not None,
            lease=sha1(fields[0], usedforsecurity=False).hexdigest(),
        )
        for key, fields, left in zip(keys, replies[::2], replies[1::2], strict=True)
    ]


def _prefix(tenant_id: UUID) -> str:
    return f"lock:{tenant_id}:"
