"""Run one scenario with n clients for a bounded time; rates, percentiles, errors, CPU by group of processes."""

import asyncio
import os
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

_TICKS = os.sysconf("SC_CLK_TCK")

#: A step of a client: does one unit of work and returns the latencies of its requests in seconds.
Step = Callable[[int], Awaitable[list[float]]]


class Unexpected(RuntimeError):
    """A reply the scenario does not count as success."""


@dataclass(slots=True)
class Result:
    """What one scenario measured. Rates per second, times in milliseconds."""

    name: str
    clients: int
    seconds: float
    units: int
    requests: int
    errors: Counter[str]
    p50: float
    p95: float
    p99: float
    cpu_ms: dict[str, float] = field(default_factory=dict)
    bare_rate: float | None = None
    bare_what: str = ""

    @property
    def rate(self) -> float:
        return self.units / self.seconds

    @property
    def share(self) -> float | None:
        """Of the bare limit measured in the same run."""
        return None if not self.bare_rate else self.rate / self.bare_rate


async def run(
    name: str, clients: int, seconds: float, step: Step, groups: Callable[[], dict[str, list[int]]]
) -> Result:
    """`clients` tasks repeat `step(client)` until `seconds` are over; each runs at least once."""
    latencies: list[float] = []
    errors: Counter[str] = Counter()
    units = 0
    before = {group: _cpu_seconds(pids) for group, pids in groups().items()}
    started = time.perf_counter()
    deadline = started + seconds

    async def client(number: int) -> None:
        nonlocal units
        while time.perf_counter() < deadline:
            try:
                latencies.extend(await step(number))
                units += 1
            except (Unexpected, ConnectionError) as error:
                errors[str(error)[:120]] += 1
                if sum(errors.values()) > 1000:
                    return

    await asyncio.gather(*(client(number) for number in range(clients)))
    elapsed = time.perf_counter() - started
    after = {group: _cpu_seconds(pids) for group, pids in groups().items()}
    spent = {group: (after[group] - before.get(group, 0.0)) * 1000 / max(len(latencies), 1) for group in after}
    ordered = sorted(latencies) or [0.0]
    return Result(
        name, clients, elapsed, units, len(latencies), errors,
        _percentile(ordered, 0.50), _percentile(ordered, 0.95), _percentile(ordered, 0.99), spent,
    )  # fmt: skip


def _percentile(ordered: list[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] * 1000


def _cpu_seconds(pids: list[int]) -> float:
    """User and system time of the processes and of their finished children."""
    total = 0
    for pid in pids:
        try:
            with open(f"/proc/{pid}/stat") as file:
                fields = file.read().rpartition(")")[2].split()
        except OSError:
            continue
        total += sum(int(value) for value in fields[11:15])
    return total / _TICKS
