"""Which change ends which cached answer, and the named strategies an operator can drop.

Reads of products, parties and tax groups are cached; availability, balances and documents never are.
"""

from collections.abc import Callable, Iterable
from typing import Final
from uuid import UUID

from tenancy.cache.entries import changed

KINDS: Final = ("product", "party", "tax_group")

#: Aggregate of a committed event -> the tags it moves. A product shows its unit's and its tax group's codes.
_MOVED: Final[dict[str, Callable[[UUID], tuple[str, ...]]]] = {
    "product": lambda key: changed("product", key),
    "party": lambda key: changed("party", key),
    "tax_group": lambda key: (*changed("tax_group", key), "product:all"),
    "unit": lambda _: ("product:all",),
    "category": lambda _: ("product:all",),
}

STRATEGIES: Final[dict[str, tuple[str, ...]]] = {
    "product-updates": ("product:all",),
    "party-updates": ("party:all",),
    "price-updates": ("product:all", "tax_group:all"),
    "list-views": ("list:all",),
    "search-results": ("list:all",),
    "everything": ("product:all", "party:all", "tax_group:all", "list:all"),
}


def moved_by(aggregates: Iterable[tuple[str, UUID]]) -> list[str]:
    """The tags moved by events of these aggregates (type, id), each once."""
    return list(dict.fromkeys(tag for kind, key in aggregates if kind in _MOVED for tag in _MOVED[kind](key)))


def tags_of_pattern(pattern: str) -> tuple[str, ...] | None:
    """`*`, `<kind>:*` or `<kind>:<id>` as tags; None for anything else."""
    if pattern == "*":
        return STRATEGIES["everything"]
    kind, _, rest = pattern.partition(":")
    if kind not in (*KINDS, "list"):
        return None
    if rest == "*":
        return (f"{kind}:all",)
    try:
        return (f"{kind}:{UUID(rest).hex}",)
    except ValueError:
        return None
