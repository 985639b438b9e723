"""What was measured of one mechanism, and of the bare thing below it."""

import time
from collections.abc import Awaitable, Callable

import msgspec

from loadtests.figures import Latency, latency


class Figure(msgspec.Struct, frozen=True):
    """One mechanism. `bare`: the same in the smallest way that could work. `value` is what the aim speaks of.

    `kept`: whether the aim is reached, None where there is none. Latencies in milliseconds.
    """

    name: str
    ours: Latency
    bare: Latency | None
    value: str
    aim: str = ""
    kept: bool | None = None


async def timed(step: Callable[[int], Awaitable[object]], times: int, warm_up: int = 50) -> Latency:
    """One after the other; the first `warm_up` are not counted."""
    seconds = []
    for number in range(warm_up + times):
        begun = time.perf_counter()
        await step(number)
        seconds.append(time.perf_counter() - begun)
    return latency(seconds[warm_up:])


def times_bare(name: str, ours: Latency, bare: Latency, at_most: float | None = None) -> Figure:
    """The medians compared."""
    ratio = ours.p50 / max(bare.p50, 1e-6)
    kept = None if at_most is None else ratio <= at_most
    aim = "" if at_most is None else f"<= {at_most:g} x bare"
    return Figure(name, ours, bare, f"{ratio:.2f} x bare", aim, kept)


def p99_within(name: str, ours: Latency, bare: Latency | None, milliseconds: float) -> Figure:
    within = ours.p99 <= milliseconds
    return Figure(name, ours, bare, f"p99 {ours.p99:.1f} ms", f"p99 <= {milliseconds:g} ms", within)
