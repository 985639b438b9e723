"""`erp up` with everything real: what it starts, what it mends, and that nothing stays behind."""

import json
import os
import secrets
import shutil
import signal
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from deploy.local.binaries import which
from deploy.local.layout import Layout
from deploy.local.options import Options, read_options
from deploy.local.ports import free_port, is_free
from deploy.local.status import FleetStatus, read_status

REPOSITORY = Path(__file__).parents[2]
MARK = "FLEET_TEST_MARK"  # not ERP_*: servers are started without the caller's ERP_* variables

pytestmark = [
    pytest.mark.timeout(300),
    pytest.mark.skipif(not (which("nginx") and which("pgbouncer")), reason="needs nginx and PgBouncer"),
]


@dataclass(frozen=True)
class LocalFleet:
    """One state directory and a range of ports; every process of it carries the mark in its environment."""

    root: Path
    base: int
    mark: str

    @property
    def environment(self) -> dict[str, str]:
        return {
            **{name: value for name, value in os.environ.items() if not name.startswith("ERP_")},
            "ERP_STATE_DIR": str(self.root / "state"),
            "ERP_PORT_BASE": str(self.base),
            "ERP_NGINX_RATE": "10000",
            "ERP_NGINX_BURST": "10000",
            MARK: self.mark,
        }

    @property
    def options(self) -> Options:
        return read_options(self.environment)

    def erp(self, *arguments: str, check: bool = True) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-m", "erp.cli", *arguments]
        return subprocess.run(
            command, env=self.environment, cwd=REPOSITORY, check=check, text=True, capture_output=True, timeout=240
        )

    def status(self) -> FleetStatus:
        found = read_status(Layout(self.root / "state"))
        assert found is not None
        return found

    def pids(self) -> dict[str, int]:
        return {child.name: child.pid for child in self.status().children}

    def marked(self) -> list[str]:
        """Command lines of all living processes that descend from this fleet."""
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                if self.mark.encode() in (folder / "environ").read_bytes():
                    found.append((folder / "cmdline").read_bytes().replace(b"\0", b" ").decode())
            except OSError:
                continue
        return found

    def client(self) -> httpx.Client:
        trust = ssl.create_default_context(cafile=str(self.root / "state" / "local-ca.pem"))
        url = f"https://localhost:{self.options.ports['https']}"
        return httpx.Client(base_url=url, verify=trust, trust_env=False, timeout=10)


def eventually(fact: Callable[[], bool], seconds: float = 60.0) -> bool:
    """Poll until the fact holds; False when it did not in time."""
    deadline = time.monotonic() + seconds
    while not fact():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


def free_base() -> int:
    """A base whose every port is free."""
    while True:
        base = free_port() // 1000 * 1000
        if all(is_free(port) for port in read_options({"ERP_PORT_BASE": str(base)}).ports.values()):
            return base


@pytest.fixture(scope="module")
def state() -> Iterator[LocalFleet]:
    root = Path(tempfile.mkdtemp(prefix="erp-fleet-"))
    root.chmod(0o711)
    fleet = LocalFleet(root, free_base(), secrets.token_hex(16))
    try:
        yield fleet
    finally:
        fleet.erp("reset", "--yes", check=False)
        shutil.rmtree(root, ignore_errors=True)


@pytest.fixture
def fleet(state: LocalFleet) -> LocalFleet:
    """The fleet, up: started by the first test and again after a test that stopped it."""
    started = state.erp("up", check=False)
    assert started.returncode == 0, started.stdout + started.stderr
    return state


def test_everything_is_started_and_ready(fleet: LocalFleet) -> None:
    status = json.loads(fleet.erp("status", "--json").stdout)
    assert status["phase"] == "running"
    assert {one["name"]: one["state"] for one in status["processes"]} == dict.fromkeys(
        [
            *("redis-core", "redis-cache", "primary", "replica1", "replica2", "pgbouncer"),
            *("api-1", "api-2", "api-3", "worker-high", "worker-default", "worker-low"),
            *("coordinator-1", "coordinator-2", "nginx"),
        ],
        "ready",
    )


def test_second_up_changes_nothing(fleet: LocalFleet) -> None:
    before = fleet.pids()
    again = fleet.erp("up")
    assert "up already" in again.stdout
    assert fleet.pids() == before


def test_requests_go_through_tls_to_a_ready_instance_and_metrics_do_not(fleet: LocalFleet) -> None:
    with fleet.client() as client:
        assert client.get("/health/ready").status_code == 200
        assert client.get("/metrics").status_code == 404


def test_ports_in_use_are_explained(fleet: LocalFleet) -> None:
    other = LocalFleet(fleet.root / "other", fleet.base, fleet.mark)
    (fleet.root / "other").mkdir(mode=0o711)
    refused = other.erp("up", check=False)
    assert refused.returncode == 1
    assert "wanted for https" in refused.stdout
    assert "ERP_PORT_BASE" in refused.stdout


def test_logs_of_a_process_are_shown(fleet: LocalFleet) -> None:
    assert "ready to accept connections" in fleet.erp("logs", "primary", "-n", "500").stdout
    unknown = fleet.erp("logs", "nobody", check=False)
    assert unknown.returncode == 1
    assert "primary" in unknown.stdout


def test_killed_processes_come_back(fleet: LocalFleet) -> None:
    names = ("api-1", "worker-low", "coordinator-1", "replica1", "pgbouncer", "redis-core", "primary")
    before = fleet.pids()
    for name in names:
        os.kill(before[name], signal.SIGKILL)

    def all_back() -> bool:
        now = {child.name: child for child in fleet.status().children}
        new = all(now[name].pid not in (0, before[name]) for name in names)
        return new and all(child.state == "ready" for child in now.values())

    assert eventually(all_back), fleet.erp("status", check=False).stdout
    assert {child.name: child.restarts > 0 for child in fleet.status().children} == {
        name: name in names for name in before
    }


def test_instance_that_is_down_is_not_noticed_by_clients(fleet: LocalFleet) -> None:
    victim = fleet.pids()["api-2"]
    os.kill(victim, signal.SIGKILL)
    with fleet.client() as client:
        answers = {client.get("/health/ready").status_code for _ in range(30)}
    assert answers == {200}
    assert eventually(lambda: fleet.pids()["api-2"] not in (0, victim))


def test_killed_supervisor_takes_everything_along_and_up_starts_anew(fleet: LocalFleet) -> None:
    os.kill(fleet.status().pid, signal.SIGKILL)
    assert eventually(lambda: not fleet.marked(), 30), fleet.marked()
    assert fleet.erp("status", check=False).returncode == 3
    fleet.erp("up")
    assert fleet.status().phase == "running"


def test_down_leaves_no_process_and_keeps_the_data(fleet: LocalFleet) -> None:
    assert "is down" in fleet.erp("down").stdout
    assert fleet.marked() == []
    assert all(is_free(port) for port in fleet.options.ports.values())
    assert (fleet.root / "state" / "postgres" / "primary" / "PG_VERSION").exists()


def test_interrupt_in_the_foreground_leaves_no_process(state: LocalFleet) -> None:
    state.erp("down")
    command = [sys.executable, "-m", "erp.cli", "up", "--foreground"]
    attached = subprocess.Popen(
        command, env=state.environment, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    assert attached.stdout is not None
    assert any(line.startswith("running") for line in attached.stdout)
    os.killpg(attached.pid, signal.SIGINT)  # as a terminal does: to the whole group
    assert attached.wait(60) == 0
    assert state.marked() == []


def test_reset_deletes_the_state(state: LocalFleet) -> None:
    state.erp("reset", "--yes")
    assert state.marked() == []
    assert not (state.root / "state").exists()
