"""`erp demo`: the fleet, two companies that trade on it, and a report."""

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from deploy.local.commands import bring_up, end_leftovers
from deploy.local.credentials import keep
from deploy.local.errors import LocalFleetError
from deploy.local.layout import Layout, state_layout
from deploy.local.options import read_options
from deploy.local.status import FleetStatus, is_supervised, read_status
from erp.exchange.demo.client import Address, Client, Pace, UnexpectedAnswer
from erp.exchange.demo.companies import COMPANIES
from erp.exchange.demo.figures import read_figures
from erp.exchange.demo.generate import Calendar, trading
from erp.exchange.demo.opening import Opened, open_tenant
from erp.exchange.demo.probes import probe
from erp.exchange.demo.report import Chronicle, show_report
from erp.exchange.demo.shop import Shop
from erp.exchange.demo.story import ACTS, Act, recall, was_told
from erp.exchange.demo.waiting import await_workers

#: Of what the load balancer lets through: an earlier run, or somebody else, may have used some of it just before.
_STEADY, _BURST = 0.95, 0.6

_console = Console(highlight=False)


def demo() -> None:
    """Start the fleet, let two companies trade on it through the API, and report. Again: only the report."""
    layout = state_layout()
    try:
        address = _fleet(layout)
        holds = _perform(layout, address)
    except (UnexpectedAnswer, LocalFleetError) as problem:
        _console.print()
        _console.print(Text(str(problem), style="bold red"), soft_wrap=True)
        _console.print("The demonstration stopped here. What was booked stays; `erp logs` shows what the fleet says.")
        raise typer.Exit(1) from problem
    except KeyboardInterrupt:
        _console.print("\nInterrupted. The fleet stays up; `erp demo` goes on where it stopped.")
        raise typer.Exit(130) from None
    if not holds:
        _console.print("[bold red]An invariant does not hold: see the proof above.[/]")
        raise typer.Exit(1)


def _fleet(layout: Layout) -> Address:
    """Where the running fleet is; it is started when it is not up."""
    found = read_status(layout)
    if is_supervised(layout) and found is not None and found.phase == "running":
        _console.print(f"The fleet is up already: {found.url}")
    else:
        api = f"API x {read_options().api_instances}"
        _console.print(
            f"Starting the fleet: PostgreSQL x 3, PgBouncer, Redis x 2, {api}, workers, coordinators, nginx"
        )
        end_leftovers(layout)
        found = bring_up(layout)
    for note in found.notes:
        _console.print(Text(f"note: {note}", style="yellow"), soft_wrap=True)
    return Address(found.url, _authority(layout, found))


def _authority(layout: Layout, found: FleetStatus) -> Path | None:
    return layout.certificate if found.url.startswith("https:") else None


def _perform(layout: Layout, address: Address) -> bool:
    """The story, then the report; whether the books of both companies are proven. Raises UnexpectedAnswer."""
    options = read_options()
    pace = Pace(options.requests_per_second * _STEADY, options.burst * _BURST)
    started = time.monotonic()
    with ExitStack() as stack:
        operator = stack.enter_context(closing(Client(address, keep(layout.credentials).operator_key, pace)))
        stranger = stack.enter_context(closing(Client(address, None, pace)))
        opened = [open_tenant(company, address, operator, layout, pace) for company in COMPANIES]
        for one in opened:
            stack.enter_context(closing(one.client))
        shops = [_shop(place, one) for place, one in enumerate(opened)]
        _tell_stories(shops, opened)
        with _doing("waiting for the workers"):
            done = [await_workers(shop) for shop in shops]
        told = time.monotonic() - started
        with _doing("reading the report"):
            chronicles = [
                Chronicle(shop, one.token, seen, read_figures(shop.client))
                for shop, one, seen in zip(shops, opened, done, strict=True)
            ]
            probes = probe(shops[0], stranger, shops[1])
        took = time.monotonic() - started
    holds = show_report(_console, address, chronicles, probes)
    _console.print(f"[dim]{pace.requests} requests; the story took {told:.1f} s, the report {took - told:.1f} s.[/]")
    return holds


def _shop(place: int, opened: Opened) -> Shop:
    company, calendar = COMPANIES[place], Calendar(opened.founded)
    return Shop(company, opened.client, calendar, trading(company, calendar), _tell)


def _tell_stories(shops: Sequence[Shop], opened: Sequence[Opened]) -> None:
    told = [was_told(shop) for shop in shops]
    for shop, is_told, one in zip(shops, told, opened, strict=True):
        if is_told:
            recall(shop)
            _tell(f"{shop.company.name} is here since {one.founded} and traded its story: nothing is booked again")
        elif not one.is_new:
            _tell(f"{shop.company.name} is here, but its story was interrupted: it goes on, nothing is booked twice")
    untold = [shop for shop, is_told in zip(shops, told, strict=True) if not is_told]
    for act in ACTS:
        for shop in untold:
            _play(shop, act)


def _play(shop: Shop, act: Act) -> None:
    company = shop.company
    _console.print(f"\n[bold]{company.name}[/] ({company.slug}, {company.currency}) {act.title}")
    for text, chapter in act.chapters:
        with _doing(text):
            chapter(shop)


def _tell(sentence: str) -> None:
    line = Table.grid(padding=(0, 2))
    line.add_row("", Text("✓", style="green"), Text(sentence))
    _console.print(line)


@contextmanager
def _doing(text: str) -> Iterator[None]:
    with _console.status(f"{text} ..."):
        yield
