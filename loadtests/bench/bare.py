"""The bare limit: the SQL of a request run by pgbench, straight on the primary, with nothing around it.

pgbench is the application's role under row security, on a direct connection, with prepared statements and the same
number of clients; the commit is as durable as the application's. `sql/README.md` says what each script does.
"""

import asyncio
import math
import os
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from loadtests.bench.machine import connection_facts
from loadtests.bench.measure import CpuClock
from loadtests.fleet import Fleet

SCRIPTS = Path(__file__).parent / "sql"
_THREADS = 2
_PROGRESS = re.compile(r"^progress: ([\d.]+) s, ([\d.]+) tps, lat ([\d.]+) ms")
#: What the scripts make ids of; each id is its prefix and a number of twelve digits that rises with time, so that
#: they fall into the same place of an index as the application's own.
PREFIXED = (
    "order", "line1", "line2", "line3", "hold1", "hold2", "hold3", "delivery", "part1", "part2", "part3", "move1",
    "move2", "move3", "invoice", "item", "payment", "allocation", "entry1", "entry2", "entry3",
)  # fmt: skip


class BareFailed(RuntimeError):
    """pgbench could not run the script; the text is what it said."""


class Bare(msgspec.Struct, frozen=True):
    """Transactions a second of the same SQL; `latency_ms` is their mean, `cpu_ms` the primary's per transaction."""

    script: str
    clients: int
    rate: float
    latency_ms: float
    cpu_ms: float


class Second(msgspec.Struct, frozen=True):
    """One progress line of pgbench: when (seconds since its start), transactions a second, mean milliseconds."""

    at: float
    rate: float
    latency_ms: float


@dataclass(frozen=True, slots=True)
class Script:
    """Files of `sql/` run one after the other, and what they are told."""

    files: tuple[str, ...]
    variables: Mapping[str, str]

    @property
    def name(self) -> str:
        return self.files[-1]

    def text(self) -> bytes:
        return b"".join((SCRIPTS / f"{file}.sql").read_bytes() for file in self.files)

    def told(self, more: Mapping[str, str]) -> "Script":
        return Script(self.files, {**self.variables, **more})


@dataclass(frozen=True, slots=True)
class Pgbench:
    """Runs scripts on one fleet's primary."""

    fleet: Fleet

    async def measure(self, script: Script, clients: int, seconds: float, warm_up: float, cpu: CpuClock) -> Bare:
        """Raises BareFailed.

        Warm-up and measurement are one run: what a connection has planned and cached ends with it.
        """
        first, last = math.ceil(warm_up), math.ceil(warm_up) + math.ceil(seconds)
        pgbench = await self._start(script, clients, ("-T", str(last + 1), "-P", "1"))
        assert pgbench.stderr is not None
        counted: list[Second] = []
        complaints: list[str] = []
        before = after = cpu()
        async for line in pgbench.stderr:
            second = read_second(line.decode(errors="replace"))
            if second is None:
                complaints.append(line.decode(errors="replace"))
            elif second.at < first + 0.5:
                before = cpu()
            elif second.at < last + 0.5:
                counted.append(second)
                after = cpu()
        await _ended(pgbench, script, complaints)
        if not counted:
            raise BareFailed(f"{script.name}.sql: pgbench told of no second")
        rate = sum(second.rate for second in counted) / len(counted)
        busy = sum(second.rate * second.latency_ms for second in counted) / len(counted)
        spent = after["primary"] - before["primary"]
        return Bare(
            script=script.name,
            clients=clients,
            rate=round(rate, 1),
            latency_ms=round(busy / max(rate, 1e-9), 3),
            cpu_ms=round(spent * 1000 / max(rate * len(counted), 1e-9), 4),
        )

    async def once(self, script: Script) -> None:
        """One transaction of one client. Raises BareFailed."""
        pgbench = await self._start(script, 1, ("-t", "1"))
        _, complaints = await pgbench.communicate()
        await _ended(pgbench, script, [complaints.decode(errors="replace")])

    async def _start(self, script: Script, clients: int, length: tuple[str, ...]) -> asyncio.subprocess.Process:
        variables = {**script.variables, **id_prefixes(time.time_ns() // 1_000_000), "n": "0"}
        named = [word for name, value in variables.items() for word in ("-D", f"{name}={value}")]
        pgbench = await asyncio.create_subprocess_exec(
            *("pgbench", "--no-vacuum", "--protocol=prepared", f"--client={clients}"),
            *(f"--jobs={min(_THREADS, clients)}", *length, "--file=-", *named),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            env={**os.environ, **connection_facts(self.fleet.application_url)},
        )
        assert pgbench.stdin is not None
        pgbench.stdin.write(script.text())
        await pgbench.stdin.drain()
        pgbench.stdin.close()
        return pgbench


async def _ended(pgbench: asyncio.subprocess.Process, script: Script, complaints: Sequence[str]) -> None:
    """A transaction that fails ends its client, and pgbench then ends with an error. Raises BareFailed."""
    if await pgbench.wait() != 0:
        # The first complaint is the cause; what follows comes of it.
        raise BareFailed(f"{script.name}.sql: {''.join(complaints).strip()[:1000]}")


def id_prefixes(milliseconds: int) -> dict[str, str]:
    """Prefixes of UUIDs of version 7 that begin with the moment given, in milliseconds since the epoch."""
    stamp = f"{milliseconds:012x}"
    run = f"{stamp[:8]}-{stamp[8:]}"
    return {"run": run} | {name: f"{run}-7{number:03}-8000-" for number, name in enumerate(PREFIXED)}


def read_second(line: str) -> Second | None:
    """A progress line: `progress: 1.0 s, 557.0 tps, lat 1.793 ms stddev 0.4, 0 failed`; None for any other line."""
    found = _PROGRESS.search(line)
    return Second(*(float(value) for value in found.groups())) if found else None
