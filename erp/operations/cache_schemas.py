"""The cache on the wire."""

import msgspec

from erp.kernel.text import Text


class InvalidateCacheInput(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Either a `strategy` (product-updates, party-updates, price-updates, list-views, search-results, configuration,
    permissions, everything) or a `pattern` (`*`, `<kind>:*`, `<kind>:<id>`, `list:*`, `search:*`; kinds are product,
    party, tax_group and price_list); `reason` is kept in the audit trail.
    """

    reason: Text
    strategy: str | None = None
    pattern: str | None = None


class InvalidatedCacheView(msgspec.Struct, frozen=True, kw_only=True):
    """`tags` are the names under which answers are no longer used, on every instance."""

    tags: list[str]


class CacheView(msgspec.Struct, frozen=True, kw_only=True):
    """The cache of the instance that answers. `entries` in its memory; `degraded`: Redis is away."""

    entries: int
    listening: bool
    degraded: bool
    strategies: list[str]
