"""`erp two-phase ...`: in-doubt distributed transactions, straight from the databases: it works while no API runs."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from typing import Annotated, TypeVar
from uuid import UUID

import typer
from rich.console import Console
from rich.table import Table

from db.errors import DomainError
from db.two_phase import TwoPhase
from deploy.local.errors import LocalFleetError
from deploy.local.layout import state_layout
from deploy.local.options import read_options
from deploy.local.plan import make_plan
from erp.operations.two_phase import in_doubt, resolve
from erp.operations.two_phase_schemas import InDoubtListView
from erp.placed import build_two_phase
from erp.settings import Settings, load_settings

T = TypeVar("T")

two_phase = typer.Typer(no_args_is_help=True, help="Distributed transactions that wait for their end.")
_console = Console()


@two_phase.command("list")
def list_in_doubt() -> None:
    """Show what is prepared. Exit code 1: something is, or a database does not answer."""
    found = _run(in_doubt)
    _console.print(_table(found) if found.data else "Nothing is in doubt.")
    for name in found.unreachable:
        _console.print(f"[red]The database {name} does not answer; it may hold more.[/red]")
    if found.data or found.unreachable:
        raise typer.Exit(1)


@two_phase.command("resolve")
def resolve_one(
    transaction: Annotated[UUID, typer.Argument(help="The id that `erp two-phase list` shows.")],
) -> None:
    """End one now, as the decision log says; without a decision it is given up."""
    ended = _run(lambda coordinator: resolve(coordinator, transaction))
    _console.print(f"{ended.id}: {ended.decision}")


def _run(work: Callable[[TwoPhase], Awaitable[T]]) -> T:
    async def run() -> T:
        coordinator = build_two_phase(_settings())
        await coordinator.open()
        try:
            return await work(coordinator)
        finally:
            await coordinator.close()

    try:
        return asyncio.run(run())
    except (DomainError, LocalFleetError) as refusal:
        _console.print(f"[red]{refusal}[/red]")
        raise typer.Exit(1) from None


def _settings() -> Settings:
    """Those of this process's environment, else the local fleet's."""
    if os.environ.get("ERP_DATABASE_URL"):
        return load_settings()
    plan = make_plan(state_layout(), read_options())
    return load_settings(plan.endpoints.environment("two-phase-tool", "tool"))


def _table(found: InDoubtListView) -> Table:
    table = Table("transaction", "participant", "database", "age", "decision", "coordinator")
    for one in found.data:
        row = (str(one.id), str(one.number), one.database, f"{one.age_seconds:.0f} s", one.decision, one.coordinator)
        table.add_row(*row)
    return table
