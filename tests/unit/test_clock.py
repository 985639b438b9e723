"""The process's clock is corrected by the primary's when they differ by more than the way there and back explains."""

from datetime import UTC, datetime, timedelta

import pytest

from db.clock import Clock

NOON = datetime(2026, 11, 28, 12, tzinfo=UTC)
HOUR, WAY = timedelta(hours=1), timedelta(milliseconds=4)


@pytest.mark.parametrize("off", [HOUR, -HOUR, timedelta(milliseconds=400)])
def test_a_clock_that_is_off_is_corrected(off: timedelta) -> None:
    clock = Clock()
    clock.compare(NOON, NOON + off, NOON + off + WAY)
    assert abs(clock.offset + off) <= WAY
    assert abs(clock.now() - (datetime.now(UTC) - off)) < timedelta(milliseconds=50)


def test_clocks_that_agree_are_left_alone_and_a_clock_that_was_set_right_is_again() -> None:
    clock = Clock()
    clock.compare(NOON + timedelta(milliseconds=200), NOON, NOON + WAY)
    assert clock.offset == timedelta(0)
    clock.compare(NOON + HOUR, NOON, NOON + WAY)
    assert clock.offset > timedelta(0)
    clock.compare(NOON, NOON, NOON + WAY)
    assert clock.offset == timedelta(0)


@pytest.mark.parametrize("answered", [NOON + timedelta(seconds=3), NOON - timedelta(seconds=1)])
def test_an_answer_that_took_long_or_came_before_its_question_says_nothing(answered: datetime) -> None:
    clock = Clock()
    clock.compare(NOON + HOUR, NOON, answered)
    assert clock.offset == timedelta(0)


def test_a_slow_answer_widens_what_is_tolerated() -> None:
    clock = Clock()
    clock.compare(NOON + timedelta(seconds=1), NOON, NOON + timedelta(seconds=1.8))
    assert clock.offset == timedelta(0)
