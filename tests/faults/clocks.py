"""Processes whose clock is an hour off join the fleet: who owns a job or leads, the primary's time decides."""

import asyncio
import contextlib
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path

import httpx

from deploy.local.plan import READY_PATH, answers
from deploy.local.ports import free_port
from deploy.local.processes import Program, Running, start
from tests.faults.processes import LEADER, import_under_way, once_done, value
from tests.faults.scenario import Scenario, under_trade
from tests.faults.stage import Stage, Trade, until
from tests.faults.verdict import Check
from tests.fleet.traders import Trader
from tests.fleet.wire import Wire

ROOT = Path(__file__).parents[2]
#: libfaketime would do for most programs; timed locks of Python's hang under it.
_CLOCK = Path(__file__).with_name("clock.c")
_COMPILER = shutil.which("cc")
_TRADERS_OF_EACH = 1
_HOUR = 3_600
_TIMED = (("events", "occurred_at"), ("audit_entries", "at"))
_FAR_OFF = "SELECT count(*) FROM {} WHERE tenant_id = %s AND abs(extract(epoch FROM clock_timestamp() - {})) > 1800"


@contextlib.asynccontextmanager
async def _joined(stage: Stage) -> AsyncIterator[list[int]]:
    """API instances an hour ahead and behind, a worker and a coordinator ahead; the ports of the instances."""
    ports = [free_port() for _ in range(4)]
    web = (
        "-m",
        "uvicorn",
        "erp.app:create_app",
        "--factory",
        "--loop",
        "uvloop",
        "--http",
        "erp.http.protocol:JoinedProtocol",
    )
    quiet = ("--no-access-log", "--log-level", "warning", "--port")
    queue = ("-m", "dramatiq", "workers.main", "--queues", "low", "--processes", "1", "--threads", "2")
    running: list[Running] = []
    try:
        running += [
            _start(stage, "api-ahead", "api", (*web, *quiet, str(ports[0])), _HOUR, free_port()),
            _start(stage, "api-behind", "api", (*web, *quiet, str(ports[1])), -_HOUR, free_port()),
            _start(stage, "worker-ahead", "worker", queue, _HOUR, ports[2]),
            _start(stage, "coordinator-ahead", "coordinator", ("-m", "workers.coordinator"), _HOUR, ports[3]),
        ]
        await until(lambda: all(answers(port) for port in ports), 60, "processes with other clocks are ready")
        yield ports[:2]
    finally:
        for one in running:
            one.ask_to_stop()
        for one in running:
            await asyncio.to_thread(one.finish, 10.0)


def _start(stage: Stage, name: str, role: str, arguments: tuple[str, ...], offset: int, metrics: int) -> Running:
    fleet = stage.fleet
    told = fleet.endpoints.environment(name, role, public_url=fleet.url, metrics_port=metrics)
    clock = {"LD_PRELOAD": str(_library(stage)), "CLOCK_OFFSET": str(offset)}
    payments = {"ERP_PAYMENTS_URL": f"http://127.0.0.1:{fleet.options.ports['payments']}"}
    environment = {**fleet.settings, **told, **payments, **clock}
    return start(Program(name, (sys.executable, *arguments), fleet.layout.log(name), ROOT, environment))


async def join_with_other_clocks(stage: Stage, trade: Trade) -> None:
    """They are traded with directly, the worker alone may take the import, and the coordinator would like to lead."""
    leader = value(stage, LEADER)
    over = asyncio.Event()
    with stage.frozen("worker-low"):
        async with _joined(stage) as ports:
            clocks = [await asyncio.to_thread(_off, port) for port in ports]
            trade.checks.append(Check("hours ahead", str(clocks), "[1.0, -1.0]", clocks == [1.0, -1.0]))
            trading = [
                asyncio.create_task(_trader(trade, port, seed).trade(over))
                for port in ports
                for seed in range(_TRADERS_OF_EACH)
            ]
            job = await import_under_way(stage, trade)
            await asyncio.sleep(stage.seconds)
            over.set()
            await asyncio.gather(*trading)
            await once_done(stage, trade, job)
            fence = value(stage, "SELECT fence FROM jobs WHERE id = %s", job)
            trade.checks.append(Check("workers that had the import", str(fence), "1", fence == 1))
            led = value(stage, LEADER)
            trade.checks.append(Check("leader", f"{leader}, then {led}", "the same", leader == led))


def _library(stage: Stage) -> Path:
    assert _COMPILER is not None
    made = stage.fleet.root / "clock.so"
    if not made.exists():
        subprocess.run([_COMPILER, "-shared", "-fPIC", "-O", "-o", str(made), str(_CLOCK)], check=True, timeout=30)
    return made


def _trader(trade: Trade, port: int, seed: int) -> Trader:
    return Trader(Wire(port, None, trade.shop.token), trade.shop, trade.history, seed, reads_back=True)


def _off(port: int) -> float:
    """Hours that the clock of an instance is ahead, from the date in its answers."""
    said = httpx.get(f"http://127.0.0.1:{port}{READY_PATH}", trust_env=False).headers["date"]
    return round((parsedate_to_datetime(said) - datetime.now(UTC)).total_seconds() / _HOUR, 1)


async def _times(stage: Stage, trade: Trade) -> list[Check]:
    """How many records carry a time of theirs instead of the primary's."""
    found = {table: value(stage, _FAR_OFF.format(table, column), trade.shop.id) for table, column in _TIMED}
    told = ", ".join(f"{count} {table}" for table, count in found.items())
    return [Check("records with a time that is off", told, "none", not any(found.values()))]


_RUN = under_trade(
    "clock-skewed", "API instances an hour ahead and behind, a worker and a coordinator ahead",
    "the primary's time decides: no lease ends early, nothing lost, doubled or refused", join_with_other_clocks,
    window=lambda seconds: 0.0, then=_times,
)  # fmt: skip


async def _run(stage: Stage) -> list[Check]:
    if _COMPILER is None:
        return [Check("a C compiler", "is not installed: not run", "installed", True)]
    return await _RUN.run(stage)


SCENARIOS = (Scenario(_RUN.name, _RUN.fault, _RUN.promise, _run),)
