"""Dropping cached answers by hand: recorded first, dropped when that is durable."""

from uuid import UUID, uuid5

from db.identifiers import new_id
from erp.http.cache_tags import KINDS, STRATEGIES, tags_of_pattern
from erp.kernel.errors import Invalid
from erp.operations.cache_schemas import InvalidateCacheInput, InvalidatedCacheView
from tenancy.cache.service import TenantCache
from tenancy.trail import Event
from tenancy.work import UnitOfWork

_NAMESPACE = UUID("c3b4c1f0-6a0b-4d5e-9b59-1c9f1f4f9d22")


class Invalidation:
    """The command, with the cache of the instance that runs it; every other instance hears of it."""

    def __init__(self, cache: TenantCache) -> None:
        self._cache = cache

    async def __call__(self, work: UnitOfWork, data: InvalidateCacheInput) -> InvalidatedCacheView:
        """Raises Invalid for an unknown strategy or pattern, or when both or neither are given."""
        tags = _tags(data)
        facts = {"tags": list(tags), "reason": data.reason}
        work.audit("cache.invalidate", "cache", uuid5(_NAMESPACE, "\n".join(tags)), after=facts)
        work.publish(Event("cache_invalidation", new_id(), 1, "cache.invalidated", facts))

        async def drop() -> None:
            await self._cache.invalidate(work.tenant_id, tags)

        work.after_commit(drop)
        return InvalidatedCacheView(tags=list(tags))


def _tags(data: InvalidateCacheInput) -> tuple[str, ...]:
    if (data.strategy is None) == (data.pattern is None):
        raise Invalid("Name either a `strategy` or a `pattern`.", pointer="/strategy")
    if data.strategy is not None:
        if data.strategy not in STRATEGIES:
            raise Invalid("There is no such strategy.", pointer="/strategy", known=sorted(STRATEGIES))
        return STRATEGIES[data.strategy]
    tags = tags_of_pattern(data.pattern or "")
    if tags is None:
        raise Invalid("A pattern is `*`, `<kind>:*` or `<kind>:<id>`.", pointer="/pattern", kinds=[*KINDS, "list"])
    return tags
