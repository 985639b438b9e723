"""One file of figures: those of this run, and of mechanisms it did not measure those that were there."""

from collections.abc import Collection, Sequence
from pathlib import Path

import msgspec
from rich.table import Table

from loadtests.agreement.figures import Figure
from loadtests.bench.machine import Machine


class Row(msgspec.Struct, frozen=True):
    """A figure with the measurement it belongs to and when it was taken."""

    measure: str
    taken_at: str
    figure: Figure


class Report(msgspec.Struct, frozen=True):
    """`taken_at`, `machine`: of the last run. Rows of another time are of an earlier one."""

    taken_at: str
    machine: Machine
    rows: tuple[Row, ...]

    @property
    def kept(self) -> tuple[Row, ...]:
        """Of earlier runs."""
        return tuple(row for row in self.rows if row.taken_at != self.taken_at)


def earlier(path: Path) -> Report | None:
    """What stands in the file; None when there is nothing, or nothing that can be read."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Report)
    except (FileNotFoundError, msgspec.DecodeError):
        return None


def merged(now: Report, before: Report | None, measures: Sequence[str], measured: Collection[str]) -> Report:
    """`now`, and of `before` the rows of measurements that were not made, all in the order of `measures`."""
    left = () if before is None else tuple(row for row in before.rows if row.measure not in measured)
    known = [row for row in (*now.rows, *left) if row.measure in measures]
    return Report(now.taken_at, now.machine, tuple(sorted(known, key=lambda row: measures.index(row.measure))))


def table(report: Report) -> Table:
    """Of this run, in milliseconds, ours beside the bare limit."""
    shown = Table(title="What agreeing costs, in milliseconds")
    for heading in ("mechanism", "p50", "p99", "bare p50", "bare p99", "measured", "aim", ""):
        shown.add_column(heading, justify="left" if heading in ("mechanism", "measured", "aim") else "right")
    for one in (row.figure for row in report.rows if row.taken_at == report.taken_at):
        bare = ("", "") if one.bare is None else (f"{one.bare.p50:.3f}", f"{one.bare.p99:.3f}")
        verdict = {None: "", True: "reached", False: "missed"}[one.kept]
        shown.add_row(one.name, f"{one.ours.p50:.3f}", f"{one.ours.p99:.3f}", *bare, one.value, one.aim, verdict)
    return shown
