"""Aims of the benchmark, pgbench's report, and the budgets of the load run."""

from pathlib import Path

import msgspec
import pytest

from loadtests.bench import aims
from loadtests.bench.aims import Found, verdicts
from loadtests.bench.bare import SCRIPTS, Bare, id_prefixes, read_second
from loadtests.bench.measure import Measured
from loadtests.bench.report import SellOut
from loadtests.figures import latency
from loadtests.fleet import limits_of
from loadtests.load.budgets import Budget, Budgets, Run, read_budgets
from loadtests.load.budgets import verdicts as budget_verdicts
from loadtests.locustfiles.wire import Outcome


def _found(rate: float, bare: float | None = None, slowest: float = 0.010) -> Found:
    times = latency([slowest])
    measured = Measured(
        name="x", unit="steps", clients=1, seconds=1.0, units=1, requests=1, rate=rate, request_rate=rate,
        latency=times, unit_latency=None, by_request={}, errors={}, cpu_ms={}, cores=1.0, elsewhere=0.0,
    )  # fmt: skip
    return Found(measured, Bare("x", 1, bare, 1.0, 1.0) if bare else None)


def test_every_aim_is_met_exactly_at_its_figure() -> None:
    results = {
        aims.READS: _found(2_000), aims.LISTS: _found(800), aims.ORDERS: _found(250, bare=1_000),
        aims.FLOWS: _found(100), aims.SPREAD: _found(600), aims.HOT: _found(300),
    }  # fmt: skip
    assert [(one.aim, one.met) for one in verdicts(results) if not one.met] == []
    assert len(verdicts(results)) == 7


def test_every_aim_is_missed_just_below_it() -> None:
    results = {
        aims.READS: _found(1_999, slowest=0.100), aims.LISTS: _found(799, slowest=0.100),
        aims.ORDERS: _found(249, bare=1_000), aims.FLOWS: _found(99), aims.SPREAD: _found(600), aims.HOT: _found(299),
    }  # fmt: skip
    assert [one.aim for one in verdicts(results) if one.met] == []


def test_only_what_was_run_is_judged() -> None:
    assert [one.aim for one in verdicts({aims.FLOWS: _found(120)})] == ["order to cash >= 100/s"]
    assert verdicts({aims.ORDERS: _found(500)}) == []  # without its bare limit there is no share


def test_selling_out_is_exact_or_it_is_not() -> None:
    assert SellOut(32, 400, 400, "400", "0").exact
    assert not SellOut(32, 400, 401, "401", "-1").exact
    assert not SellOut(32, 400, 399, "399", "1").exact
    assert not SellOut(32, 400, None, "400", "0").exact


def test_a_progress_line_of_pgbench_is_read() -> None:
    second = read_second("progress: 3.0 s, 557.9 tps, lat 1.793 ms stddev 0.412, 0 failed\n")
    assert second is not None
    assert (second.at, second.rate, second.latency_ms) == (3.0, 557.9, 1.793)
    assert read_second("pgbench: error: client 1 script 0 aborted in command 4") is None


def test_ids_of_scripts_are_uuids_of_version_7_that_begin_with_the_moment() -> None:
    prefixes = id_prefixes(0x01A1FC4C2F63)
    assert prefixes["run"] == "01a1fc4c-2f63"
    assert prefixes["order"] == "01a1fc4c-2f63-7000-8000-"
    ids = [f"{value}{100_000_000_001}" for name, value in prefixes.items() if name != "run"]
    assert len(set(ids)) == len(ids)
    assert all(len(one) == 36 for one in ids)


def test_every_script_sends_its_reads_and_writes_under_the_tenants_setting() -> None:
    for path in SCRIPTS.glob("*.sql"):
        if path.stem != "decide":
            text = path.read_text()
            assert text.count("\\startpipeline") == text.count("\\endpipeline") > 0, path.name
            for beat in text.split("\\startpipeline")[1:]:
                assert "set_config('app.tenant_id'" in beat or "COMMIT" in beat, path.name


def test_limits_are_their_defaults_unless_the_fleet_was_told_otherwise() -> None:
    limits = limits_of({"ERP_NGINX_RATE": "500", "ERP_LOG_LEVEL": "DEBUG"})
    assert limits["ERP_NGINX_RATE"].now == 500
    assert limits["ERP_NGINX_RATE"].default == 10
    assert all(one.now == one.default for name, one in limits.items() if name != "ERP_NGINX_RATE")


BUDGET = Budget(users=10, per_minute=60, p95_ms=500, p99_ms=1000, error_rate=0.01)
RUN = Run(seconds=10, tenants=1, least_throughput=0.9)


def _broken(outcome: Outcome, budget: Budget = BUDGET) -> list[str]:
    [verdict] = budget_verdicts(Budgets(RUN, {"story": budget}), {"story": outcome})
    return verdict.broken


def test_a_story_at_its_budget_keeps_it() -> None:
    assert _broken(Outcome({500: 99, 1000: 1}, {"read: 503": 1}, refused=0, seconds=10)) == []


@pytest.mark.parametrize(
    ("outcome", "told"),
    [
        (Outcome({501: 100}, {}, 0, 10), ["p95 501 > 500 ms"]),
        (Outcome({10: 98, 1001: 2}, {}, 0, 10), ["p99 1001 > 1000 ms"]),
        (Outcome({10: 100}, {"read: 503": 2}, 0, 10), ["errors 2.00% > 1.00%"]),
        (Outcome({10: 89}, {}, 0, 10), ["8.9/s < 90% of 10.0/s"]),
        (Outcome({}, {}, 0, 10), ["0.0/s < 90% of 10.0/s"]),
    ],
)
def test_each_part_of_a_budget_is_told_when_it_is_broken(outcome: Outcome, told: list[str]) -> None:
    assert _broken(outcome) == told


def test_a_story_about_refusals_must_be_refused_and_is_not_judged_by_its_rate() -> None:
    noisy = msgspec.structs.replace(BUDGET, refused_at_least=0.5)
    assert _broken(Outcome({10: 10}, {}, refused=10, seconds=10), noisy) == []
    assert _broken(Outcome({10: 60}, {}, refused=40, seconds=10), noisy) == ["refused 40% < 50%"]


def test_a_story_that_did_not_run_has_broken_its_budget() -> None:
    [verdict] = budget_verdicts(Budgets(RUN, {"story": BUDGET}), {})
    assert verdict.broken == ["0.0/s < 90% of 10.0/s"]


def test_scaling_multiplies_users_and_tenants_and_nothing_else() -> None:
    scaled = Budgets(RUN, {"story": BUDGET}).scaled(2.5, None)
    assert (scaled.stories["story"].users, scaled.run.tenants) == (25, 2)
    assert scaled.stories["story"].offered == 25
    assert scaled.run.seconds == RUN.seconds


def test_the_committed_budgets_are_for_the_stories_there_are() -> None:
    budgets = read_budgets()
    stories = Path(__file__).parents[2] / "loadtests" / "locustfiles"
    files = {path.stem for path in stories.glob("*.py")} - {"__init__", "story", "wire"}
    assert set(budgets.stories) == files
    quiet = [one for one in budgets.stories.values() if one.refused_at_least is None]
    key_limit = limits_of({})["ERP_KEY_PER_MINUTE"].default
    assert all(one.per_minute < key_limit for one in quiet)


def test_a_misspelt_budget_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "budgets.toml"
    path.write_text("[run]\nseconds = 1\ntenants = 1\nleast_throughput = 1\n[stories.x]\nusers = 1\nper_minut = 1\n")
    with pytest.raises(msgspec.ValidationError):
        read_budgets(path)
