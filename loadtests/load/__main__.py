"""`python -m loadtests.load`."""

import asyncio
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from deploy.local.layout import state_layout
from deploy.local.status import is_supervised
from erp.exchange.api import ApiProblem
from loadtests.bench.report import console, show_limits
from loadtests.fleet import ADDRESS_LIMITS, PORT_BASE, TOO_YOUNG, Fleet, NoFleet, own_fleet, running_fleet
from loadtests.load.budgets import BUDGETS, Budgets, Verdict, read_budgets, verdicts
from loadtests.load.locusts import LocustFailed, play
from loadtests.load.principals import make_cast
from loadtests.locustfiles.wire import Outcome
from loadtests.tenant import BadRow, analyze

BROKEN, NOTHING_MEASURED = 1, 2


def load(
    budgets: Annotated[Path, typer.Option(help="What the stories must keep to.")] = BUDGETS,
    scale: Annotated[float, typer.Option(min=0.05, help="Times as many users and tenants.")] = 1.0,
    seconds: Annotated[float | None, typer.Option(min=1, help="Other than the budgets say.")] = None,
    json: Annotated[Path, typer.Option(help="Where the figures are written.")] = Path("build/load.json"),
    port_base: Annotated[int, typer.Option(help="First port of a fleet we start.")] = PORT_BASE,
) -> None:
    """Play the stories and hold them to their budgets. Exit code 0: kept; 1: broken; 2: nothing was measured."""
    out = console()
    wanted = read_budgets(budgets).scaled(scale, seconds)
    try:
        with _fleet(wanted, port_base, out) as fleet:
            outcomes = _played(fleet, wanted, out)
    except (NoFleet, ApiProblem, BadRow, LocustFailed) as error:
        out.print(Text(str(error), "red"))
        sys.exit(NOTHING_MEASURED)
    found = verdicts(wanted, outcomes)
    _show(out, found, outcomes)
    json.parent.mkdir(parents=True, exist_ok=True)
    json.write_bytes(msgspec.json.format(msgspec.json.encode(found), indent=2) + b"\n")
    sys.exit(BROKEN if any(one.broken for one in found) else 0)


@contextmanager
def _fleet(budgets: Budgets, port_base: int, out: Console) -> Iterator[Fleet]:
    """The fleet that runs when its limits per address let one machine play many users; else one of our own."""
    if is_supervised(state_layout()):
        with running_fleet() as fleet:
            if _suffices(fleet, budgets):
                out.print(f"the running fleet: {fleet.url}")
                yield fleet
                return
        out.print("The running fleet takes from one address what one user may send; starting another beside it.")
    with own_fleet(ADDRESS_LIMITS, "load", port_base=port_base) as fleet:
        yield fleet


def _suffices(fleet: Fleet, budgets: Budgets) -> bool:
    stories = budgets.stories.values()
    rate, users = sum(story.offered for story in stories), sum(story.users for story in stories)
    limits = {name: limit.now for name, limit in fleet.limits.items()}
    return (
        limits["ERP_NGINX_RATE"] >= rate
        and limits["ERP_ADDRESS_PER_MINUTE"] >= rate * 60
        and limits["ERP_NGINX_CONNECTIONS"] > users
    )


def _played(fleet: Fleet, budgets: Budgets, out: Console) -> dict[str, Outcome]:
    show_limits(out, fleet.raised)
    cast = asyncio.run(make_cast(fleet, budgets, out.print))
    analyze(fleet)
    users = sum(budget.users for budget in budgets.stories.values())
    offered = sum(budget.offered for budget in budgets.stories.values())
    out.print(f"{users} users, each with its own key, offer {offered:.0f} requests/s for {budgets.run.seconds:g} s")
    left = fleet.comes_of_age_in()
    if left > 0:
        out.print(TOO_YOUNG.format(left))
        time.sleep(left)
    return play(fleet.url, cast, budgets)


def _show(out: Console, found: list[Verdict], outcomes: dict[str, Outcome]) -> None:
    table = Table(title="stories through nginx and TLS", title_justify="left", box=None, pad_edge=False)
    table.add_column("story", no_wrap=True)
    for name in ("users", "offered/s", "asked/s", "p50 ms", "p95 ms", "p99 ms", "errors", "refused"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("budget")
    for one in found:
        verdict = Text("; ".join(one.broken), "red") if one.broken else Text("kept", "green")
        table.add_row(
            *(one.story, str(one.users), f"{one.offered:.1f}", f"{one.asked_rate:.1f}"),
            *(f"{value:.0f}" for value in (one.p50_ms, one.p95_ms, one.p99_ms)),
            *(str(one.failed), f"{one.refused_share:.0%}", verdict),
        )
    out.print(table)
    for story, outcome in outcomes.items():
        for kind, count in outcome.errors.items():
            out.print(Text(f"{story}: {count} x {kind}", "red"))


if __name__ == "__main__":
    typer.run(load)
