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

from loadtests.agreement.bench import Bench, bench_on
from loadtests.agreement.figures import Figure
from loadtests.agreement.instances import request_response
from loadtests.agreement.jobs import no_op_jobs
from loadtests.agreement.postgres_parts import event_to_consumer, saga, two_phase
from loadtests.agreement.redis_parts import cache_levels, invalidation, locks
from loadtests.agreement.report import Report, Row, earlier, merged, table
from loadtests.bench.machine import describe
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
    whole = merged(report, earlier(json), list(MEASURES), chosen)
    out.print(table(whole))
    json.parent.mkdir(parents=True, exist_ok=True)
    json.write_bytes(msgspec.json.format(msgspec.json.encode(whole), indent=2))
    out.print(f"figures in {json}", markup=False)
    for name, taken_at in sorted({(row.measure, row.taken_at) for row in whole.kept}):
        out.print(f"{name}: not measured now, the figures of {taken_at} are kept", markup=False)
    if missing := [name for name in MEASURES if name not in {row.measure for row in whole.rows}]:
        out.print(f"without figures: {', '.join(missing)}", markup=False)


async def _measured(
    fleet: Fleet, chosen: Mapping[str, Callable[[Bench], Awaitable[list[Figure]]]], out: Console
) -> Report:
    taken_at = datetime.now(UTC).isoformat(timespec="seconds")
    rows: list[Row] = []
    async with bench_on(fleet) as bench:
        for name, measure in chosen.items():
            out.print(f"{name} ...", markup=False)
            rows += [Row(name, taken_at, figure) for figure in await measure(bench)]
            await asyncio.sleep(0.5)  # what one leaves behind is not measured with the next
    return Report(taken_at, describe(fleet), tuple(rows))


if __name__ == "__main__":
    typer.run(agreement)
