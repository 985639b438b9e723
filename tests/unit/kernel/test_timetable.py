"""A timetable against every minute of a year's worth of clock changes, in zones that change them in odd ways."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from erp.kernel.errors import Invalid
from erp.kernel.timetable import MOST_MISSED, plan, timetable

MINUTE = timedelta(minutes=1)
#: Zone -> about when its clocks change: at night, at midnight, by half an hour, a whole day left out.
CHANGES = {
    "Europe/Berlin": ("2026-03-29T01:00", "2026-10-25T01:00"),
    "America/New_York": ("2026-03-08T07:00", "2026-11-01T06:00"),
    "America/Havana": ("2026-03-08T05:00", "2026-11-01T05:00"),
    "Africa/Cairo": ("2026-04-23T22:00", "2026-10-29T21:00"),
    "Australia/Lord_Howe": ("2026-10-03T15:30", "2026-04-04T15:00"),
    "Pacific/Apia": ("2011-12-30T10:00",),
    "Asia/Kathmandu": ("2026-06-01T00:00",),
    "UTC": ("2026-03-29T01:00",),
}
spans = st.sampled_from(
    [(zone, datetime.fromisoformat(at).replace(tzinfo=UTC)) for zone, all_ in CHANGES.items() for at in all_]
)


@st.composite
def expressions(draw: st.DrawFn) -> tuple[str, set[int], set[int], set[int]]:
    """With the minutes, hours and days of the week (0: Sunday) it names."""
    minutes = draw(st.sets(st.sampled_from([0, 1, 15, 29, 30, 45, 59]), min_size=1, max_size=3))
    hours = draw(st.one_of(st.just(set(range(24))), st.sets(st.integers(0, 3), min_size=1, max_size=3)))
    days = draw(st.one_of(st.just(set(range(7))), st.sets(st.integers(0, 6), min_size=4, max_size=6)))
    fields = [
        ",".join(map(str, sorted(minutes))),
        "*" if len(hours) == 24 else ",".join(map(str, sorted(hours))),
        "*",
        "*",
        "*" if len(days) == 7 else ",".join(map(str, sorted(days))),
    ]
    return " ".join(fields), minutes, hours, days


def expected(zone: str, begin: datetime, end: datetime, named: tuple[set[int], set[int], set[int]]) -> list[datetime]:
    """The rule itself, minute by minute: what the clocks on the wall show, and what they leave out."""
    minutes, hours, days = named

    def fits(shown: datetime) -> bool:
        return shown.minute in minutes and shown.hour in hours and shown.isoweekday() % 7 in days

    place, every_hour = ZoneInfo(zone), len(hours) == 24
    found, seen = [], set()
    moment = begin - timedelta(days=2)  # what was on the wall before may be there again
    wall = moment.astimezone(place).replace(tzinfo=None)
    while moment < end:
        moment += MINUTE
        shown = moment.astimezone(place).replace(tzinfo=None, fold=0)
        skipped = [wall + n * MINUTE for n in range(1, int((shown - wall) / MINUTE))]
        due = fits(shown) if every_hour else (fits(shown) and shown not in seen) or any(map(fits, skipped))
        seen.add(shown)
        wall = shown
        if due and begin < moment <= end:
            found.append(moment)
    return found


@settings(max_examples=120, deadline=None)
@given(spans, expressions(), st.integers(-300, 120))
def test_every_local_time_happens_once_whatever_the_clocks_do(
    span: tuple[str, datetime], expression: tuple[str, set[int], set[int], set[int]], offset: int
) -> None:
    zone, change = span
    text, *named = expression
    begin, end = change + offset * MINUTE, change + timedelta(hours=30)
    assert timetable(text, zone).latest(begin, end, 10_000) == expected(zone, begin, end, tuple(named))  # type: ignore[arg-type]


@settings(max_examples=60, deadline=None)
@given(spans, expressions(), st.integers(1, 30))
def test_the_next_moment_of_a_moment_is_the_following_one(
    span: tuple[str, datetime], expression: tuple[str, set[int], set[int], set[int]], most: int
) -> None:
    """A process that stops and begins anew at any moment neither repeats one nor leaves one out."""
    zone, change = span
    table = timetable(expression[0], zone)
    begin, end = change - timedelta(hours=6), change + timedelta(hours=20)
    whole = table.latest(begin, end, 10_000)
    one_by_one, at = [], begin
    while (at := table.next(at)) <= end:
        one_by_one.append(at)
    assert one_by_one == whole
    assert table.latest(begin, end, most) == whole[-most:]


@pytest.mark.parametrize(
    ("expression", "zone", "since", "moments"),
    [
        # 02:30 does not exist on the 29th: once, when the clocks show 03:00.
        ("30 2 * * *", "Europe/Berlin", "2026-03-28T00:00+00:00",
         ["2026-03-28T01:30", "2026-03-29T01:00", "2026-03-30T00:30"]),
        # Three times of one gap are one moment.
        ("0,15,30 2 * * *", "Europe/Berlin", "2026-03-28T23:00+00:00", ["2026-03-29T01:00", "2026-03-30T00:00"]),
        # 02:30 exists twice on the 25th: the first of them.
        ("30 2 * * *", "Europe/Berlin", "2026-10-24T10:00+00:00",
         ["2026-10-25T00:30", "2026-10-26T01:30", "2026-10-27T01:30"]),
        # Every hour is every real hour.
        ("0 * * * *", "Europe/Berlin", "2026-10-24T23:30+00:00",
         ["2026-10-25T00:00", "2026-10-25T01:00", "2026-10-25T02:00"]),
        # Half an hour is left out on Lord Howe: what the clocks show is done, what they do not is not.
        ("30 * * * *", "Australia/Lord_Howe", "2026-10-03T15:29+00:00", ["2026-10-03T15:30", "2026-10-03T16:30"]),
        ("15 * * * *", "Australia/Lord_Howe", "2026-10-03T14:45+00:00", ["2026-10-03T16:15"]),
        # Once a year, at a midnight that exists twice.
        ("30 * 1 11 *", "America/Havana", "2026-01-01T00:00+00:00", ["2026-11-01T04:30", "2026-11-01T05:30"]),
        # Midnight does not exist in Cairo: the day begins at one.
        ("0 0 * * *", "Africa/Cairo", "2026-04-23T12:00+00:00", ["2026-04-23T22:00", "2026-04-24T21:00"]),
        # The 30th of December 2011 does not exist in Samoa.
        ("0 9 30 12 *", "Pacific/Apia", "2011-12-01T00:00+00:00", ["2011-12-30T10:00", "2012-12-29T19:00"]),
        ("0 6 L * *", "UTC", "2026-01-15T00:00+00:00", ["2026-01-31T06:00", "2026-02-28T06:00"]),
        ("0 6 * * MON#1", "UTC", "2026-01-15T00:00+00:00", ["2026-02-02T06:00"]),
    ],
)  # fmt: skip
def test_known_days(expression: str, zone: str, since: str, moments: list[str]) -> None:
    table, at = timetable(expression, zone), datetime.fromisoformat(since)
    for moment in moments:
        at = table.next(at)
        assert at == datetime.fromisoformat(moment).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    "expression",
    ["", "* * * *", "* * * * * *", "60 * * * *", "a b c d e", "0 0 30 2 *", "*/0 * * * *", "0 24 * * *", "0" * 200,
     "@daily", "0 0 0 * *", "5-1 * * * *", "\u0661 * * * *", "-1 * * * *"],
)  # fmt: skip
def test_what_is_no_expression_is_refused(expression: str) -> None:
    with pytest.raises(Invalid) as refusal:
        timetable(expression, "UTC")
    assert refusal.value.pointer == "/cron"


@pytest.mark.parametrize("zone", ["", "Mars/Olympus", "../etc/passwd", "Europe/Berlin\0", "GMT+27"])
def test_an_unknown_zone_is_refused(zone: str) -> None:
    with pytest.raises(Invalid) as refusal:
        timetable("0 0 * * *", zone)
    assert refusal.value.pointer == "/time_zone"


def test_what_is_done_about_missed_moments() -> None:
    now = datetime(2026, 5, 1, 12, 1, tzinfo=UTC)
    table = timetable("0 * * * *", "UTC")
    hours = table.latest(now - timedelta(hours=3), now, MOST_MISSED)
    assert len(hours) == 3
    skipping, once, every = plan(hours, now, "skip"), plan(hours, now, "run_once"), plan(hours, now, "run_all")
    assert skipping == once == (hours[-1:], 2, hours[-1], True)
    assert every == (hours, 0, hours[-1], True)
    late = now + timedelta(minutes=30)
    assert plan(hours, late, "skip") == ([], 3, hours[-1], True)
    assert plan(hours, late, "run_once") == (hours[-1:], 2, hours[-1], True)
    assert plan(hours[-1:], now, "skip") == (hours[-1:], 0, hours[-1], False)
    assert plan([], now, "run_all") is None


def test_a_year_of_silence_costs_little() -> None:
    """However long nobody looked: the last ones are found from the end."""
    now = datetime(2026, 5, 1, tzinfo=UTC)
    found = timetable("*/5 * * * *", "Europe/London").latest(now - timedelta(days=3650), now, MOST_MISSED)
    assert len(found) == MOST_MISSED
    assert found[-1] == now
    yearly = timetable("0 0 1 1 *", "Europe/London").latest(now - timedelta(days=3650), now, MOST_MISSED)
    assert len(yearly) == 10
