"""`erp up` with everything real: what it starts, what it mends, and that nothing stays behind."""

import os
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import replace

import pytest

from deploy.local.binaries import which
from deploy.local.descendants import children_of
from tests.fleet.local_fleet import REPOSITORY, LocalFleet, eventually

pytestmark = [
    pytest.mark.timeout(300),
    pytest.mark.skipif(not (which("nginx") and which("pgbouncer")), reason="needs nginx and PgBouncer"),
]


def test_everything_is_started_and_ready(fleet: LocalFleet) -> None:
    assert fleet.shown() == dict.fromkeys(
        [
            *("redis-core", "redis-cache", "primary", "replica1", "replica2", "pgbouncer"),
            *("api-1", "api-2", "worker-high", "worker-default", "worker-low"),
            *("coordinator-1", "coordinator-2", "payments", "nginx"),
        ],
        "ready",
    )


@pytest.mark.skipif(sys.platform != "linux", reason="a scheduling policy of Linux")
def test_no_process_interrupts_another_on_waking_up(fleet: LocalFleet) -> None:
    leaders = fleet.pids()
    policies = {name: os.sched_getscheduler(pid) for name, pid in leaders.items()}
    for backend in children_of(leaders["primary"]):
        with suppress(ProcessLookupError):  # one that ended meanwhile
            policies[f"backend {backend}"] = os.sched_getscheduler(backend)
    assert len(policies) > len(leaders)
    assert set(policies.values()) == {os.SCHED_BATCH}, policies


@pytest.mark.skipif(sys.platform != "linux", reason="only there it is set")
def test_jobs_stand_back_for_requests(fleet: LocalFleet) -> None:
    own = os.getpriority(os.PRIO_PROCESS, 0)
    back = {name: os.getpriority(os.PRIO_PROCESS, pid) - own for name, pid in fleet.pids().items()}
    jobs = {name for name in back if name.startswith(("worker", "coordinator"))}
    assert len(jobs) == 5
    assert {name for name in back if back[name] > 0} == jobs, back


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
    other = replace(fleet, root=fleet.root / "other")
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
    before = {child.name: child for child in fleet.status().children}
    for name in names:
        os.kill(before[name].pid, signal.SIGKILL)

    def all_back() -> bool:
        now = fleet.pids()
        return all(now[name] not in (0, before[name].pid) for name in names) and fleet.all_ready()

    assert eventually(all_back), fleet.erp("status", check=False).stdout
    again = {child.name for child in fleet.status().children if child.restarts > before[child.name].restarts}
    assert again == set(names)


def test_instance_that_is_down_is_not_noticed_by_clients(fleet: LocalFleet) -> None:
    assert eventually(fleet.balanced)
    victim = fleet.pids()["api-2"]
    os.kill(victim, signal.SIGKILL)
    with fleet.client() as client:
        answers = {client.get("/health/ready").status_code for _ in range(30)}
    assert answers == {200}
    assert eventually(lambda: fleet.pids()["api-2"] not in (0, victim))


def test_a_drained_instance_gets_no_new_requests_until_it_is_put_back(fleet: LocalFleet) -> None:
    assert eventually(fleet.balanced)
    fleet.erp("instances", "drain", "api-2", "--reason", "A new release")
    # The supervisor asks every five seconds who is ready; from then on nothing new reaches the drained one.
    assert eventually(lambda: fleet.child("api-2").state == "unready", 15)
    assert eventually(lambda: fleet.serving() == {"api-1"}, 5)
    assert {name for _ in range(3) for name in fleet.serving()} == {"api-1"}
    with fleet.client() as client:
        assert {client.get("/health/ready").status_code for _ in range(10)} == {200}
    fleet.erp("instances", "undrain", "api-2", "--reason", "It is there")
    assert eventually(fleet.balanced, 15)


def test_killed_supervisor_takes_everything_along(fleet: LocalFleet) -> None:
    os.kill(fleet.status().pid, signal.SIGKILL)
    assert eventually(lambda: not fleet.marked(), 30), fleet.marked()
    assert fleet.erp("status", check=False).returncode == 3


def test_up_starts_anew_and_an_interrupt_in_the_foreground_leaves_no_process(state: LocalFleet) -> None:
    """After the supervisor was killed; Ctrl-C reaches the whole group, as a terminal sends it."""
    command = [sys.executable, "-m", "erp.cli", "up", "--foreground"]
    attached = subprocess.Popen(
        command, env=state.environment, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    assert attached.stdout is not None
    said: list[str] = []
    for line in attached.stdout:
        said.append(line)
        if line.startswith("running"):
            break
    os.killpg(attached.pid, signal.SIGINT)
    said += attached.stdout.readlines()
    assert attached.wait(60) == 0, "".join(said)
    assert state.marked() == []


def test_reset_deletes_the_state(state: LocalFleet) -> None:
    state.erp("reset", "--yes")
    assert state.marked() == []
    assert not (state.root / "state").exists()
