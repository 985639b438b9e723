"""Which change ends which cached answer, and the named strategies an operator can drop.

Reads of products, parties, tax groups and price lists are cached; availability, balances and documents never are.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final
from uuid import UUID

from tenancy.cache.entries import changed

KINDS: Final = ("product", "party", "tax_group", "price_list")

#: Aggregate of a committed event -> the tags it moves. A product shows its unit's and its tax group's codes.
_MOVED: Final[dict[str, Callable[[UUID], tuple[str, ...]]]] = {
    "product": lambda key: changed("product", key),
    "party": lambda key: changed("party", key),
    "tax_group": lambda key: (*changed("tax_group", key), "product:all"),
    "price_list": lambda key: changed("price_list", key),
    "unit": lambda _: ("product:all",),
    "category": lambda _: ("product:all",),
}

#: What `permissions` and `configuration` drop: no entries of the cache, but what instances keep in their memory.
CREDENTIALS: Final = "credentials:all"
CONFIGURATION: Final = "configuration:all"
#: The event of a drop by hand; it names the tags.
BY_HAND: Final = "cache_invalidation"

_FORMS: Final = ("list", "search")
#: A product shows its tax group's code.
_ALL_OF: Final[dict[str, tuple[str, ...]]] = {
    "product": ("product:all",), "party": ("party:all",), "tax_group": ("tax_group:all", "product:all"),
    "price_list": ("price_list:all",),
    **{form: (f"{form}:all",) for form in _FORMS},
}  # fmt: skip

STRATEGIES: Final[dict[str, tuple[str, ...]]] = {
    "product-updates": _ALL_OF["product"],
    "party-updates": _ALL_OF["party"],
    "price-updates": (*_ALL_OF["tax_group"], *_ALL_OF["price_list"]),
    "list-views": _ALL_OF["list"],
    "search-results": _ALL_OF["search"],
    "configuration": (CONFIGURATION,),
    "permissions": (CREDENTIALS,),
    "everything": (
        "product:all", "party:all", "tax_group:all", "price_list:all", "list:all", "search:all", CONFIGURATION,
        CREDENTIALS,
    ),
}  # fmt: skip


def moved_by(aggregates: Iterable[tuple[str, UUID]]) -> list[str]:
    """The tags moved by events of these aggregates (type, id), each once."""
    return list(dict.fromkeys(tag for kind, key in aggregates if kind in _MOVED for tag in _MOVED[kind](key)))


def moved_by_event(kind: str, key: UUID, data: Mapping[str, Any]) -> list[str]:
    """The same for one event as it was published, drops by hand included."""
    return list(data["tags"]) if kind == BY_HAND else moved_by([(kind, key)])


def tags_of_pattern(pattern: str) -> tuple[str, ...] | None:
    """`*`, `<kind>:*` or `<kind>:<id>` as tags; None for anything else. Lists and searches have no ids."""
    if pattern == "*":
        return STRATEGIES["everything"]
    kind, _, rest = pattern.partition(":")
    if rest == "*":
        return _ALL_OF.get(kind)
    if kind not in KINDS:
        return None
    try:
        return _MOVED[kind](UUID(rest))
    except ValueError:
        return None
