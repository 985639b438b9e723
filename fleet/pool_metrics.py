"""Connection pools as metrics: psycopg_pool counts already, so its counters are read at scrape time."""

from collections.abc import Callable, Iterable, Mapping

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

Stats = Callable[[], Mapping[str, int]]

#: metric -> (counter of psycopg_pool, its unit in ours, help)
_GAUGES = {
    "db_pool_size": ("pool_size", "Connections open"),
    "db_pool_max": ("pool_max", "Connections allowed"),
    "db_pool_available": ("pool_available", "Connections open and idle"),
    "db_pool_waiting": ("requests_waiting", "Callers waiting for a connection"),
}
_COUNTERS = {
    "db_pool_requests_total": ("requests_num", 1.0, "Connections asked for"),
    "db_pool_requests_queued_total": ("requests_queued", 1.0, "Callers that had to wait"),
    "db_pool_wait_seconds_total": ("requests_wait_ms", 0.001, "Time callers have waited"),
    "db_pool_errors_total": ("requests_errors", 1.0, "Callers refused: waited too long, or too many waited"),
    "db_pool_connections_total": ("connections_num", 1.0, "Connections attempted"),
    "db_pool_connection_errors_total": ("connections_errors", 1.0, "Connection attempts that failed"),
    "db_pool_connections_lost_total": ("connections_lost", 1.0, "Connections found broken"),
}


class PoolCollector(Collector):
    """Reads the statistics of every watched pool when Prometheus asks."""

    def __init__(self) -> None:
        self._pools: dict[str, Stats] = {}

    def watch(self, name: str, stats: Stats) -> None:
        """Export the pool as `pool=<name>`: a fixed name per process, such as primary or replica1."""
        self._pools[name] = stats

    def unwatch(self, name: str) -> None:
        self._pools.pop(name, None)

    def stats(self) -> dict[str, Mapping[str, int]]:
        """The counters of every watched pool by its name, as they are now."""
        return {name: stats() for name, stats in list(self._pools.items())}

    def collect(self) -> Iterable[Metric]:
        pools = self.stats()
        for metric, (key, text) in _GAUGES.items():
            yield _filled(GaugeMetricFamily(metric, text, labels=["pool"]), pools, key, 1.0)
        for metric, (key, unit, text) in _COUNTERS.items():
            family = CounterMetricFamily(metric.removesuffix("_total"), text, labels=["pool"])
            yield _filled(family, pools, key, unit)


def _filled(
    family: GaugeMetricFamily | CounterMetricFamily, pools: Mapping[str, Mapping[str, int]], key: str, unit: float
) -> Metric:
    for name, stats in pools.items():
        family.add_metric([name], stats.get(key, 0) * unit)
    return family
