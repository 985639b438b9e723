"""Percentiles, CPU accounting and the measuring loop."""

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtests.bench.measure import Scenario, Unexpected, measure
from loadtests.figures import latency, percentile, percentile_of_counts
from loadtests.processes import Tree, machine_seconds


@pytest.mark.parametrize(
    ("share", "value"), [(0.01, 1), (0.50, 50), (0.501, 51), (0.95, 95), (0.99, 99), (0.991, 100), (1.0, 100)]
)
def test_a_percentile_is_the_smallest_value_that_covers_its_share(share: float, value: int) -> None:
    assert percentile([float(one) for one in range(1, 101)], share) == value


def test_one_value_is_every_percentile_of_itself() -> None:
    assert [percentile([3.0], share) for share in (0.01, 0.5, 0.99, 1.0)] == [3.0] * 4


@given(st.lists(st.integers(0, 50), min_size=1), st.sampled_from([0.5, 0.9, 0.95, 0.99, 1.0]))
def test_counted_values_have_the_percentiles_of_listed_ones(values: list[int], share: float) -> None:
    counts = {value: values.count(value) for value in values}
    assert percentile_of_counts(counts, share) == percentile([float(value) for value in sorted(values)], share)


def test_latencies_are_told_in_milliseconds() -> None:
    found = latency([0.004, 0.001, 0.002, 0.003])
    assert (found.count, found.p50, found.p99, found.worst) == (4, 2.0, 4.0, 4.0)


def test_nothing_measured_is_zero_not_an_error() -> None:
    assert latency([]).p99 == 0
    assert percentile_of_counts({}, 0.99) == 0


def _process(proc: Path, pid: int, parent: int, *ticks: int) -> None:
    (proc / str(pid)).mkdir()
    spent = " ".join(str(value) for value in ticks)
    (proc / str(pid) / "stat").write_text(
        f"{pid} (a (strange) name) S {parent} 1 1 0 -1 0 0 0 0 0 {spent} 20 0 1 0 9"
    )


def test_a_process_is_counted_with_its_descendants_alive_and_gone(tmp_path: Path) -> None:
    ticks = os.sysconf("SC_CLK_TCK")
    _process(tmp_path, 10, 1, ticks, 0, 2 * ticks, 0)  # user, system, of ended children: user, system
    _process(tmp_path, 11, 10, 0, 4 * ticks, 0, 0)
    _process(tmp_path, 12, 11, 0, 0, 8 * ticks, 0)
    _process(tmp_path, 99, 1, 100 * ticks, 0, 0, 0)
    tree = Tree(tmp_path)
    assert tree.seconds([10]) == 1 + 2 + 4 + 8
    assert tree.seconds([10, 11]) == 1 + 2 + 4 + 8
    assert tree.seconds([10], alone=True) == 1 + 2
    assert tree.seconds([404]) == 0


def test_the_machine_is_busy_when_it_is_neither_idle_nor_waiting(tmp_path: Path) -> None:
    ticks = os.sysconf("SC_CLK_TCK")
    counted = [ticks, 2 * ticks, 4 * ticks, 800 * ticks, 1600 * ticks, 8 * ticks, 16 * ticks, 3200 * ticks, 0, 0]
    (tmp_path / "stat").write_text("cpu  " + " ".join(str(value) for value in counted) + "\ncpu0 1 2\n")
    assert machine_seconds(tmp_path) == 1 + 2 + 4 + 8 + 16


async def test_a_run_counts_steps_requests_errors_and_cpu() -> None:
    clock = iter([{"api": 1.0, "machine": 10.0}, {"api": 1.5, "machine": 12.0}])
    turns = 0

    async def step(client: int) -> Sequence[float]:
        nonlocal turns
        turns += 1
        await asyncio.sleep(0)
        if client == 1:
            raise Unexpected("503 overloaded")
        return (0.010, 0.030)

    found = await measure(Scenario("flow", "flows", ("ask", "pay"), step), 2, 0.0, lambda: next(clock))
    assert turns == 2  # each client once, however short the time
    assert (found.units, found.requests, found.errors) == (1, 2, {"503 overloaded": 1})
    assert found.cpu_ms == {"api": 250.0}
    assert found.unit_latency is not None
    assert (found.unit_latency.p50, found.by_request["pay"].p50) == (40.0, 30.0)
    assert found.elsewhere > 0


async def test_a_scenario_that_only_fails_is_given_up() -> None:
    async def step(client: int) -> Sequence[float]:
        await asyncio.sleep(0)
        raise Unexpected("500 internal-error")

    found = await measure(Scenario("broken", "steps", ("ask",), step), 1, 60.0, dict)
    assert found.errors == {"500 internal-error": 1001}
    assert found.seconds < 30
