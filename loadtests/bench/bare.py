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
class Pgbench:
    """Runs scripts on one fleet's primary. `variables` are known to every script."""

    fleet: Fleet
    variables: Mapping[str, str]

    async def measure(self, script: str, clients: int, seconds: float, warm_up: float, cpu: CpuClock) -> Bare:
        """Raises BareFailed."""
        await self.run(script, clients, ("-T", str(max(1, round(warm_up)))))
        before = cpu()
        figures = await self.run(script, clients, ("-T", str(max(1, round(seconds)))))
        spent = cpu()["primary"] - before["primary"]
        return Bare(
            script=script,
            clients=clients,
            rate=round(figures.rate, 1),
            latency_ms=figures.latency_ms,
            cpu_ms=round(spent * 1000 / max(figures.transactions, 1), 4),
        )

    async def once(self, script: str) -> None:
        """One transaction of one client. Raises BareFailed."""
        await self.run(script, 1, ("-t", "1"))

    async def run(self, script: str, clients: int, length: tuple[str, str]) -> Figures:
        """Raises BareFailed, also when a single transaction failed."""
        # Ids made by the script continue where no run before it has been: they begin with the present moment.
        stamp = f"{time.time_ns() // 1_000_000:012x}"
        variables = {**self.variables, "run": f"{stamp[:8]}-{stamp[8:]}"}
        named = [word for name, value in variables.items() for word in ("-D", f"{name}={value}")]
        command = (
            *("pgbench", "--no-vacuum", "--protocol=prepared", f"--client={clients}", f"--jobs={_THREADS}"),
            *(*length, "--file", str(SCRIPTS / f"{script}.sql"), *named),
        )
        process = await asyncio.create_subprocess_exec(
            *command,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={**os.environ, **connection_facts(self.fleet.application_url)},
        )
        output, complaints = await process.communicate()
        if process.returncode != 0:
            raise BareFailed(f"{script}.sql: {complaints.decode(errors='replace').strip()[-2000:]}")
        figures = read_figures(output.decode())
        if figures.failed or not figures.transactions:
            raise BareFailed(f"{script}.sql: {figures.failed} of {figures.transactions} transactions failed")
        return figures


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
