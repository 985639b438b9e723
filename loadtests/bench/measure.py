"""Run one scenario with n clients for a bounded time: rate, latencies, errors, CPU by group of processes."""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import msgspec

from loadtests.figures import Latency, latency

#: One unit of work of one client; the seconds each of its requests took, in the order of `Scenario.requests`.
Step = Callable[[int], Awaitable[Sequence[float]]]
#: CPU seconds so far by group of processes; `machine` is everything that ran.
CpuClock = Callable[[], dict[str, float]]

#: A scenario that only fails is given up: the rest of its time would tell nothing more.
_MAX_ERRORS = 1000


class Unexpected(RuntimeError):
    """A reply the scenario does not count as success; the text is its kind: `503 overloaded`."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """What is measured. `unit` names one step in the plural; `requests` name what a step sends."""

    name: str
    unit: str
    requests: tuple[str, ...]
    step: Step


class Measured(msgspec.Struct, frozen=True):
    """Rates per second; CPU in milliseconds a request, by group.

    `cores`: how many CPUs all groups kept busy on average; `elsewhere`: how many the rest of the machine did.

    `latency` is of single requests; `unit_latency` of whole steps where a step is more than one request.
    """

    name: str
    unit: str
    clients: int
    seconds: float
    units: int
    requests: int
    rate: float
    request_rate: float
    latency: Latency
    unit_latency: Latency | None
    by_request: dict[str, Latency]
    errors: dict[str, int]
    cpu_ms: dict[str, float]
    cores: float
    elsewhere: float


class _Tally:
    """What the clients of one run have done so far."""

    def __init__(self, requests: int) -> None:
        self.units = 0
        self.errors: Counter[str] = Counter()
        self.seconds: list[list[float]] = [[] for _ in range(requests)]
        self.steps: list[float] = []

    def note(self, spent: Sequence[float]) -> None:
        self.units += 1
        for kept, value in zip(self.seconds, spent, strict=True):
            kept.append(value)
        if len(spent) > 1:
            self.steps.append(sum(spent))


async def warm_up(scenario: Scenario, clients: int, seconds: float) -> None:
    """Run it unmeasured: connections, statement caches, block caches. What fails here fails again later."""
    await _drive(scenario, clients, seconds)


async def measure(scenario: Scenario, clients: int, seconds: float, cpu: CpuClock) -> Measured:
    """`clients` tasks repeat the scenario's step until `seconds` are over; each runs at least once."""
    before = cpu()
    started = time.perf_counter()
    tally = await _drive(scenario, clients, seconds)
    elapsed = time.perf_counter() - started
    spent = {group: value - before.get(group, 0.0) for group, value in cpu().items()}
    return _measured(scenario, clients, elapsed, tally, spent)


async def _drive(scenario: Scenario, clients: int, seconds: float) -> _Tally:
    tally = _Tally(len(scenario.requests))
    deadline = time.perf_counter() + seconds

    async def client(number: int) -> None:
        while True:
            try:
                tally.note(await scenario.step(number))
            except (Unexpected, OSError) as error:
                tally.errors[str(error)[:120] or type(error).__name__] += 1
                if tally.errors.total() > _MAX_ERRORS:
                    return
            if time.perf_counter() >= deadline:
                return

    await asyncio.gather(*(client(number) for number in range(clients)))
    return tally


def _measured(scenario: Scenario, clients: int, elapsed: float, tally: _Tally, spent: dict[str, float]) -> Measured:
    requests = sum(len(values) for values in tally.seconds)
    machine = spent.pop("machine", 0.0)
    ours = sum(spent.values())
    return Measured(
        name=scenario.name,
        unit=scenario.unit,
        clients=clients,
        seconds=round(elapsed, 3),
        units=tally.units,
        requests=requests,
        rate=round(tally.units / elapsed, 1),
        request_rate=round(requests / elapsed, 1),
        latency=latency(value for values in tally.seconds for value in values),
        unit_latency=latency(tally.steps) if tally.steps else None,
        by_request={name: latency(values) for name, values in zip(scenario.requests, tally.seconds, strict=True)},
        errors=dict(tally.errors),
        cpu_ms={group: round(value * 1000 / max(requests, 1), 4) for group, value in spent.items()},
        cores=round(ours / elapsed, 2),
        elsewhere=round(max(0.0, machine - ours) / elapsed, 2),
    )
