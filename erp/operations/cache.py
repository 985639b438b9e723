"""Dropping cached answers by hand: recorded first, dropped when that is durable, and said only when it is done."""

from collections.abc import Sequence
from uuid import UUID, uuid5

from db.errors import DomainError
from db.identifiers import new_id
from erp.http.cache_tags import BY_HAND, CONFIGURATION, CREDENTIALS, KINDS, STRATEGIES, tags_of_pattern
from erp.kernel.errors import Invalid
from erp.operations.cache_errors import CacheNotDropped
from erp.operations.cache_schemas import InvalidateCacheInput, InvalidatedCacheView
from fleet.instances.instance import RELOAD, Instance
from tenancy.admission import Gatekeeper
from tenancy.cache.service import TenantCache
from tenancy.trail import Event
from tenancy.work import UnitOfWork

_NAMESPACE = UUID("c3b4c1f0-6a0b-4d5e-9b59-1c9f1f4f9d22")
#: Seconds an instance may take to read its configuration again.
_RELOADED = 8.0


async def record_invalidation(work: UnitOfWork, data: InvalidateCacheInput) -> InvalidatedCacheView:
    """Raises Invalid for an unknown strategy or pattern, or when both or neither are given."""
    tags = _tags(data)
    facts = {"tags": list(tags), "reason": data.reason}
    work.audit("cache.invalidate", "cache", uuid5(_NAMESPACE, "\n".join(tags)), after=facts)
    work.publish(Event(BY_HAND, new_id(), 1, "cache.invalidated", facts))
    return InvalidatedCacheView(tags=list(tags))


class Keepers:
    """Whoever keeps something that can be dropped: two levels of cache, and the memory of every instance."""

    def __init__(self, cache: TenantCache, gatekeeper: Gatekeeper, instance: Instance) -> None:
        self._cache = cache
        self._gatekeeper = gatekeeper
        self._instance = instance

    async def drop(self, tenant_id: UUID, tags: Sequence[str], position: int | None) -> None:
        """Nothing read before `position` is used any more under these tags. Harmless when repeated.

        Raises CacheNotDropped.
        """
        entries = [tag for tag in tags if tag not in (CONFIGURATION, CREDENTIALS)]
        kept = []
        if not await self._cache.invalidate(tenant_id, entries, position):
            kept += entries
        if CREDENTIALS in tags and not await self._gatekeeper.bump_credentials(tenant_id):
            kept.append(CREDENTIALS)
        if CONFIGURATION in tags and not await self._reloaded():
            kept.append(CONFIGURATION)
        if kept:
            raise CacheNotDropped(kept=kept, retry_after=2)

    async def _reloaded(self) -> bool:
        """Whether every living process works with what the database has now."""
        roll = await self._instance.registry.roll()
        if roll.degraded or not roll.whole:
            return False
        answers = await self._instance.bus.ask_all([one.id for one in roll.members], RELOAD, timeout=_RELOADED)
        return all(
            not isinstance(answer, DomainError) and answer.get("confirmed") is True for answer in answers.values()
        )


def _tags(data: InvalidateCacheInput) -> tuple[str, ...]:
    if (data.strategy is None) == (data.pattern is None):
        raise Invalid("Name either a `strategy` or a `pattern`.", pointer="/strategy")
    if data.strategy is not None:
        if data.strategy not in STRATEGIES:
            raise Invalid("There is no such strategy.", pointer="/strategy", known=sorted(STRATEGIES))
        return STRATEGIES[data.strategy]
    tags = tags_of_pattern(data.pattern or "")
    if tags is None:
        raise Invalid(
            "A pattern is `*`, `<kind>:*`, `<kind>:<id>`, `list:*` or `search:*`.", pointer="/pattern",
            kinds=list(KINDS),
        )  # fmt: skip
    return tags
