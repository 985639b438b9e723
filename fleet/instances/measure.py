"""How much this process has to do, from what it measures anyway."""

import resource
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

from prometheus_client.metrics import MetricWrapperBase

from fleet.instances.member import Load
from fleet.metrics import http_requests_in_flight, jobs_running, pool_stats

_STATM = Path("/proc/self/statm")


class LoadMeter:
    """`measure` with every heartbeat; processor time is counted from one call to the next."""

    def __init__(self) -> None:
        self._wall, self._cpu = time.monotonic(), time.process_time()
        self._share = 0.0

    def measure(self) -> Load:
        wall, cpu = time.monotonic(), time.process_time()
        if wall - self._wall >= 0.5:  # two calls in a row would show noise
            self._share = (cpu - self._cpu) / (wall - self._wall)
            self._wall, self._cpu = wall, cpu
        pools = list(pool_stats().values())
        size, available = _sum(pools, "pool_size"), _sum(pools, "pool_available")
        return Load(
            requests=_total(http_requests_in_flight), jobs=_total(jobs_running.metric), cpu=round(self._share, 3),
            memory_mib=round(resident_mib(), 1), pool_used=max(0, size - available), pool_size=size,
            pool_waiting=_sum(pools, "requests_waiting"),
        )  # fmt: skip


def resident_mib() -> float:
    """Memory this process occupies, in MiB; its highest so far where the present one cannot be read."""
    try:
        return int(_STATM.read_text().split()[1]) * resource.getpagesize() / 2**20
    except (OSError, ValueError, IndexError):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _sum(pools: Iterable[Mapping[str, int]], key: str) -> int:
    return sum(stats.get(key, 0) for stats in pools)


def _total(metric: MetricWrapperBase) -> int:
    return int(sum(sample.value for family in metric.collect() for sample in family.samples))
