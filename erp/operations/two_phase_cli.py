"""`erp two-phase ...`: in-doubt distributed transactions, straight from the databases: it works while no API runs."""

from typing import Annotated
from uuid import UUID

import typer
from rich.console import Console

from erp.operations.database_cli import show_rows, with_databases
from erp.operations.service_cli import Raw, Why, console
from erp.operations.two_phase import in_doubt, resolution, resolve
from erp.operations.two_phase_schemas import ResolvedView
from erp.runtime import Runtime
from tenancy.caller import command_line_caller
from tenancy.identity import PLATFORM

two_phase = typer.Typer(no_args_is_help=True, help="Distributed transactions that wait for their end.")
errors = Console(stderr=True)

_HEADINGS = ("transaction", "participant", "database", "age_seconds", "decision", "coordinator")


@two_phase.command("list")
def list_in_doubt(as_json: Raw = False) -> None:
    """Show what is prepared. Exit code 1: something is, or a database does not answer."""
    found = with_databases(lambda runtime: in_doubt(runtime.two_phase))
    rows = [
        (one.id, one.number, one.database, round(one.age_seconds), one.decision, one.coordinator)
        for one in found.data
    ]
    show_rows(_HEADINGS, rows, as_json=as_json, none="Nothing is in doubt.")
    for name in found.unreachable:
        errors.print(f"[red]The database {name} does not answer; it may hold more.[/red]")
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

    ended = with_databases(end)
    console.print(f"{ended.id}: {ended.decision}")
