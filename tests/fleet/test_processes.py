"""Child processes end with their parent, whole, and run as who they should."""

import math
import os
import pwd
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from deploy.local.accounts import service_account
from deploy.local.children import Child
from deploy.local.commands import fleet
from deploy.local.descendants import birth, end_process
from deploy.local.errors import StartFailed
from deploy.local.plan import Member
from deploy.local.processes import Program, Running, await_ready, start

SLEEPER = "import time; time.sleep(600)"
# Starts a sleeping child, tells its pid, and waits.
FORKER = (
    "import subprocess, sys, time; "
    f"print(subprocess.Popen([sys.executable, '-c', {SLEEPER!r}]).pid, flush=True); time.sleep(600)"
)
# Starts a program as we do, tells its pid, and waits to be killed.
PARENT = """
import sys, time
from pathlib import Path
from deploy.local.processes import Program, start
program = Program("child", (sys.executable, "-c", "import time; time.sleep(600)"), Path(sys.argv[1]), Path("/tmp"))
print(start(program).pid, flush=True)
time.sleep(600)
"""


def program(folder: Path, code: str, name: str = "sample") -> Program:
    return Program(name, (sys.executable, "-c", code), folder / f"{name}.log", folder, stop_seconds=5.0)


def gone(pid: int, born: int | None) -> bool:
    """Wait up to ten seconds for that process to end."""
    deadline = time.monotonic() + 10
    while birth(pid) == born and born is not None:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def first_line(running: Running) -> int:
    await_ready(running, lambda: b"\n" in running.program.log.read_bytes(), 10)
    return int(running.program.log.read_text().splitlines()[0])


def test_child_ends_when_its_parent_is_killed(tmp_path: Path) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(tmp_path / "log")],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    born = birth(child)
    assert born is not None
    parent.kill()
    parent.wait()
    assert gone(child, born)


def test_stop_leaves_no_grandchild(tmp_path: Path) -> None:
    running = start(program(tmp_path, FORKER))
    grandchild = first_line(running)
    born = birth(grandchild)
    running.stop()
    assert not running.alive
    assert gone(grandchild, born)


def test_process_that_ignores_the_polite_signal_is_killed_in_time(tmp_path: Path) -> None:
    stubborn = "import signal, time; signal.signal(15, signal.SIG_IGN); print(1, flush=True); time.sleep(600)"
    running = start(program(tmp_path, stubborn))
    first_line(running)
    running.ask_to_stop()
    running.finish(0.2)
    assert running.process.returncode == -signal.SIGKILL


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has privileges to drop")
def test_root_hands_servers_to_another_account(tmp_path: Path) -> None:
    account = service_account()
    assert account is not None
    plain = Program("who", ("/usr/bin/env", "id"), tmp_path / "log", Path("/"), account=account)
    running = start(plain)
    running.process.wait()
    shown = (tmp_path / "log").read_text()
    assert f"uid={account.uid}({pwd.getpwuid(account.uid).pw_name})" in shown
    assert "groups=0" not in shown


def test_caller_cannot_steer_a_server_by_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGPORT", "1")
    monkeypatch.setenv("ERP_DATABASE_URL", "postgresql://elsewhere")
    running = start(program(tmp_path, "import os; print([k for k in os.environ if k[:2] == 'PG' or k[:3] == 'ERP'])"))
    running.process.wait()
    assert running.program.log.read_text() == "[]\n"


def test_failed_start_quotes_the_log(tmp_path: Path) -> None:
    running = start(program(tmp_path, "raise SystemExit('no license to run')"))
    with pytest.raises(StartFailed, match="no license to run"):
        await_ready(running, lambda: False, 10)


def test_crashed_child_is_started_again_after_a_growing_pause(tmp_path: Path) -> None:
    child = Child(Member(program(tmp_path, SLEEPER), lambda: True))
    child.start()
    pauses = []
    for crash in range(1, 5):
        assert child.running is not None
        child.running.kill()
        noticed = time.monotonic()
        child.tend(noticed)
        assert child.status().state == "waiting"
        assert child.last_exit == -signal.SIGKILL
        pauses.append(next(wait for wait in range(1, 600) if restarts_after(child, noticed + wait / 10, crash)))
    assert pauses == sorted(pauses)
    assert pauses[0] <= 6 < pauses[-1]
    assert child.running is not None
    child.running.stop()


def restarts_after(child: Child, moment: float, restarts: int) -> bool:
    child.tend(moment)
    return child.restarts == restarts


def test_pid_used_again_by_another_process_is_left_alone(tmp_path: Path) -> None:
    running = start(program(tmp_path, SLEEPER))
    born = birth(running.pid)
    assert born is not None
    assert end_process(running.pid, born - 1, patience=0.0) is False
    assert running.alive
    assert end_process(running.pid, born, patience=0.0) is True
    running.process.wait()


# Adopts what its child leaves behind and collects both; prints how many it adopted, its child's exit code, and
# whether all of it was told in time: what is not told costs a minute.
ADOPTING = """
import os, sys, threading, time
from pathlib import Path
from deploy.local.bell import Bell
from deploy.local.descendants import children_of, reap_orphans
from deploy.local.processes import Program, become_subreaper, start
sleeper = "[sys.executable, '-c', 'import time; time.sleep(0.3)']"
leaver = f"import subprocess, sys; subprocess.Popen({sleeper}); sys.exit(7)"
become_subreaper()
bell, begun, adopted = Bell(), time.monotonic(), set()
bell.listen()
child = start(Program("leaver", (sys.executable, "-c", leaver), Path(sys.argv[1]), Path("/tmp")))
while not adopted or children_of(os.getpid()):
    bell.wait(60)
    reap_orphans({child.pid})
    adopted |= set(children_of(os.getpid())) - {child.pid}
    if adopted:
        child.process.poll()
threading.Timer(0.1, bell.ring).start()
bell.wait(60)
print(len(adopted), child.process.returncode, time.monotonic() - begun < 30)
"""


def test_adopted_orphans_are_collected_and_an_own_child_keeps_its_exit_code(tmp_path: Path) -> None:
    """And what waits for the end of children sleeps until there is one."""
    parent = subprocess.run(
        [sys.executable, "-c", ADOPTING, str(tmp_path / "log")],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
        timeout=90,
        check=True,
    )
    assert parent.stdout == "1 7 True\n"


def test_running_child_asks_for_no_attention(tmp_path: Path) -> None:
    child = Child(Member(program(tmp_path, SLEEPER), lambda: True))
    child.start()
    assert child.rest(time.monotonic()) == math.inf
    assert child.running is not None
    child.running.kill()
    crashed = time.monotonic()
    child.tend(crashed)
    assert 0 < child.rest(crashed) < 1


def test_as_many_lines_of_a_log_are_shown_as_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written = [f"{number} {'x' * 300}" for number in range(600)]
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "api-1.log").write_text("\n".join(written) + "\n")
    monkeypatch.setenv("ERP_STATE_DIR", str(tmp_path))
    shown = CliRunner().invoke(fleet, ["logs", "api-1", "-n", "500"])
    assert shown.output.splitlines() == written[-500:]
    for count in ("0", "-3"):
        assert CliRunner().invoke(fleet, ["logs", "api-1", "-n", count]).exit_code == 2
