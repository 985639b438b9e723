"""`erp two-phase ...`: in-doubt distributed transactions, straight from the databases: it works while no API runs."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Annotated, TypeVar
from uuid import UUID

import typer
from rich.console import Console
from rich.table import Table

from db.errors import DomainError
from deploy.local.errors import LocalFleetError
from deploy.local.layout import state_layout
from deploy.local.options import read_options
from deploy.local.plan import make_plan
from erp.operations.service_cli import Why
from erp.operations.two_phase import in_doubt, resolution, resolve
from erp.operations.two_phase_schemas import InDoubtListView, ResolvedView
from erp.runtime import Runtime, build_runtime
from erp.settings import Settings, load_settings
from tenancy.caller import command_line_caller
from tenancy.identity import PLATFORM

T = TypeVar("T")

two_phase = typer.Typer(no_args_is_help=True, help="Distributed transactions that wait for their end.")
_console = Console()


@two_phase.command("list")
def list_in_doubt() -> None:
    """Show what is prepared. Exit code 1: something is, or a database does not answer."""
    found = _run(lambda runtime: in_doubt(runtime.two_phase))
    _console.print(_table(found) if found.data else "Nothing is in doubt.")
    for name in found.unreachable:
        _console.print(f"[red]The database {name} does not answer; it may hold more.[/red]")
    if found.data or found.unreachable:
        raise typer.Exit(1)


@two_phase.command("resolve")
def resolve_one(
    transaction: Annotated[UUID, typer.Argument(help="The id that `erp two-phase list` shows.")],
    reason: Why,
) -> None:
    """End one now, as the decision log says; without a decision it is given up."""

    async def end(runtime: Runtime) -> ResolvedView:
        recorded = resolution(runtime.database, command_line_caller(PLATFORM), transaction, reason)
        return await resolve(runtime.two_phase, transaction, recorded)

    ended = _run(end)
    _console.print(f"{ended.id}: {ended.decision}")


def _run(work: Callable[[Runtime], Awaitable[T]]) -> T:
    async def run() -> T:
        runtime = build_runtime(replace(_settings(), replica_urls=()))
        await runtime.open()
        try:
            return await work(runtime)
        finally:
            await runtime.close()

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
