"""When something is to happen: a cron expression in a time zone, and what becomes of moments that were missed.

Five fields (minute, hour, day of month, month, day of week) with names, ranges, lists, steps, `L` and `#`. As in
Debian's cron, day of month and day of week must both fit when one of them begins with `*`, else either is enough.

When clocks change: a local time that does not exist is the first moment after the gap, one that exists twice is the
first of the two. An expression for every hour follows real time instead: it is neither moved nor left out.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final, Literal, NamedTuple
from zoneinfo import ZoneInfo, available_timezones

from cronsim import CronSim, CronSimError

from erp.kernel.errors import Invalid

Missed = Literal["skip", "run_once", "run_all"]

#: Missed moments that are looked at, and done at most with `run_all`: the latest ones.
MOST_MISSED: Final = 24
#: A moment this late is still on time: the lead may have changed hands just then.
ON_TIME: Final = timedelta(minutes=5)

_FIELDS: Final = 5
_LONGEST: Final = 100
_WINDOWS: Final = tuple(timedelta(hours=hours) for hours in (1, 24, 24 * 8, 24 * 62, 24 * 366))
_DAY: Final = timedelta(days=1)
_NONE_BEFORE: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Timetable:
    """The moments of an expression in a zone, as UTC. Make one with `timetable`."""

    def __init__(self, expression: str, zone: str) -> None:
        """Raises Invalid for an expression that is none or never fits, and for an unknown zone."""
        self.expression = expression
        self.zone_name = zone
        self._zone = _zone(zone)
        fields = expression.split()
        if len(expression) > _LONGEST or len(fields) != _FIELDS:
            raise Invalid("A cron expression has five fields.", pointer="/cron", cron=expression[:_LONGEST])
        try:
            parsed = CronSim(expression, datetime(2024, 1, 1))  # noqa: DTZ001  # a wall clock's time
            next(parsed)
        except (CronSimError, StopIteration, OverflowError) as error:
            detail = f"{error}." if str(error) else "It never fits."
            raise Invalid(f"This is no cron expression: {detail}", pointer="/cron", cron=expression) from None
        #: Minutes of an hour it may fit.
        self.minutes = len(parsed.minutes)
        self._every_hour = len(parsed.hours) == 24  # hours of a day
        self._fields = " ".join(fields)

    def after(self, moment: datetime) -> Iterator[datetime]:
        """Its moments later than `moment`, in order, without end."""
        return self._real(moment) if self._every_hour else self._local(moment)

    def next(self, moment: datetime) -> datetime:
        return next(self.after(moment))

    def latest(self, since: datetime, until: datetime, most: int) -> list[datetime]:
        """The last `most` moments with since < moment <= until, in order."""
        for window in (*_WINDOWS, until - _NONE_BEFORE):
            begin = max(since, until - window)
            found = []
            for moment in self.after(begin):
                if moment > until:
                    break
                found.append(moment)
            if len(found) >= most or begin == since:
                return found[-most:]
        return found[-most:]

    def _local(self, moment: datetime) -> Iterator[datetime]:
        last = moment.astimezone(UTC)
        wall = moment.astimezone(self._zone).replace(tzinfo=None, fold=0)
        for local in CronSim(self._fields, wall):
            # Two local times of one gap are one moment; of a repeated hour only the first one counts.
            if (found := _moment(local, self._zone)) > last:
                last = found
                yield found

    def _real(self, moment: datetime) -> Iterator[datetime]:
        """As clocks that never change show it, each from one change to the next."""
        at, offset = moment.astimezone(UTC), self._offset(moment)
        while True:
            for local in CronSim(self._fields, (at + offset).replace(tzinfo=None)):
                found = (local - offset).replace(tzinfo=UTC)
                near = min(found, at + _DAY)
                if self._offset(near) != offset:
                    change = _change(at, near, self._zone)
                    at, offset = change - timedelta(seconds=1), self._offset(change)
                    break
                if near != found:  # far ahead there may be two changes more
                    at = max(near, found - _DAY)
                    offset = self._offset(at)
                    break
                at = found
                yield found

    def _offset(self, moment: datetime) -> timedelta:
        offset = moment.astimezone(self._zone).utcoffset()
        assert offset is not None
        return offset


class Plan(NamedTuple):
    """`runs`: the moments to be done now. `left_out`: how many were missed and are not; `latest` is the last of all.

    `late`: the runs make up for moments that were missed.
    """

    runs: list[datetime]
    left_out: int
    latest: datetime
    late: bool


def plan(moments: list[datetime], now: datetime, missed: Missed) -> Plan | None:
    """What to do about `moments` (in order, none later than now); None when there is none.

    skip: only one that is on time. run_once: the latest, for all of them. run_all: each.
    """
    if not moments:
        return None
    latest = moments[-1]
    late = now - latest > ON_TIME
    if missed == "run_all":
        return Plan(moments, 0, latest, late or len(moments) > 1)
    runs = [] if missed == "skip" and late else [latest]
    return Plan(runs, len(moments) - len(runs), latest, late or len(moments) > 1)


@lru_cache(maxsize=4096)
def timetable(expression: str, zone: str) -> Timetable:
    """Raises Invalid."""
    return Timetable(expression, zone)


def _moment(local: datetime, zone: ZoneInfo) -> datetime:
    """The moment of a wall clock's time; within a gap, the gap's end."""
    moment = local.replace(tzinfo=zone).astimezone(UTC)
    if moment.astimezone(zone).replace(tzinfo=None, fold=0) == local:
        return moment
    # Read with the offset before the gap the time lies after it, with the one after the gap before it.
    after = local.replace(tzinfo=zone, fold=0).astimezone(UTC)
    before = local.replace(tzinfo=zone, fold=1).astimezone(UTC)
    return _change(before, after, zone)


def _change(before: datetime, after: datetime, zone: ZoneInfo) -> datetime:
    """The first second with the later offset, between the two."""
    offset = before.astimezone(zone).utcoffset()
    low, high = int(before.timestamp()), int(after.timestamp())
    while high - low > 1:
        middle = (low + high) // 2
        if datetime.fromtimestamp(middle, zone).utcoffset() == offset:
            low = middle
        else:
            high = middle
    return datetime.fromtimestamp(high, UTC)


@lru_cache(maxsize=1)
def _known() -> frozenset[str]:
    return frozenset(available_timezones())


@lru_cache(maxsize=1024)
def _zone(name: str) -> ZoneInfo:
    if name not in _known():
        raise Invalid("There is no such time zone.", pointer="/time_zone", time_zone=name[:64])
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise Invalid("There is no such time zone.", pointer="/time_zone", time_zone=name[:64]) from None
