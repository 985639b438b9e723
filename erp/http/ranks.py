"""How urgent a request is when an instance is full: money and stock first, work nobody waits for last."""

from enum import IntEnum
from typing import Final


class Rank(IntEnum):
    """The lower the number, the later it is refused."""

    WRITE = 0
    READ = 1
    #: Reports and exports: heavy reads that somebody can ask for again.
    REPORT = 2
    #: Streams of records and imports: they go on where they broke off.
    BACKGROUND = 3

    @property
    def label(self) -> str:
        return _LABELS[self]


_LABELS: Final = ("write", "read", "report", "background")
_READING: Final = frozenset({"GET", "HEAD", "options"})

#: First word of a path behind /v1/ -> rank of its reads; whatever is not named here is an ordinary read.
_REPORTS: Final = frozenset(
    {
        "trial-balance", "aged-receivables", "aged-payables", "stock-valuation", "stock-on-hand", "proof", "reports",
        "exports", "audit-entries", "payment-reconciliation", "causation",
    }
)  # fmt: skip
_STREAMS: Final = frozenset({"bulk", "imports"})


def rank_of(method: str, path: str) -> Rank:
    """By method and path alone: nothing else is known before anything was done for the request."""
    word = path[4 : None if (end := path.find("/", 4)) < 0 else end] if path.startswith("/v1/") else ""
    if method in _READING:
        return Rank.REPORT if word in _REPORTS else Rank.READ
    return Rank.BACKGROUND if word in _STREAMS else Rank.WRITE
