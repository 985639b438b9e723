"""Prometheus metrics whose labels cannot grow without bound, whatever a caller passes."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.metrics import MetricWrapperBase

M = TypeVar("M", bound=MetricWrapperBase)

#: Stands for every label value beyond a label's bound.
OTHER = "other"
REGISTRY = CollectorRegistry()


@dataclass(frozen=True, slots=True)
class Label:
    """A label name and how many values it may ever take in this process.

    `values` lists the only ones allowed; without it the first `limit` different ones are kept, so a
    value computed from a request can cost at most that many time series.
    """

    name: str
    values: frozenset[str] | None = None
    limit: int = 64
    _seen: set[str] = field(default_factory=set, compare=False)

    def admit(self, value: str) -> str:
        """The value itself, or `other` when it is not allowed (any more)."""
        if self.values is not None:
            return value if value in self.values else OTHER
        if value not in self._seen:
            if len(self._seen) >= self.limit:
                return OTHER
            self._seen.add(value)
        return value


def label(name: str, *values: str, limit: int = 64) -> Label:
    """`label("queue", "high", "low")` allows these; `label("route", limit=200)` allows any 200."""
    return Label(name, frozenset(values) if values else None, limit)


class Family(Generic[M]):
    """A metric with labels: `jobs_total.at("high", "expire_reservation", "done").inc()`."""

    def __init__(self, metric: M, labels: Sequence[Label]) -> None:
        self.metric = metric
        self.labels = tuple(labels)
        self._children: dict[tuple[str, ...], M] = {}

    def at(self, *values: str) -> M:
        """The time series of these label values, in the order the labels were declared."""
        child = self._children.get(values)
        return self._admit(values) if child is None else child

    def forget(self, *values: str) -> None:
        """Stop exporting one time series (a replica that is gone)."""
        if self._children.pop(values, None) is not None:
            self.metric.remove(*values)

    def _admit(self, values: tuple[str, ...]) -> M:
        admitted = tuple(each.admit(value) for each, value in zip(self.labels, values, strict=True))
        child = self.metric.labels(*admitted)
        # Only admitted values become keys here: a refused one must not grow this table either.
        self._children[admitted] = child
        return child


def counter(name: str, text: str, *labels: Label) -> Family[Counter]:
    """A counter; `name` ends in _total."""
    return Family(Counter(name, text, [each.name for each in labels], registry=REGISTRY), labels)


def gauge(name: str, text: str, *labels: Label) -> Family[Gauge]:
    return Family(Gauge(name, text, [each.name for each in labels], registry=REGISTRY), labels)


def histogram(name: str, text: str, *labels: Label, buckets: Iterable[float]) -> Family[Histogram]:
    """Observations in seconds unless the name says otherwise."""
    names = [each.name for each in labels]
    return Family(Histogram(name, text, names, buckets=tuple(buckets), registry=REGISTRY), labels)


def plain_counter(name: str, text: str) -> Counter:
    return Counter(name, text, registry=REGISTRY)


def plain_gauge(name: str, text: str) -> Gauge:
    return Gauge(name, text, registry=REGISTRY)


def names_of(registry: CollectorRegistry = REGISTRY) -> Iterator[str]:
    """Every name a scrape can show: `..._bucket`, `..._count`, `..._sum` of a histogram included."""
    for family in registry.collect():
        if family.type == "histogram":
            yield from (f"{family.name}{suffix}" for suffix in ("_bucket", "_count", "_sum"))
        elif family.type == "counter":
            yield f"{family.name}_total"
        else:
            yield family.name
