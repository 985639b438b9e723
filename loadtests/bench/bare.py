"""The bare limit: the SQL of a request run by pgbench, straight on the primary, with nothing around it.

pgbench is the application's role under row security, on a direct connection, with prepared statements and the same
number of clients; the commit is as durable as the application's. `sql/README.md` says what each script does.
"""

import asyncio
import os
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from loadtests.bench.fleet import Fleet
from loadtests.bench.machine import connection_facts
from loadtests.bench.measure import CpuClock

SCRIPTS = Path(__file__).parent / "sql"
_THREADS = 2
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


class Figures(msgspec.Struct, frozen=True):
    """What pgbench reports at its end."""

    transactions: int
    failed: int
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
        """Raises BareFailed."""
        await self.run(script, clients, ("-T", str(max(1, round(warm_up)))))
        before = cpu()
        figures = await self.run(script, clients, ("-T", str(max(1, round(seconds)))))
        spent = cpu()["primary"] - before["primary"]
        return Bare(
            script=script.name,
            clients=clients,
            rate=round(figures.rate, 1),
            latency_ms=figures.latency_ms,
            cpu_ms=round(spent * 1000 / max(figures.transactions, 1), 4),
        )

    async def once(self, script: Script) -> None:
        """One transaction of one client. Raises BareFailed."""
        await self.run(script, 1, ("-t", "1"))

    async def run(self, script: Script, clients: int, length: tuple[str, str]) -> Figures:
        """Raises BareFailed, also when a single transaction failed."""
        variables = {**script.variables, **id_prefixes(time.time_ns() // 1_000_000), "n": "0"}
        named = [word for name, value in variables.items() for word in ("-D", f"{name}={value}")]
        threads = min(_THREADS, clients)
        command = (
            *("pgbench", "--no-vacuum", "--protocol=prepared", f"--client={clients}", f"--jobs={threads}"),
            *(*length, "--file=-", *named),
        )
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={**os.environ, **connection_facts(self.fleet.application_url)},
        )
        output, complaints = await process.communicate(script.text())
        if process.returncode != 0:
            raise BareFailed(f"{script.name}.sql: {complaints.decode(errors='replace').strip()[-2000:]}")
        figures = read_figures(output.decode())
        if figures.failed or not figures.transactions:
            raise BareFailed(f"{script.name}.sql: {figures.failed} of {figures.transactions} transactions failed")
        return figures


def id_prefixes(milliseconds: int) -> dict[str, str]:
    """Prefixes of UUIDs of version 7 that begin with the moment given, in milliseconds since the epoch."""
    stamp = f"{milliseconds:012x}"
    run = f"{stamp[:8]}-{stamp[8:]}"
    return {"run": run} | {name: f"{run}-7{number:03}-8000-" for number, name in enumerate(PREFIXED)}


def read_figures(report: str) -> Figures:
    """Raises BareFailed when the text is not pgbench's report."""
    transactions = _number(report, r"transactions actually processed: (\d+)")
    failed = _number(report, r"failed transactions: (\d+)", missing=0.0)
    rate = _number(report, r"tps = ([\d.]+)")
    average = _number(report, r"latency average = ([\d.]+) ms")
    return Figures(int(transactions), int(failed), rate, average)


def _number(report: str, pattern: str, missing: float | None = None) -> float:
    found = re.search(pattern, report)
    if found is None and missing is None:
        raise BareFailed(f"pgbench did not report {pattern!r}:\n{report[-2000:]}")
    return float(found.group(1)) if found else missing or 0.0
