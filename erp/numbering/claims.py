"""What taking numbers locks, for those who run several commands in one transaction."""

from collections.abc import Iterable
from datetime import date

from erp.numbering.repository import LOCK_SERIES
from tenancy.concurrency import Claim, LockRank, locked_by

locked_by("number_series", lambda keys: [LOCK_SERIES(year=year, series=series) for year, series in keys])


def series_claims(days: Iterable[date], *series: str) -> list[Claim]:
    """The rows of the named series for the years of these days: earlier years first, as `take_dated` has it.

    A series without a number this year has no row yet; who takes the first one locks it then.
    """
    years = {day.year for day in days}
    return [Claim(LockRank.NUMBER_SERIES, "number_series", (year, name)) for year in years for name in series]
