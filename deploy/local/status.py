"""What the supervisor says about itself: one small file, replaced whole, read by the other commands."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from deploy.local.credentials import write_private
from deploy.local.errors import AlreadyRunning
from deploy.local.layout import Layout

LOCK_PATIENCE = 1.0  # a command that only looks holds the lock for an instant


class ChildStatus(msgspec.Struct, frozen=True):
    """One supervised process. `state`: starting, ready, unready, waiting (to be restarted), stopped."""

    name: str
    pid: int
    born: int
    port: int
    state: str
    restarts: int
    started: float
    last_exit: int | None


class Step(msgspec.Struct, frozen=True):
    """Something done while starting or stopping, and the seconds it took (None: in progress)."""

    text: str
    seconds: float | None


class FleetStatus(msgspec.Struct, frozen=True):
    """`phase`: starting, running, stopping, stopped, failed."""

    phase: str
    pid: int
    url: str
    started: float
    message: str = ""
    notes: tuple[str, ...] = ()
    steps: tuple[Step, ...] = ()
    children: tuple[ChildStatus, ...] = ()


def write_status(layout: Layout, status: FleetStatus) -> None:
    write_private(layout.status, msgspec.json.encode(status).decode())


def read_status(layout: Layout) -> FleetStatus | None:
    """The last status written, by a supervisor that may be gone meanwhile (see `is_supervised`)."""
    try:
        return msgspec.json.decode(layout.status.read_bytes(), type=FleetStatus)
    except FileNotFoundError:
        return None


def is_supervised(layout: Layout) -> bool:
    """True while a supervisor holds the state directory."""
    try:
        descriptor = os.open(layout.lock, os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    else:
        return False
    finally:
        os.close(descriptor)


@contextmanager
def supervision(layout: Layout) -> Iterator[None]:
    """Hold the state directory. Raises AlreadyRunning."""
    descriptor = _lock(layout.lock)
    try:
        yield
    finally:
        os.close(descriptor)


def _lock(path: Path) -> int:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    deadline = time.monotonic() + LOCK_PATIENCE
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                os.close(descriptor)
                raise AlreadyRunning(f"a fleet is already running from {path.parent}") from None
            time.sleep(0.05)
        else:
            return descriptor
