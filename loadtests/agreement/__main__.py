"""`python -m loadtests.agreement`."""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import msgspec
import typer
import uvloop
from rich.console import Console
from rich.table import Table

from loadtests.agreement.bench import Bench, bench_on
from loadtests.agreement.figures import Figure
from loadtests.agreement.instances import request_response
from loadtests.agreement.jobs import no_op_jobs
from loadtests.agreement.postgres_parts import event_to_consumer, saga, two_phase
from loadtests.agreement.redis_parts import cache_levels, invalidation, locks
from loadtests.bench.machine import Machine, describe
from loadtests.fleet import ALL_LIMITS, PORT_BASE, Fleet, NoFleet, own_fleet, running_fleet

NOTHING_MEASURED = 2
#: What is measured, in this order. A new mechanism is one line here.
MEASURES: Mapping[str, Callable[[Bench], Awaitable[list[Figure]]]] = {
    "locks": locks,
    "cache": cache_levels,
    "invalidation": invalidation,
    "events": event_to_consumer,
    "saga": saga,
    "two-phase": two_phase,
    "jobs": no_op_jobs,
    "instances": request_response,
}


class Report(msgspec.Struct, frozen=True):
    """One run."""

    taken_at: str
    machine: Machine
    figures: tuple[Figure, ...]


def agreement(
    only: Annotated[list[str] | None, typer.Option(help=f"Some of: {', '.join(MEASURES)}.")] = None,
    json: Annotated[Path, typer.Option(help="Where the figures are written.")] = Path("build/agreement.json"),
    running: Annotated[bool, typer.Option("--running", help="Measure on the fleet that runs.")] = False,
    port_base: Annotated[int, typer.Option(help="First port of the fleet we start.")] = PORT_BASE,
) -> None:
    """Measure what agreeing costs, from locks to messages between instances. Times never fail it."""
    unknown = sorted(set(only or ()) - set(MEASURES))
    if unknown:
        raise typer.BadParameter(f"no such measurement: {', '.join(unknown)}", param_hint="--only")
    chosen = {name: measure for name, measure in MEASURES.items() if not only or name in only}
    out = Console(width=None if sys.stdout.isatty() else 150)
    try:
        with running_fleet() if running else own_fleet(ALL_LIMITS, "agreement", None, port_base) as fleet:
            report = uvloop.run(_measured(fleet, chosen, out))
    except NoFleet as error:
        out.print(str(error), markup=False)
        sys.exit(NOTHING_MEASURED)
    out.print(table(report))
    json.parent.mkdir(parents=True, exist_ok=True)
    json.write_bytes(msgspec.json.format(msgspec.json.encode(report), indent=2))
    out.print(f"figures in {json}")


async def _measured(
    fleet: Fleet, chosen: Mapping[str, Callable[[Bench], Awaitable[list[Figure]]]], out: Console
) -> Report:
    figures: list[Figure] = []
    async with bench_on(fleet) as bench:
        for name, measure in chosen.items():
            out.print(f"{name} ...", markup=False)
            figures += await measure(bench)
            await asyncio.sleep(0.5)  # what one leaves behind is not measured with the next
    return Report(datetime.now(UTC).isoformat(timespec="seconds"), describe(fleet), tuple(figures))


def table(report: Report) -> Table:
    """Milliseconds, ours beside the bare limit."""
    shown = Table(title="What agreeing costs, in milliseconds")
    for heading in ("mechanism", "p50", "p99", "bare p50", "bare p99", "measured", "aim", ""):
        shown.add_column(heading, justify="left" if heading in ("mechanism", "measured", "aim") else "right")
    for one in report.figures:
        bare = ("", "") if one.bare is None else (f"{one.bare.p50:.3f}", f"{one.bare.p99:.3f}")
        verdict = {None: "", True: "reached", False: "missed"}[one.kept]
        shown.add_row(one.name, f"{one.ours.p50:.3f}", f"{one.ours.p99:.3f}", *bare, one.value, one.aim, verdict)
    return shown


if __name__ == "__main__":
    typer.run(agreement)
