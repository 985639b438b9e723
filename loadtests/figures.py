"""Percentiles of what was measured."""

import math
from collections.abc import Iterable, Mapping

import msgspec


class Latency(msgspec.Struct, frozen=True):
    """Milliseconds. A percentile is the smallest value that this share of all values does not exceed."""

    count: int
    p50: float
    p95: float
    p99: float
    worst: float


def latency(seconds: Iterable[float]) -> Latency:
    """All zero when nothing was measured."""
    ordered = sorted(seconds)
    if not ordered:
        return Latency(0, 0.0, 0.0, 0.0, 0.0)
    values = (percentile(ordered, share) for share in (0.50, 0.95, 0.99, 1.0))
    return Latency(len(ordered), *(round(value * 1000, 3) for value in values))


def percentile(ordered: list[float], share: float) -> float:
    """Nearest rank of values in rising order, of which there is at least one. `share` above 0, at most 1."""
    # The product is rounded first: 0.95 * 20 is a hair above 19 in binary and would name the rank above.
    return ordered[max(0, math.ceil(round(len(ordered) * share, 9)) - 1)]


def percentile_of_counts(counts: Mapping[int, int], share: float) -> float:
    """The same of values given as value -> how often; 0 when there are none."""
    rank = math.ceil(round(sum(counts.values()) * share, 9))
    passed = 0
    for value in sorted(counts):
        passed += counts[value]
        if passed >= max(1, rank):
            return float(value)
    return 0.0
