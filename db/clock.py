"""The time as the primary database has it, for whatever is written down or decided by the time of day.

Every process asks the primary what time it is, twice a second, and corrects its own clock by the difference: an
instance whose clock is off by an hour writes no record with a wrong time and lets nothing expire too early.
"""

from datetime import UTC, datetime, timedelta
from typing import Final

#: A difference up to this is not told from the way there and back; clocks kept by NTP differ by less.
TOLERANCE: Final = timedelta(milliseconds=250)
#: An answer that took longer says nothing.
LONGEST: Final = timedelta(seconds=2)


class Clock:
    """`offset`: what has to be added to this process's clock; nothing while they agree."""

    def __init__(self) -> None:
        self.offset = timedelta(0)

    def now(self) -> datetime:
        """The primary's time in UTC, to within `TOLERANCE`."""
        return datetime.now(UTC) + self.offset

    def compare(self, told: datetime, asked: datetime, answered: datetime) -> None:
        """The primary said it is `told`; this process's clock stood at the other two before and after."""
        took = answered - asked
        if not timedelta(0) <= took <= LONGEST:  # too late to say, or our clock was set meanwhile
            return
        difference = told - (asked + took / 2)
        self.offset = difference if abs(difference) > TOLERANCE + took / 2 else timedelta(0)


#: This process's.
clock: Final = Clock()
