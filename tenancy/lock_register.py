"""What operators see of the locks, and the one thing they may do: force one open."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from redis.asyncio import Redis

#: Keys looked at per SCAN step, and steps at most: a bound on the work for one listing.
_SCAN_STEP = 1000
_SCAN_STEPS = 200


@dataclass(frozen=True, slots=True)
class LockInfo:
    """A lock that is held. `holder` is `host:process`, `expires_in` seconds (renewed while held)."""

    name: str
    holder: str
    since: datetime
    expires_in: float
    waited_for: bool


@dataclass(frozen=True, slots=True)
class LockListing:
    """`complete` is False when there were more keys to look through than one listing may."""

    locks: tuple[LockInfo, ...]
    complete: bool


class LockRegister:
    """Reads the locks of one tenant. Errors: redis.exceptions.RedisError when Redis is away."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def info(self, tenant_id: UUID, name: str) -> LockInfo | None:
        """The lock of that name, None when nobody holds it."""
        [found] = await self._describe(_prefix(tenant_id), [f"{_prefix(tenant_id)}{name}"])
        return found

    async def listing(self, tenant_id: UUID, limit: int = 200) -> LockListing:
        """Up to `limit` held locks, by name."""
        prefix = _prefix(tenant_id)
        found: set[str] = set()
        complete = False
        async for keys, last in self._scan(f"{prefix}*"):
            found.update(keys)
            complete = last and len(found) <= limit
            if len(found) > limit:
                break
        infos = await self._describe(prefix, sorted(found)[:limit])
        return LockListing(tuple(info for info in infos if info is not None), complete)

    async def force_release(self, tenant_id: UUID, name: str) -> bool:
        """Delete the lock whoever holds it; the holder goes on under the database's own locks.

        False when nobody held it. The caller asks the permission and writes the audit entry.
        """
        held = await self.info(tenant_id, name) is not None
        await self._redis.delete(f"{_prefix(tenant_id)}{name}")
        return held

    async def _scan(self, pattern: str) -> AsyncIterator[tuple[list[str], bool]]:
        cursor = 0
        for _ in range(_SCAN_STEPS):
            cursor, keys = await self._redis.scan(cursor, match=pattern, count=_SCAN_STEP)
            yield [key.decode() if isinstance(key, bytes) else key for key in keys], cursor == 0
            if cursor == 0:
                return

    async def _describe(self, prefix: str, keys: list[str]) -> list[LockInfo | None]:
        if not keys:
            return []
        pipeline = self._redis.pipeline(transaction=False)
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
            )
            for key, fields, left in zip(keys, replies[::2], replies[1::2], strict=True)
        ]


def _prefix(tenant_id: UUID) -> str:
    return f"lock:{tenant_id}:"
