"""The sliding windows themselves, in memory and in Lua, on a clock the tests turn."""

import uuid

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis

from db.redis import Script
from tenancy.admission import GUESS
from tenancy.limits import Limit, LocalWindows, guess_limits, network_of, user_limit


class Clock:
    def __init__(self, now: float = 1_000_000) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def one(allowed: int, window_ms: int = 1000, key: str = "k") -> Limit:
    return Limit("tenant", key, allowed, window_ms)


def test_a_full_window_refuses_until_the_told_wait_is_over() -> None:
    clock = Clock()
    windows, limit = LocalWindows(now_ms=clock), one(10)
    assert [windows.admit([limit]).remaining for _ in range(10)] == [9, 8, 7, 6, 5, 4, 3, 2, 1, 0]
    verdict = windows.admit([limit])
    assert verdict.refused == 0
    clock.now += verdict.wait_ms - 1
    assert windows.admit([limit]).refused == 0
    clock.now += 1
    assert windows.admit([limit]).refused is None


def test_a_new_window_does_not_grant_the_whole_limit_again() -> None:
    clock = Clock(1_000_900)
    windows, limit = LocalWindows(now_ms=clock), one(10)
    for _ in range(10):
        windows.admit([limit])
    clock.now = 1_001_100
    assert sum(windows.admit([limit]).refused is None for _ in range(10)) == 1


def test_a_refusal_by_one_limit_charges_none() -> None:
    windows = LocalWindows(now_ms=Clock())
    wide, narrow = one(5, key="wide"), one(1, key="narrow")
    assert windows.admit([wide, narrow]).tightest == 1
    assert windows.admit([wide, narrow]).refused == 1
    assert windows.admit([wide]).remaining == 3


def test_the_oldest_windows_are_forgotten_when_memory_is_full() -> None:
    windows = LocalWindows(size=2, now_ms=Clock())
    for key in ("a", "b", "c"):
        windows.admit([one(1, key=key)])
    assert windows.admit([one(1, key="c")]).refused == 0
    assert windows.admit([one(1, key="a")]).refused is None


@settings(max_examples=60, deadline=None)
@given(
    allowed=st.integers(0, 6),
    steps=st.lists(st.integers(0, 700), min_size=1, max_size=40),
)
def test_no_window_ever_holds_more_than_about_the_limit(allowed: int, steps: list[int]) -> None:
    """Counting by two slots may err by the unevenness inside the older one, never beyond its count."""
    clock, admitted = Clock(), []
    windows, limit = LocalWindows(now_ms=clock), one(allowed)
    for step in steps:
        clock.now += step
        if windows.admit([limit]).refused is None:
            admitted.append(clock.now)
    slots = [int(at // 1000) for at in admitted]
    assert all(slots.count(slot) <= allowed for slot in slots)
    assert all(sum(now - 1000 < at <= now for at in admitted) <= 2 * allowed for now in admitted)


#: The script on a clock of ours: the same source, told the time instead of asking for it.
ON_OUR_CLOCK = Script(GUESS.source.replace("redis.call('TIME')", "{redis.call('GET', 'now') / 1000, 0}"))


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    allowed=st.integers(0, 6),
    steps=st.lists(st.integers(0, 1500), min_size=1, max_size=25),
)
async def test_lua_and_memory_count_alike(redis: Redis, allowed: int, steps: list[int]) -> None:
    clock = Clock()
    windows, limit = LocalWindows(now_ms=clock), one(allowed, key=f"limit:{uuid.uuid4()}")
    for step in steps:
        clock.now += step
        await redis.set("now", int(clock.now))
        here = windows.wait_ms([limit])
        there = await ON_OUR_CLOCK(redis, [limit.key], "1" if not here else "0", *limit.bounds)
        assert there == pytest.approx(here, abs=1)
        assert bool(there) == bool(here)
        if not here:
            windows.charge([limit])


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        ("2001:DB8:1:2::9", "2001:db8:1:2::"),
    ],
)
def test_an_address_counts_with_its_network(address: str, network: str) -> None:
    assert network_of(address) == network


def test_no_text_of_a_client_reaches_a_key() -> None:
    limits = guess_limits("evil\r\n" * 1000, "prefix *\n" * 1000)
    assert all(len(limit.key) < 100 and "*" not in limit.key and "\n" not in limit.key for limit in limits)


def test_limits_of_two_tenants_do_not_share_a_key() -> None:
    principal = uuid.uuid4()
    assert user_limit(uuid.uuid4(), principal, 1).key != user_limit(uuid.uuid4(), principal, 1).key
