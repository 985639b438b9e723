"""Starting programs from the nursery (see `tests.nursery`), as `deploy.local.processes.start` starts them."""

import contextlib
import json
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import cast

from deploy.local.processes import Program, Running, inherited_environment, start

ROOT = Path(__file__).parents[1]


class Forked:
    """What tests and `Running` use of a `Popen`."""

    def __init__(self, pid: int, args: tuple[str, ...]) -> None:
        self.pid = pid
        self.args = args
        self.returncode: int | None = None
        self._ended = threading.Event()

    def poll(self) -> int | None:
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        if not self._ended.wait(timeout):
            raise subprocess.TimeoutExpired(self.args, timeout or 0.0)
        assert self.returncode is not None
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.returncode is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def end(self, code: int) -> None:
        """It has ended with that code, as its parent says."""
        self.returncode = code
        self._ended.set()


class Nursery:
    """The running nursery; `start` is the one of `deploy.local.processes` for commands of the form `python -m X`."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._asking = threading.Lock()
        self._born: queue.Queue[Forked] = queue.Queue()
        self._alive: dict[int, Forked] = {}
        self._args: tuple[str, ...] = ()
        threading.Thread(target=self._listen, name="nursery", daemon=True).start()

    def start(self, program: Program) -> Running:
        asked = {
            "command": program.command,
            "folder": str(program.folder),
            "log": str(program.log),
            "environment": {**inherited_environment(None), **program.environment},
        }
        program.log.parent.mkdir(parents=True, exist_ok=True)
        with self._asking:
            self._args = program.command
            self._connection.sendall(json.dumps(asked).encode() + b"\n")
            process = self._born.get(timeout=30)
        return Running(program, cast("subprocess.Popen[bytes]", process))

    def _listen(self) -> None:
        for line in self._connection.makefile("r", encoding="utf-8"):
            news = json.loads(line)
            if "pid" in news:
                self._alive[news["pid"]] = Forked(news["pid"], self._args)
                self._born.put(self._alive[news["pid"]])
            else:
                self._alive.pop(news["ended"]).end(news["code"])


@contextlib.contextmanager
def nursery(folder: Path) -> Iterator[Nursery]:
    """Runs until the block ends, and ends with it whatever it started that still runs."""
    path = folder / "socket"
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen(1)
        listening.settimeout(60)
        command = (sys.executable, "-m", "tests.nursery", str(path))
        running = start(Program("nursery", command, folder / "nursery.log", ROOT))
        try:
            connection, _ = listening.accept()
            connection.settimeout(None)
            with connection:
                yield Nursery(connection)
                connection.shutdown(socket.SHUT_RDWR)
        finally:
            running.stop()
