"""`python -m tests.faults`: the fleet is broken in every way we know, fault by fault, and proves its promises."""

import asyncio
import contextlib
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from tests.faults import clocks, edges, flows, processes, stores
from tests.faults.scenario import Scenario
from tests.faults.stage import Stage, staged
from tests.faults.verdict import Check, Verdict

SCENARIOS = (*processes.SCENARIOS, *stores.SCENARIOS, *flows.SCENARIOS, *edges.SCENARIOS, *clocks.SCENARIOS)
NAMES = tuple(one.name for one in SCENARIOS)
#: A run that takes longer is a broken promise: every wait is bounded.
LONGEST = 150.0
BROKEN = 1


def commit_alone(stage: Stage) -> None:
    """The primary waits for no standby any more."""
    with stage.database() as session:
        session.execute("ALTER SYSTEM SET synchronous_standby_names = ''")
        session.execute("SELECT pg_reload_conf()")


#: What the suite has to find: the proof that it can.
PLANTED = {"async-commit": commit_alone}


class Report(msgspec.Struct, frozen=True):
    """One run: enough to do it again."""

    taken_at: str
    revision: str
    seed: int
    seconds: float
    verdicts: tuple[Verdict, ...]


def chaos(
    seed: Annotated[int, typer.Option(help="What callers do, and when, is drawn from it.")] = 20111209,
    seconds: Annotated[float, typer.Option(min=2.0, max=60.0, help="How long a fault lasts.")] = 6.0,
    only: Annotated[list[str] | None, typer.Option(help=f"Some of: {', '.join(NAMES)}.")] = None,
    json: Annotated[Path, typer.Option(help="Where the verdicts are written.")] = Path("build/chaos.json"),
    planted: Annotated[str, typer.Option(help=f"A defect that must be found: {', '.join(PLANTED)}.")] = "",
) -> None:
    """Break a fleet of its own, fault by fault, and tell which promises held. Exit code 1: one did not."""
    unknown = sorted(set(only or ()) - set(NAMES))
    if unknown:
        raise typer.BadParameter(f"no such fault: {', '.join(unknown)}", param_hint="--only")
    if planted and planted not in PLANTED:
        raise typer.BadParameter(f"no such defect: {planted}", param_hint="--planted")
    chosen = [one for one in SCENARIOS if not only or one.name in only]
    out = Console(width=None if sys.stdout.isatty() else 150)
    verdicts = asyncio.run(_run(chosen, seed, seconds, planted, out))
    out.print(table(verdicts))
    report = Report(datetime.now(UTC).isoformat(timespec="seconds"), _revision(), seed, seconds, tuple(verdicts))
    json.parent.mkdir(parents=True, exist_ok=True)
    json.write_bytes(msgspec.json.format(msgspec.json.encode(report), indent=2))
    out.print(f"seed {seed}, {seconds:g} s a fault; all that was measured is in {json}")
    sys.exit(0 if verdicts and all(one.kept for one in verdicts) else BROKEN)


async def _run(chosen: list[Scenario], seed: int, seconds: float, planted: str, out: Console) -> list[Verdict]:
    verdicts: list[Verdict] = []
    out.print(f"{len(chosen)} faults, seed {seed}: starting a fleet")
    async with staged(seed, seconds) as stage:
        if planted:
            PLANTED[planted](stage)
        for scenario in chosen:
            verdicts.append(await _verdict(scenario, stage))
            told = verdicts[-1]
            out.print(f"{'kept  ' if told.kept else 'BROKEN'} {told.name} ({told.seconds:.0f} s)")
            for check in told.broken:
                out.print(f"       {check.name}: {check.measured}, promised {check.bound}", markup=False)
    return verdicts


async def _verdict(scenario: Scenario, stage: Stage) -> Verdict:
    """A run that breaks off is a broken promise too, and says why."""
    begun = time.monotonic()
    try:
        async with asyncio.timeout(LONGEST):
            checks = tuple(await scenario.run(stage))
    except Exception as error:  # whatever it is, the next fault is tried all the same
        checks = (Check("the run", f"{type(error).__name__}: {error}", "comes to its end", False),)
    with contextlib.suppress(TimeoutError):
        await stage.whole()
    return Verdict(scenario.name, scenario.fault, scenario.promise, checks, round(time.monotonic() - begun, 1))


def table(verdicts: list[Verdict]) -> Table:
    """Promise, fault, what was measured (broken ones, else what has a bound in time), verdict."""
    shown = Table(show_lines=True)
    for heading in ("promise", "fault", "measured", "verdict"):
        shown.add_column(heading)
    for one in verdicts:
        told = one.broken or [check for check in one.checks if check.bound != "0"]
        measured = "\n".join(f"{check.name} {check.measured}" for check in told)
        zeros = sum(1 for check in one.checks if check.bound == "0" and check.holds)
        shown.add_row(
            one.promise, one.fault, f"{measured}\n{zeros} counts of harm at 0", "kept" if one.kept else "BROKEN"
        )
    return shown


def _revision() -> str:
    found = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    return found.stdout.strip() or "unknown"


if __name__ == "__main__":
    typer.run(chaos)
