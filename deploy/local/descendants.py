"""Looking at processes through /proc: who is ours, who is left over, who was orphaned."""

import contextlib
import os
import signal
import time
from collections.abc import Collection
from pathlib import Path

PROC = Path("/proc")


def birth(pid: int) -> int | None:
    """Clock tick at which the process started; with the pid it names one process for ever. None: gone."""
    fields = _fields(pid)
    return None if fields is None or fields[0] == "Z" else int(fields[19])


def children_of(pid: int) -> list[int]:
    """Direct children, zombies included."""
    found = []
    for folder in PROC.glob("[0-9]*"):
        fields = _fields(int(folder.name))
        if fields is not None and int(fields[1]) == pid:
            found.append(int(folder.name))
    return found


def reap_orphans(known: Collection[int]) -> None:
    """Collect adopted descendants that ended; our own children are left to their `Popen`.

    Stops at a child of our own that has just ended: whoever waits for it lets us see what is behind it.
    """
    while (ended := _ended_child()) is not None and ended not in known:
        with contextlib.suppress(ChildProcessError):
            os.waitpid(ended, os.WNOHANG)


def _ended_child() -> int | None:
    """A child that ended and is still to be collected. One system call, however many processes there are."""
    try:
        found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:  # none at all
        return None
    return None if found is None else found.si_pid


def end_all_children(seconds: float = 10.0) -> None:
    """Kill whatever still descends from us. Each round may orphan the next generation to us."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        remaining = children_of(os.getpid())
        if not remaining:
            return
        for pid in remaining:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        reap_orphans(())
        time.sleep(0.02)


def end_process(pid: int, born: int, patience: float) -> bool:
    """Wait until that very process is gone, then kill its group. True when it had to be killed."""
    deadline = time.monotonic() + patience
    while birth(pid) == born:
        if time.monotonic() > deadline:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)
            return True
        time.sleep(0.05)
    return False


def _fields(pid: int) -> list[str] | None:
    """/proc/PID/stat after the command's name: state, parent, ..., start time at index 19."""
    try:
        text = (PROC / str(pid) / "stat").read_text()
    except OSError:
        return None
    return text.rpartition(")")[2].split()
