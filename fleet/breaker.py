"""Circuit breakers and retry budgets: a neighbour that is down costs one probe at a time, not every caller a wait.

State is this process's own on purpose. Shared through Redis, a fault of Redis would be a fault of every breaker.
"""

import asyncio
import random
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Literal, TypeVar

from db.errors import DomainError
from db.redis_channel import channel_named
from fleet.deadline import GivenUp, within
from fleet.metrics import (
    circuit_breaker_calls_total,
    circuit_breaker_open,
    circuit_breaker_opened_total,
    outside_retries_total,
)

T = TypeVar("T")
State = Literal["closed", "open", "half_open"]

#: The window is counted in so many slices.
_SLICES = 10
#: Tokens a budget may save up; what a quiet time allows in one burst.
_SAVED = 10.0


#: Every neighbour of this process that is asked through a breaker, by name; the newest of a name.
_KNOWN: "dict[str, Callable[[], BreakerState]]" = {}


@dataclass(frozen=True, slots=True)
class BreakerState:
    """`state`: closed, open or half_open. `retry_in`: seconds until the neighbour is asked again; 0 when it is."""

    name: str
    state: State
    since: float
    retry_in: float


def breakers() -> list[BreakerState]:
    """Every breaker of this process, by name. `since`: seconds ago that the state last changed."""
    return [told() for _, told in sorted(_KNOWN.items())]


class CircuitOpen(DomainError):
    """A service we depend on does not answer, so it is not asked for a moment; nothing was done.

    Fix: send the request again after Retry-After, with the same Idempotency-Key.
    """

    code = "circuit-open"
    title = "A service we depend on is not answering"
    status = 503
    retryable = True


def is_fault(error: BaseException) -> bool:
    """A refusal is an answer: only what is neither an answer nor a cancellation speaks against the neighbour."""
    if isinstance(error, GivenUp):
        return False
    if isinstance(error, DomainError):
        return error.status >= 500
    return isinstance(error, Exception)


class Breaker:
    """Closed until `failures` calls and `share` of all calls within `window` seconds failed.

    Then open: every call is refused with CircuitOpen for `open_for` seconds (half to all of it, doubled at each
    failed probe up to `open_at_most`). Then half open: one call at a time is let through; it decides.
    One per neighbour, kept as long as the process; all its methods are to be called from one event loop.
    """

    def __init__(
        self,
        name: str,
        failures: int = 5,
        window: float = 30.0,
        open_for: float = 10.0,
        *,
        open_at_most: float = 60.0,
        share: float = 0.5,
        faulty: Callable[[BaseException], bool] = is_fault,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = name
        self._failures, self._share = failures, share
        self._slice = window / _SLICES
        self._open_for, self._open_at_most = open_for, open_at_most
        self._faulty, self._clock = faulty, clock
        self._state: State = "closed"
        self._slices: deque[list[int]] = deque(maxlen=_SLICES)  # [which, calls, failures]
        self._until = 0.0
        self._probe: object | None = None
        self._failed_probes = 0
        self._passed = circuit_breaker_calls_total.at(name, "passed")
        self._failed = circuit_breaker_calls_total.at(name, "failed")
        self._refused = circuit_breaker_calls_total.at(name, "refused")
        self._given_up = circuit_breaker_calls_total.at(name, "abandoned")
        self._changed = clock()
        circuit_breaker_open.at(name).set(0)
        _KNOWN[name] = self._told

    def _told(self) -> BreakerState:
        now = self._clock()
        wait = 0.0 if self._state == "closed" else max(0.0, self._until - now)
        return BreakerState(self.name, self.state, now - self._changed, wait)

    @property
    def state(self) -> State:
        """`half_open` from the moment a probe would be let through."""
        if self._state == "open" and self._clock() >= self._until:
            return "half_open"
        return self._state

    async def __aenter__(self) -> "Breaker":
        self.check()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.succeeded()
        elif isinstance(error, GivenUp):
            # Else a caller in a hurry would open it for all the others.
            self.abandoned()
        elif self._faulty(error):
            self.failed()
        elif isinstance(error, DomainError):
            self.succeeded()
        else:
            self.abandoned()

    async def call(self, work: Callable[[], Awaitable[T]]) -> T:
        """`await work()` through the breaker. Raises CircuitOpen and whatever it raises."""
        async with self:
            return await work()

    def check(self) -> None:
        """Raises CircuitOpen. Whoever gets through calls `succeeded`, `failed` or `abandoned` afterwards."""
        if not self.admits():
            wait = max(1, round(self._until - self._clock()))
            raise CircuitOpen(f"{self.name} is not asked at present.", dependency=self.name, retry_after=wait)

    def admits(self) -> bool:
        """The same as an answer, for callers who have another way."""
        if self._state == "closed":
            return True
        if self._probe is None and self._clock() >= self._until:
            self._state, self._probe = "half_open", _caller()
            return True
        self._refused.inc()
        return False

    def succeeded(self) -> None:
        self._passed.inc()
        if self._state == "closed":
            self._count()[1] += 1
        elif self._probe is _caller():
            self._probe, self._state, self._failed_probes, self._changed = None, "closed", 0, self._clock()
            self._slices.clear()
            circuit_breaker_open.at(self.name).set(0)

    def failed(self) -> None:
        self._failed.inc()
        if self._state == "closed":
            current = self._count()
            current[1] += 1
            current[2] += 1
            self._judge()
        elif self._probe is _caller():
            self._failed_probes += 1
            self._open()

    def abandoned(self) -> None:
        """The call was given up before it said anything about the neighbour; a probe is left to the next one."""
        self._given_up.inc()
        if self._probe is _caller():
            self._probe, self._state = None, "open"

    def _count(self) -> list[int]:
        which = int(self._clock() / self._slice)
        slices = self._slices
        if not slices or slices[-1][0] != which:
            slices.append([which, 0, 0])
        return slices[-1]

    def _judge(self) -> None:
        oldest = int(self._clock() / self._slice) - _SLICES
        recent = [one for one in self._slices if one[0] > oldest]
        calls, failures = sum(one[1] for one in recent), sum(one[2] for one in recent)
        if failures >= self._failures and failures >= self._share * calls:
            self._open()

    def _open(self) -> None:
        longest = min(self._open_at_most, self._open_for * 2**self._failed_probes)
        if self._state == "closed":
            self._changed = self._clock()
        self._until = self._clock() + random.uniform(longest / 2, longest)
        self._probe, self._state = None, "open"
        circuit_breaker_open.at(self.name).set(1)
        circuit_breaker_opened_total.at(self.name).inc()


class ChannelStates:
    """The breakers inside `db.redis_channel`: when they changed is what they told, how they are is what they say."""

    def __init__(self) -> None:
        self._since: dict[str, tuple[State, float]] = {}

    def note(self, name: str, event: str) -> None:
        state: State = "open" if event == "opened" else "closed"
        known = self._since.get(name)
        if known is None or known[0] != state:
            self._since[name] = (state, time.monotonic())
        if known is None:
            _KNOWN[name] = lambda: self._told(name)

    def _told(self, name: str) -> BreakerState:
        state, at = self._since[name]
        channel = channel_named(name)
        rests = None if channel is None else channel.rests_for()
        if rests is None:
            return BreakerState(name, "closed", time.monotonic() - at, 0.0)
        return BreakerState(name, state if rests else "half_open", time.monotonic() - at, rests)


_channels = ChannelStates()


def observe_channel(name: str, event: str) -> None:
    """What `db.redis_channel` tells of its own breakers, which sit where no layer of objects may cost anything."""
    if event != "refused":
        _channels.note(name, event)
    if event == "refused":
        circuit_breaker_calls_total.at(name, "refused").inc()
    else:
        circuit_breaker_open.at(name).set(event == "opened")
    if event == "opened":
        circuit_breaker_opened_total.at(name).inc()


class RetryBudget:
    """Repeats are paid for: every first call earns `share` of one, so an outage is not multiplied."""

    def __init__(self, name: str, share: float = 0.1, saved: float = _SAVED) -> None:
        self.name = name
        self._share, self._most = share, saved
        self._tokens = saved

    def earn(self) -> None:
        """For every first call."""
        self._tokens = min(self._most, self._tokens + self._share)

    def spend(self) -> bool:
        """Whether one repeat may be made now."""
        if self._tokens < 1.0:
            outside_retries_total.at(self.name, "refused").inc()
            return False
        self._tokens -= 1.0
        outside_retries_total.at(self.name, "made").inc()
        return True


async def retried(
    work: Callable[[], Awaitable[T]],
    budget: RetryBudget,
    *,
    repeats: int = 2,
    pause: float = 0.1,
    again: Callable[[BaseException], bool] = is_fault,
) -> T:
    """`await work()`, repeated at most `repeats` times with full jitter while the budget and the deadline allow.

    Only for work that may be repeated (a key makes it one effect). Whoever has no time left does not repeat, so that
    callers in a hurry do not spend the others' budget. Raises the last failure, DeadlineExceeded.
    """
    budget.earn()
    for attempt in range(repeats + 1):
        try:
            return await work()
        except Exception as error:
            if isinstance(error, CircuitOpen) or not again(error) or attempt == repeats or not budget.spend():
                raise
        await asyncio.sleep(within(random.uniform(0, pause * 2**attempt)))
    raise AssertionError("the last attempt returns or raises")


def _caller() -> object:
    return asyncio.current_task() or asyncio.get_running_loop()
