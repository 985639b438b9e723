"""TCP ports: below the kernel's ephemeral range, so that no outgoing connection can sit on one of ours."""

import contextlib
import os
import random
import socket
from collections.abc import Mapping
from pathlib import Path

from deploy.local.errors import PortTaken

LOWEST, HIGHEST = 20_000, 32_000
LISTEN = "0A"
_given: set[int] = set()


def is_free(port: int) -> bool:
    """True when nothing listens on the port on the loopback address."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def free_port() -> int:
    """A port nobody listens on, never given twice by this process. Random, so that parallel runs differ."""
    for _ in range(1_000):
        port = random.randrange(LOWEST, HIGHEST)
        if port not in _given and is_free(port):
            _given.add(port)
            return port
    raise PortTaken(f"no free port between {LOWEST} and {HIGHEST}")


def check_free(wanted: Mapping[str, int]) -> None:
    """Raise PortTaken naming every clash, who holds it where that can be seen, and the way out."""
    doubled = [port for port in wanted.values() if list(wanted.values()).count(port) > 1]
    if doubled:
        names = ", ".join(name for name, port in wanted.items() if port in doubled)
        raise PortTaken(f"the same port is configured for several processes: {names}")
    taken = [
        f"  {port} (wanted for {name}) is held by {holder(port) or 'another program'}"
        for name, port in wanted.items()
        if not is_free(port)
    ]
    if taken:
        raise PortTaken(
            "these ports are in use:\n" + "\n".join(taken) + "\n"
            "Stop that program, or choose other ports: ERP_PORT_BASE=21000 moves all of them, "
            "ERP_PORT_<NAME> (for example ERP_PORT_HTTPS) moves one."
        )


def holder(port: int) -> str | None:
    """`pid 123 (nginx)` of the process that listens on the port, where /proc lets us see it."""
    inodes = _listening_inodes(port)
    if not inodes:
        return None
    for folder in Path("/proc").glob("[0-9]*"):
        if _open_files(folder) & inodes:
            with contextlib.suppress(OSError):  # ended meanwhile
                return f"pid {folder.name} ({(folder / 'comm').read_text().strip()})"
    return None


def _open_files(process: Path) -> set[str]:
    """What its file descriptors point at; empty for another user's process or one that ended."""
    found = set()
    with contextlib.suppress(OSError):
        for number in os.listdir(process / "fd"):
            with contextlib.suppress(OSError):  # closed meanwhile
                found.add(os.readlink(process / "fd" / number))
    return found


def _listening_inodes(port: int) -> set[str]:
    found = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            rows = Path(table).read_text().splitlines()[1:]
        except OSError:
            continue
        for row in rows:
            fields = row.split()
            if fields[3] == LISTEN and int(fields[1].rpartition(":")[2], 16) == port:
                found.add(f"socket:[{fields[9]}]")
    return found
