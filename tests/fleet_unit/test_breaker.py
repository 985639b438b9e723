"""The breaker's three states, its thresholds, its one probe; the budget of repeats; deadlines."""

import asyncio
import time

import pytest

import fleet.breaker
from db.errors import DomainError, Overloaded
from fleet.breaker import Breaker, CircuitOpen, RetryBudget, retried
from fleet.deadline import Deadline, DeadlineExceeded, InvalidTimeout, parse_timeout, remaining, within


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


async def fail() -> None:
    raise OSError("down")


async def work() -> str:
    return "done"


async def broken(breaker: Breaker, times: int) -> None:
    for _ in range(times):
        with pytest.raises(OSError, match="down"):
            await breaker.call(fail)


def make(clock: Clock, open_at_most: float = 60.0) -> Breaker:
    return Breaker("test", 5, 30.0, 10.0, clock=clock, open_at_most=open_at_most)


async def test_it_opens_at_the_threshold_and_then_nobody_is_asked() -> None:
    breaker = make(Clock())
    await broken(breaker, 4)
    assert str(breaker.state) == "closed"
    await broken(breaker, 1)
    assert str(breaker.state) == "open"
    with pytest.raises(CircuitOpen) as refusal:
        await breaker.call(work)
    assert refusal.value.status == 503
    assert refusal.value.retry_after is not None
    assert 1 <= refusal.value.retry_after <= 10


async def test_failures_among_many_successes_do_not_open_it() -> None:
    breaker = make(Clock())
    for _ in range(20):
        await breaker.call(work)
    await broken(breaker, 9)
    assert str(breaker.state) == "closed"


async def test_failures_older_than_the_window_do_not_count() -> None:
    clock = Clock()
    breaker = make(clock)
    await broken(breaker, 4)
    clock.now += 31
    await broken(breaker, 4)
    assert str(breaker.state) == "closed"


async def test_half_open_lets_one_probe_through_and_its_success_closes_it() -> None:
    clock = Clock()
    breaker = make(clock)
    await broken(breaker, 5)
    clock.now += 10.1
    assert str(breaker.state) == "half_open"
    gate, asked = asyncio.Event(), 0

    async def slow() -> None:
        nonlocal asked
        asked += 1
        await gate.wait()

    probes = [asyncio.create_task(breaker.call(slow)) for _ in range(10)]
    await asyncio.sleep(0)
    gate.set()
    found = await asyncio.gather(*probes, return_exceptions=True)
    assert asked == 1
    assert sum(isinstance(one, CircuitOpen) for one in found) == 9
    assert str(breaker.state) == "closed"


async def test_failed_probes_keep_it_open_longer_each_time() -> None:
    clock = Clock()
    breaker = make(clock, open_at_most=25.0)
    await broken(breaker, 5)
    clock.now += 10.1
    await broken(breaker, 1)
    clock.now += 9.9
    assert str(breaker.state) == "open"  # at least half of the doubled time
    clock.now += 10.2
    assert str(breaker.state) == "half_open"


async def test_a_cancelled_probe_says_nothing_and_leaves_room_for_the_next() -> None:
    clock = Clock()
    breaker = make(clock)
    await broken(breaker, 5)
    clock.now += 10.1
    probe = asyncio.create_task(breaker.call(asyncio.Event().wait))
    await asyncio.sleep(0)
    probe.cancel()
    await asyncio.gather(probe, return_exceptions=True)
    assert await breaker.call(work) == "done"
    assert str(breaker.state) == "closed"


async def hurry() -> None:
    """A call of somebody whose own time is over."""
    raise DeadlineExceeded


async def test_a_caller_in_a_hurry_says_nothing_about_the_neighbour() -> None:
    breaker = make(Clock())
    for _ in range(50):
        with pytest.raises(DeadlineExceeded):
            await breaker.call(hurry)
    assert str(breaker.state) == "closed"
    # Nor that it is well: half of all calls failed.
    await broken(breaker, 5)
    assert str(breaker.state) == "open"


async def test_a_probe_in_a_hurry_leaves_its_place_to_the_next() -> None:
    clock = Clock()
    breaker = make(clock)
    await broken(breaker, 5)
    clock.now += 10.1
    for _ in range(3):
        with pytest.raises(DeadlineExceeded):
            await breaker.call(hurry)
        assert str(breaker.state) == "half_open"
    assert await breaker.call(work) == "done"
    assert str(breaker.state) == "closed"


async def test_planted_a_hurry_that_counts_opens_it_for_everybody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fleet.breaker, "GivenUp", NoSuchThing)
    breaker = make(Clock())
    for _ in range(5):
        with pytest.raises(DeadlineExceeded):
            await breaker.call(hurry)
    with pytest.raises(CircuitOpen):
        await breaker.call(work)


class NoSuchThing:
    """What no error is."""


async def test_callers_in_a_hurry_do_not_spend_the_budget_of_the_others() -> None:
    budget = RetryBudget("test", saved=1.0)
    for _ in range(20):
        with pytest.raises(DeadlineExceeded):
            await retried(hurry, budget, pause=0.0)
    assert budget.spend()


async def test_a_refusal_is_an_answer_and_an_overload_is_not() -> None:
    breaker = make(Clock())

    async def refuse(error: DomainError) -> None:
        raise error

    for _ in range(10):
        with pytest.raises(DomainError):
            await breaker.call(lambda: refuse(DomainError()))
    assert str(breaker.state) == "closed"
    for _ in range(10):
        with pytest.raises((Overloaded, CircuitOpen)):
            await breaker.call(lambda: refuse(Overloaded()))
    assert str(breaker.state) == "open"


async def test_a_late_answer_from_before_it_opened_does_not_close_it() -> None:
    clock, gate = Clock(), asyncio.Event()
    breaker = make(clock)
    late = asyncio.create_task(breaker.call(gate.wait))
    await asyncio.sleep(0)
    await broken(breaker, 5)
    gate.set()
    await late
    assert str(breaker.state) == "open"


async def test_an_outage_is_not_multiplied_by_repeats() -> None:
    budget, asked = RetryBudget("test"), 0

    async def down() -> None:
        nonlocal asked
        asked += 1
        raise OSError

    for _ in range(200):
        with pytest.raises(OSError):
            await retried(down, budget, pause=0.0)
    assert asked <= 200 * 1.1 + 10


async def test_repeats_end_with_the_deadline() -> None:
    with Deadline(0.05), pytest.raises((DeadlineExceeded, OSError)):
        await retried(fail, RetryBudget("test"), repeats=100, pause=0.02)


async def test_a_deadline_only_gets_nearer_and_travels_to_tasks() -> None:
    assert remaining() is None
    assert within(5) == 5
    with Deadline(10):
        with Deadline(60):
            assert (remaining() or 99) <= 10
        with Deadline(1):
            assert await asyncio.create_task(asyncio.to_thread(lambda: within(5))) <= 1
        assert (remaining() or 0) > 5
    assert remaining() is None
    with Deadline(0), pytest.raises(DeadlineExceeded):
        within(1)


@pytest.mark.parametrize("text", [b"0.5", b"30", b"2.25"])
def test_a_request_may_say_how_long_it_waits(text: bytes) -> None:
    assert parse_timeout(text) == float(text)


@pytest.mark.parametrize(
    "text", [b"", b"0", b"0.05", b"31", b"-1", b"1e1", b"nan", b"inf", b"1.", b"99999999999", b"\xb2"]
)
def test_nonsense_is_refused(text: bytes) -> None:
    with pytest.raises(InvalidTimeout):
        parse_timeout(text)


async def test_a_closed_breaker_costs_next_to_nothing() -> None:
    breaker = Breaker("cost")
    begun = time.perf_counter()
    for _ in range(10_000):
        if breaker.admits():
            breaker.succeeded()
    assert (time.perf_counter() - begun) / 10_000 < 50e-6  # some microseconds; far from a round trip's 100
