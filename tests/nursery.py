"""Processes that have imported everything before they begin: forked from one that did, instead of started anew.

`python -m X` takes more than a second of a CPU to import what every process of ours imports, and a test may start
four. What comes out of here is the same process in all else: its own pid and group, environment, log and exit code.

    python -m tests.nursery PATH    connects to that socket, reads {"command", "folder", "log", "environment"} lines,
                                    answers each with {"pid"}, and later with {"ended", "code"}
"""

import importlib
import json
import os
import random
import runpy
import select
import signal
import socket
import sys
import threading
import warnings
from typing import Any

from deploy.local.processes import dying_with

#: What the processes of the tests import. A module that configures its process when it is imported is not among them.
PRELOADED = (
    "dramatiq.cli",
    "erp.app",
    "workers.actors",
    "workers.coordinator",
    "workers.process",
    "tests.workers.probes",
)


class Nursery:
    """Forks what it is told to, and tells of every end."""

    def __init__(self, told: socket.socket) -> None:
        self._told = told
        self._lines = told.makefile("rw", encoding="utf-8", newline="\n")
        self._alive: set[int] = set()
        self._wake, self._ring = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.signal(signal.SIGCHLD, lambda number, frame: None)
        signal.set_wakeup_fd(self._ring, warn_on_full_buffer=False)

    def serve(self) -> dict[str, Any] | None:
        """In the child: what it is to run. In the nursery: None, when nobody asks any more."""
        while True:
            readable, _, _ = select.select([self._told.fileno(), self._wake], [], [])
            if self._wake in readable:
                os.read(self._wake, 4096)
                self._collect()
            if self._told.fileno() in readable:
                line = self._lines.readline()
                if not line:
                    return None
                if (asked := self._fork(json.loads(line))) is not None:
                    return asked

    def _fork(self, asked: dict[str, Any]) -> dict[str, Any] | None:
        parent = os.getpid()
        if (pid := os.fork()) == 0:
            self._leave(parent)
            return asked
        os.setpgid(pid, pid)  # as the child does: whoever comes first
        self._alive.add(pid)
        self._tell(pid=pid)
        return None

    def _leave(self, parent: int) -> None:
        os.setpgid(0, 0)
        if (arm := dying_with(parent, signal.SIGTERM)) is not None:
            arm()
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for descriptor in (self._told.detach(), self._wake, self._ring):
            os.close(descriptor)

    def _collect(self) -> None:
        for pid in sorted(self._alive):
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                self._alive.discard(pid)
                self._tell(ended=pid, code=os.waitstatus_to_exitcode(status))

    def _tell(self, **news: int) -> None:
        self._lines.write(json.dumps(news) + "\n")
        self._lines.flush()


def become(asked: dict[str, Any]) -> None:
    """The process that was asked for."""
    log = os.open(asked["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((nothing, 0), (log, 1), (log, 2)):
        os.dup2(source, target)
    os.chdir(asked["folder"])
    os.environ.clear()
    os.environ.update(asked["environment"])
    random.seed()  # else all of them draw the same jitter
    _, flag, module, *arguments = asked["command"]
    assert flag == "-m"
    sys.argv = [module, *arguments]
    warnings.filterwarnings("ignore", category=RuntimeWarning, module="runpy")  # imported already, on purpose
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    for name in PRELOADED:
        importlib.import_module(name)
    assert threading.active_count() == 1, "a fork leaves threads behind"
    asking = socket.socket(socket.AF_UNIX)
    asking.connect(sys.argv[1])
    if (work := Nursery(asking).serve()) is not None:
        become(work)
