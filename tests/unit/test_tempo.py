"""Whose jobs count as short, by what one dispatcher sees of them."""

import uuid

from workers.tempo import Busy, Tempo

TENANT = uuid.uuid4()
FOUR = {"default": 4}


def turns(
    tempo: Tempo, seconds: float, *, jobs: int, running: int, done: int, long: int = 0, start: float = 0
) -> float:
    """Twenty turns a second in which `done` jobs end and as many are sent; when the last one was."""
    now = start
    for number in range(int(seconds * 20)):
        now = start + number / 20
        tempo.look([Busy("default", TENANT, jobs, running, long)], now)
        tempo.sent("default", TENANT, done)
    return now


def test_nothing_is_known_of_who_has_just_come() -> None:
    tempo = Tempo()
    assert tempo.short(FOUR) == []
    tempo.look([], 0.0)
    tempo.sent("default", TENANT, 3)
    assert tempo.short(FOUR) == []
    tempo.look([], 0.05)  # and all three have ended
    assert tempo.short(FOUR) == [("default", TENANT)]


def test_many_jobs_of_some_milliseconds_are_short_and_those_of_a_second_are_not() -> None:
    quick, slow = Tempo(), Tempo()
    turns(quick, 2, jobs=30, running=20, done=25)  # 20 at a time, 500 a second: 40 ms each
    turns(slow, 2, jobs=4, running=4, done=0)
    assert quick.short(FOUR) == [("default", TENANT)]
    assert slow.short(FOUR) == []
    turns(slow, 2, jobs=4, running=4, done=1, start=2)  # four at a time, 20 a second: 0.2 s each
    assert slow.short({"default": 3}) == []
    assert slow.short({"default": 5}) == [("default", TENANT)]


def test_some_long_ones_among_many_short_ones_do_not_take_the_threads() -> None:
    tempo = Tempo()
    turns(tempo, 2, jobs=10, running=3, done=10, long=1)
    assert tempo.short(FOUR) == [("default", TENANT)]
    turns(tempo, 0.1, jobs=10, running=3, done=10, long=2, start=2)
    assert tempo.short(FOUR) == []


def test_what_was_seen_is_forgotten() -> None:
    tempo = Tempo()
    last = turns(tempo, 1, jobs=10, running=3, done=10)
    tempo.look([], last + 0.05)
    assert tempo.short(FOUR) == [("default", TENANT)]
    for second in range(1, 12):
        tempo.look([], last + second)
    assert tempo.short(FOUR) == []
    assert not tempo._seen


def test_who_has_all_of_its_share_is_looked_at_again_soon_while_its_jobs_end() -> None:
    tempo = Tempo()
    turns(tempo, 1, jobs=3, running=3, done=0)
    assert not tempo.presses({"default": 3})
    turns(tempo, 0.2, jobs=3, running=3, done=1, start=1)
    assert tempo.presses({"default": 3})
    assert not tempo.presses({"default": 7})
    assert not tempo.presses({"default": 0})
