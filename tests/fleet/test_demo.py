"""`erp demo` for real: interrupted, continued, repeated; and what it tells the reader to try."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from deploy.local.binaries import which
from erp.exchange.demo.companies import COMPANIES
from tests.fleet.local_fleet import REPOSITORY, free_base

pytestmark = [
    pytest.mark.timeout(420),
    pytest.mark.skipif(not (which("nginx") and which("pgbouncer")), reason="needs nginx and PgBouncer"),
]

Finished = subprocess.CompletedProcess[str]


@dataclass(frozen=True)
class Stage:
    """A state directory and ports of its own; the limits are the usual ones."""

    root: Path
    base: int

    @property
    def environment(self) -> dict[str, str]:
        usual = {name: value for name, value in os.environ.items() if not name.startswith("ERP_")}
        own = {"ERP_STATE_DIR": str(self.state), "ERP_PORT_BASE": str(self.base), "ERP_API_INSTANCES": "2"}
        return {**usual, **own, "COLUMNS": "160"}

    @property
    def state(self) -> Path:
        return self.root / "state"

    def erp(self, *arguments: str) -> Finished:
        command = [sys.executable, "-m", "erp.cli", *arguments]
        return subprocess.run(
            command, env=self.environment, cwd=REPOSITORY, check=False, text=True, capture_output=True, timeout=300
        )

    def demo_until(self, sentence: str) -> Finished:
        """Start the demonstration and press Ctrl-C when it has said this."""
        command = [sys.executable, "-u", "-m", "erp.cli", "demo"]
        told = []
        with subprocess.Popen(
            command, env=self.environment, cwd=REPOSITORY, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        ) as process:
            assert process.stdout is not None
            for line in process.stdout:
                told.append(line)
                if sentence in line:
                    process.send_signal(signal.SIGINT)
        return subprocess.CompletedProcess(command, process.returncode, "".join(told), "")


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    root = Path(tempfile.mkdtemp(prefix="erp-demo-"))
    root.chmod(0o711)
    stage = Stage(root, free_base())
    try:
        yield stage
    finally:
        stage.erp("reset", "--yes")
        shutil.rmtree(root, ignore_errors=True)


@pytest.fixture(scope="module")
def interrupted(stage: Stage) -> Finished:
    return stage.demo_until("times over the counter")


@pytest.fixture(scope="module")
def told(stage: Stage, interrupted: Finished) -> Finished:
    """The run that came to the end of the story."""
    finished = stage.erp("demo")
    assert finished.returncode == 0, finished.stdout + finished.stderr
    return finished


@pytest.fixture(scope="module")
def again(stage: Stage, told: Finished) -> Finished:
    """The run after that, which has nothing left to do."""
    started = time.monotonic()
    finished = stage.erp("demo")
    assert time.monotonic() - started < 30
    assert finished.returncode == 0, finished.stdout + finished.stderr
    return finished


@pytest.fixture(scope="module")
def rekeyed(stage: Stage, again: Finished) -> Finished:
    """One more, after the file with the keys was lost."""
    (stage.state / "tenant-keys.json").unlink()
    finished = stage.erp("demo")
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


def test_the_fleet_stays_up(stage: Stage, told: Finished) -> None:
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


def test_the_story_keeps_within_the_limits(stage: Stage, told: Finished) -> None:
    served = [json.loads(line)["status"] for line in (stage.state / "logs" / "access.log").read_text().splitlines()]
    assert len(served) > 100
    assert served.count(429) < len(served) / 50
    assert not [status for status in served if status >= 500]
