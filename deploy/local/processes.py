"""Child processes that cannot outlive us: own process group, dropped privileges, death signal, tidy stop."""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from deploy.local.accounts import Account
from deploy.local.errors import StartFailed

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


@dataclass(frozen=True, slots=True)
class Program:
    """How to start, and how to stop, one long-running process."""

    name: str
    command: tuple[str, ...]
    log: Path
    folder: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    account: Account | None = None
    stop_signal: signal.Signals = signal.SIGTERM
    stop_seconds: float = 10.0
    death_signal: signal.Signals = signal.SIGTERM
    #: How far it stands back for others when processors are short (`nice`): 0 to 19.
    niceness: int = 0


class Running:
    """A started program: its process group is ours to signal."""

    def __init__(self, program: Program, process: "subprocess.Popen[bytes]") -> None:
        self.program = program
        self.process = process
        self.started = time.time()

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    def ask_to_stop(self) -> None:
        """Send the program's own polite signal to its leader; the leader tells its children."""
        if self.alive:
            with contextlib.suppress(ProcessLookupError):
                self.process.send_signal(self.program.stop_signal)

    def finish(self, seconds: float | None = None) -> None:
        """Wait for the end after `ask_to_stop`, then remove whatever is left of the group."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(self.program.stop_seconds if seconds is None else seconds)
        self.sweep()

    def stop(self) -> None:
        self.ask_to_stop()
        self.finish()

    def kill(self) -> None:
        """kill -9 of the leader alone, as a crash would be."""
        self.process.kill()
        self.process.wait()

    def sweep(self) -> None:
        """Kill what remains of the process group (a crashed leader leaves its forks) and reap the leader."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        self.process.wait()


def start(program: Program) -> Running:
    """Start in a process group of its own, as its account, ending when the calling thread's process ends.

    Call from the main thread: Linux ties the death signal to the thread that forked.
    """
    with open_log(program.log) as log:
        process = subprocess.Popen(
            program.command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=program.folder,
            env={**inherited_environment(program.account), **program.environment},
            process_group=0,
            preexec_fn=_born_as(program),  # noqa: PLW1509 - three system calls
            user=_uid(program.account),
            group=_gid(program.account),
            extra_groups=None if program.account is None else (),
        )
    return Running(program, process)


def run(
    command: tuple[str, ...],
    *,
    folder: Path,
    account: Account | None = None,
    environment: Mapping[str, str] | None = None,
) -> "subprocess.Popen[bytes]":
    """Start a short command whose output the caller collects with `complete`."""
    return subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        cwd=folder,
        env={**inherited_environment(account), **(environment or {})},
        preexec_fn=dying_with(os.getpid(), signal.SIGTERM),  # noqa: PLW1509 - two system calls
        user=_uid(account),
        group=_gid(account),
        extra_groups=None if account is None else (),
    )


def complete(process: "subprocess.Popen[bytes]") -> str:
    """Wait for a command of `run`; raises StartFailed with its output when it failed."""
    output = process.communicate()[0].decode(errors="replace")
    if process.returncode != 0:
        raise StartFailed(f"{process.args!r} ended with {process.returncode}:\n{output}")
    return output


def become_subreaper() -> None:
    """Adopt orphaned descendants, so that a shutdown can find and end every one of them."""
    if _libc is not None:
        _libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def run_in_batches() -> None:
    """Have us, and whom we start from now on, not interrupt each other on waking up: `SCHED_BATCH`.

    A request passes through nine processes of one machine; each that wakes another would lose its processor to it.
    """
    if sys.platform == "linux":
        with contextlib.suppress(OSError):  # a sandbox may forbid it; everything works without
            os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))


def open_log(path: Path) -> IO[bytes]:
    """Append mode: the file may be cut to nothing while a process writes to it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return path.open("ab")


def tail(path: Path, lines: int = 20) -> str:
    """The last `lines` lines of a log, whole, however long they are."""
    try:
        with path.open("rb") as log:
            text = b"".join(deque(log, maxlen=lines)).decode(errors="replace")
    except FileNotFoundError:
        return "(no log)"
    return "\n".join(text.splitlines()[-lines:])


def await_ready(running: Running, ready: Callable[[], bool], seconds: float, every: float = 0.02) -> None:
    """Poll `ready` until it holds. Raises StartFailed when the process ends or the time is over."""
    deadline = time.monotonic() + seconds
    while not ready():
        name, log = running.program.name, running.program.log
        if not running.alive:
            raise StartFailed(f"{name} ended with {running.process.returncode} at start:\n{tail(log)}")
        if time.monotonic() > deadline:
            raise StartFailed(f"{name} was not ready within {seconds:.0f} s:\n{tail(log)}")
        time.sleep(every)


def inherited_environment(account: Account | None) -> dict[str, str]:
    """Our environment without what would let a caller's PG* or ERP_* variables steer a server."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PG", "ERP_"))}
    if account is not None:
        kept |= {"HOME": "/nonexistent", "USER": account.name, "LOGNAME": account.name}
    return kept


def _uid(account: Account | None) -> int | None:
    return None if account is None else account.uid


def _gid(account: Account | None) -> int | None:
    return None if account is None else account.gid


def _born_as(program: Program) -> Callable[[], None]:
    """What the child calls between fork and exec."""
    arm = dying_with(os.getpid(), program.death_signal)

    def born() -> None:
        os.nice(program.niceness)
        if arm is not None:
            arm()

    return born


def dying_with(parent: int, death: signal.Signals) -> Callable[[], None] | None:
    """What a child calls after the fork to get this signal when its parent is gone; None where there is no such."""
    if _libc is None:
        return None
    libc = _libc

    def arm() -> None:
        libc.prctl(PR_SET_PDEATHSIG, int(death), 0, 0, 0)
        if os.getppid() != parent:  # the parent died between fork and prctl
            os._exit(1)

    return arm
