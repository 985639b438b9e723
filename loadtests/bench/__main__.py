"""`python -m loadtests.bench`."""

import sys
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Annotated

import typer
import uvloop
from rich.text import Text

from erp.exchange.api import ApiProblem
from loadtests.bench import aims
from loadtests.bench.bare import BareFailed
from loadtests.bench.report import console, show_report, write_report
from loadtests.bench.run import Options, Run
from loadtests.fleet import ALL_LIMITS, PORT_BASE, Fleet, NoFleet, own_fleet, running_fleet
from loadtests.tenant import BadRow

FAILED, NOTHING_MEASURED = 1, 2
NAMES = (aims.READS, aims.LISTS, aims.ORDERS, aims.FLOWS, aims.SPREAD, aims.HOT)


def bench(
    clients: Annotated[int, typer.Option(min=1, max=64, help="Clients of the scenarios that fix no number.")] = 16,
    seconds: Annotated[float, typer.Option(min=0.5, help="Seconds of each measurement.")] = 8.0,
    warm_up: Annotated[float, typer.Option(min=0.0, help="Seconds before each measurement.")] = 2.0,
    json: Annotated[Path, typer.Option(help="Where the figures are written.")] = Path("build/bench.json"),
    only: Annotated[list[str] | None, typer.Option(help=f"Some of: {', '.join(NAMES)}.")] = None,
    running: Annotated[bool, typer.Option("--running", help="Measure the fleet that runs, as it is.")] = False,
    keep: Annotated[bool, typer.Option("--keep", help="Keep data and logs of the fleet we start.")] = False,
    state: Annotated[Path | None, typer.Option(help="State directory of the fleet we start.")] = None,
    port_base: Annotated[int, typer.Option(help="Its first port.")] = PORT_BASE,
) -> None:
    """Measure the fleet through nginx and TLS, with the bare limit of the same SQL beside it.

    Times never fail it. Errors, an oversold product, a crashed process and a broken proof do: exit code 1.
    """
    unknown = sorted(set(only or ()) - set(NAMES))
    if unknown:
        raise typer.BadParameter(f"no such scenario: {', '.join(unknown)}", param_hint="--only")
    options = Options(clients, seconds, warm_up, frozenset(only or ()))
    fleet = running_fleet() if running else own_fleet(ALL_LIMITS, "bench", state, port_base, keep=keep)
    sys.exit(_measured(fleet, options, json))


def _measured(fleets: AbstractContextManager[Fleet], options: Options, json: Path) -> int:
    out = console()
    try:
        with fleets as fleet:
            report = uvloop.run(Run(fleet, options, out).report())
    except (NoFleet, BadRow, BareFailed, ApiProblem) as error:
        out.print(Text(str(error), "red"))
        return NOTHING_MEASURED
    show_report(out, report)
    write_report(json, report)
    out.print(f"figures in {json}")
    return FAILED if report.failures else 0


if __name__ == "__main__":
    typer.run(bench)
