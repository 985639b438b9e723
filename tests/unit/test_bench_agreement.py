"""The file of what agreeing costs keeps what a run did not measure; several samples are told as such."""

from pathlib import Path

import msgspec

from loadtests.agreement.figures import Figure
from loadtests.agreement.jobs import figure_of
from loadtests.agreement.report import Report, Row, earlier, merged
from loadtests.bench.machine import Machine
from loadtests.figures import latency

MEASURES = ["locks", "events", "jobs"]


def row(measure: str, taken_at: str, name: str = "") -> Row:
    return Row(measure, taken_at, Figure(name or measure, latency([0.001]), None, ""))


def report(taken_at: str, *rows: Row) -> Report:
    return Report(taken_at, Machine(2, "a model", 4.0, "Linux", {}, {}, {}, {}, {}), rows)


def test_a_run_of_some_keeps_the_rows_of_the_others_with_their_time() -> None:
    before = report("Monday", *(row(name, "Monday") for name in MEASURES), row("gone", "Monday"))
    now = report("Tuesday", row("events", "Tuesday", "by another name"))
    whole = merged(now, before, MEASURES, ["events"])
    assert [(one.measure, one.taken_at) for one in whole.rows] == [
        ("locks", "Monday"),
        ("events", "Tuesday"),
        ("jobs", "Monday"),
    ]
    assert [one.measure for one in whole.kept] == ["locks", "jobs"]
    everything = report("Wednesday", *(row(name, "Wednesday") for name in MEASURES))
    assert merged(everything, whole, MEASURES, MEASURES).kept == ()


def test_a_file_of_another_shape_is_nothing(tmp_path: Path) -> None:
    path = tmp_path / "agreement.json"
    assert earlier(path) is None
    path.write_text('{"taken_at": "Monday", "figures": []}')
    assert earlier(path) is None
    now = report("Tuesday", row("locks", "Tuesday"))
    path.write_bytes(msgspec.json.encode(now))
    assert earlier(path) == now


def test_samples_are_told_as_median_and_range() -> None:
    figure = figure_of([(700.0, 1_000.0), (900.0, 1_000.0), (500.0, 1_000.0)])
    assert figure.value == "700/s (500-900), 70% of bare (50%-90%), 3 runs"
    assert figure.kept
    assert figure.ours.count == 3
    assert not figure_of([(690.0, 1_000.0)]).kept
