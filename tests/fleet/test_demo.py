"""`erp demo` for real: interrupted, continued, repeated; and what it tells the reader to try."""

import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from deploy.local.binaries import which
from deploy.local.ports import is_free
from erp.exchange.demo.companies import COMPANIES
from tests.fleet.local_fleet import REPOSITORY, LocalFleet, local_fleet

pytestmark = [
    pytest.mark.timeout(420),
    pytest.mark.skipif(not (which("nginx") and which("pgbouncer")), reason="needs nginx and PgBouncer"),
]

Finished = subprocess.CompletedProcess[str]


#: The limits are the usual ones.
SETTINGS = {"ERP_API_INSTANCES": "2", "COLUMNS": "160"}


def _heed_interrupts() -> None:
    """A shell's background jobs are started deaf to Ctrl-C, and so is what they start."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def demo_until(fleet: LocalFleet, sentence: str) -> Finished:
    """Start the demonstration and press Ctrl-C when it has said this."""
    command = [sys.executable, "-u", "-m", "erp.cli", "demo"]
    told = []
    with subprocess.Popen(
        command, env=fleet.environment, cwd=REPOSITORY, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        preexec_fn=_heed_interrupts,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        for line in process.stdout:
            told.append(line)
            if sentence in line:
                process.send_signal(signal.SIGINT)
    return subprocess.CompletedProcess(command, process.returncode, "".join(told), "")


@pytest.fixture(scope="module")
def stage() -> Iterator[LocalFleet]:
    with local_fleet(SETTINGS) as fleet:
        yield fleet


@pytest.fixture(scope="module")
def interrupted(stage: LocalFleet) -> Finished:
    return demo_until(stage, "times over the counter")


@pytest.fixture(scope="module")
def told(stage: LocalFleet, interrupted: Finished) -> Finished:
    """The run that came to the end of the story."""
    finished = stage.erp("demo", check=False)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    return finished


@pytest.fixture(scope="module")
def again(stage: LocalFleet, told: Finished) -> Finished:
    """The run after that, which has nothing left to do."""
    started = time.monotonic()
    finished = stage.erp("demo", check=False)
    assert time.monotonic() - started < 30
    assert finished.returncode == 0, finished.stdout + finished.stderr
    return finished


@pytest.fixture(scope="module")
def rekeyed(stage: LocalFleet, again: Finished) -> Finished:
    """One more, after the file with the keys was lost."""
    (stage.layout.root / "tenant-keys.json").unlink()
    finished = stage.erp("demo", check=False)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    return finished


def books(finished: Finished) -> str:
    """The part of the report that is about money and goods."""
    begin, end = finished.stdout.index("What was traded"), finished.stdout.index("What the workers did")
    return finished.stdout[begin:end]


def test_an_interrupted_story_goes_on_where_it_stopped(interrupted: Finished, told: Finished) -> None:
    assert interrupted.returncode == 130, interrupted.stdout
    assert told.stdout.count("its story was interrupted") == len(COMPANIES)
    assert "409 insufficient-stock" in told.stdout
    assert "sent twice, booked once" in told.stdout


def test_the_report_shows_balanced_books_of_both_tenants(told: Finished) -> None:
    for company in COMPANIES:
        assert f"Stock of {company.name}" in told.stdout
        assert f"Trial balance of {company.name}" in told.stdout
    assert told.stdout.count("total ✓") == len(COMPANIES)
    assert told.stdout.count("inventory account ✓") == len(COMPANIES)


def test_every_invariant_is_proven(told: Finished) -> None:
    proven = told.stdout[told.stdout.index("Proof:") : told.stdout.index("Where it is")]
    assert len(re.findall(r"^✓  ✓  ", proven, re.MULTILINE)) > 30
    assert "✗" not in told.stdout


def test_the_workers_did_their_part(told: Finished) -> None:
    for company in COMPANIES:
        assert f"notice about {company.low.name}: Only 15 left" in told.stdout
    assert len(re.findall(r"basket expired at .* freed at", told.stdout)) == len(COMPANIES)
    assert "failed" not in told.stdout[told.stdout.index("What the workers did") : told.stdout.index("Asked of")]


def test_a_second_run_books_nothing_again_and_is_fast(again: Finished, told: Finished) -> None:
    assert again.stdout.count("nothing is booked again") == len(COMPANIES)
    assert books(again) == books(told)
    assert "Idempotency-Replayed: true" in again.stdout


def test_the_fleet_stays_up(stage: LocalFleet, told: Finished) -> None:
    assert json.loads(stage.erp("status", "--json").stdout)["phase"] == "running"


def test_a_lost_key_is_replaced_by_the_operator(rekeyed: Finished, told: Finished) -> None:
    assert books(rekeyed) == books(told)
    assert "409 duplicate" in rekeyed.stdout


def test_what_it_tells_to_try_works(rekeyed: Finished) -> None:
    """Twice: the order is placed once."""
    shown = rekeyed.stdout.splitlines()
    script = "\n".join(line for line in shown if line.startswith(("export ", "curl ")))
    assert script.count("curl ") >= 3
    first, second = (_run(script), _run(script))
    assert [answer for answer in first if "code" in answer] == []
    ordered = [answer["id"] for answer in (*first, *second) if answer.get("state") == "confirmed"]
    assert len(ordered) == 2
    assert len(set(ordered)) == 1


def _run(script: str) -> list[dict[str, object]]:
    finished = subprocess.run(["bash", "-euc", script], check=True, text=True, capture_output=True, timeout=60)
    return [json.loads(line) for line in finished.stdout.splitlines() if line]


def test_the_story_keeps_within_the_limits(stage: LocalFleet, told: Finished) -> None:
    served = [
        json.loads(line)["status"] for line in (stage.layout.root / "logs" / "access.log").read_text().splitlines()
    ]
    assert len(served) > 100
    assert served.count(429) < len(served) / 50
    assert not [status for status in served if status >= 500]


def test_down_leaves_no_process_and_keeps_the_data(stage: LocalFleet, told: Finished) -> None:
    assert len(stage.marked()) > 10
    assert "is down" in stage.erp("down").stdout
    assert stage.marked() == []
    assert all(is_free(port) for port in stage.options.ports.values())
    assert (stage.layout.root / "postgres" / "primary" / "PG_VERSION").exists()
    assert stage.erp("status", check=False).returncode == 3
