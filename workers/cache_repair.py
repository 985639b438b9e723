"""Cached answers end again when the event of their change is published.

The process that commits a change ends them at once, but may die between the commit and that. The event is still
published then, so no cached answer outlives a change by more than the relay's turn.
"""

from collections import defaultdict
from collections.abc import Sequence
from uuid import UUID

from redis.asyncio import Redis

from db.redis import connect
from erp.http.cache_tags import moved_by_event
from tenancy.cache.service import TenantCache
from workers.event_repository import EventRow


class CacheRepair:
    """`ended(events, position)` never fails: with Redis away, entries live out their time."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._cache = TenantCache(redis, redis)

    @classmethod
    def over(cls, url: str) -> "CacheRepair":
        return cls(connect(url, timeout=0.5, connections=2))

    async def ended(self, events: Sequence[EventRow], position: int) -> None:
        """`position`: where the primary's log stood when the events were read."""
        tags: dict[UUID, list[str]] = defaultdict(list)
        for event in events:
            tags[event.tenant_id] += moved_by_event(event.aggregate_type, event.aggregate_id, event.data)
        for tenant_id, moved in tags.items():
            await self._cache.invalidate(tenant_id, moved, position)

    async def close(self) -> None:
        await self._cache.close()
        await self._redis.aclose()
