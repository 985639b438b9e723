"""`erp events ...` and `erp projections ...`: straight on the databases, so that they work while no API runs."""

import asyncio
import os
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Annotated, Any, TypeVar
from uuid import UUID

import typer
from rich.console import Console
from rich.table import Table

from db.errors import DomainError
from deploy.local.errors import LocalFleetError
from deploy.local.layout import state_layout
from deploy.local.options import read_options
from deploy.local.plan import make_plan
from erp.eventstore.verifying import Findings, verify_events
from erp.projections.checking import check_projections
from erp.projections.consumers import CONSUMERS
from erp.projections.queries import CONSUMERS_SEEN, FAILURES, STATE
from erp.projections.repository import FailureRow
from erp.projections.schemas import DecideInput, RebuildInput, ReplayInput
from erp.projections.service import discard_dead_letter, rebuild_projection, replay_dead_letter, replay_events
from erp.projections.tenants import ACTIVE, callers_of
from erp.runtime import Runtime, build_runtime
from erp.settings import Settings, load_settings
from tenancy.caller import Caller

T = TypeVar("T")

events = typer.Typer(no_args_is_help=True, help="The event store and the consumers that follow it.")
projections = typer.Typer(no_args_is_help=True, help="Read models: their state, rebuilding, checking.")
_console = Console()

Tenant = Annotated[str, typer.Option(help="Slug of one tenant; all active ones without it.")]
One = Annotated[str, typer.Option(help="Slug of the tenant.")]
Why = Annotated[str, typer.Option(help="Why; it is kept in the audit.", prompt=True)]


@events.command("verify")
def verify(tenant: Tenant = "") -> None:
    """Fold the streams and compare them with the tables. Exit code 1: something differs."""
    _report(tenant, lambda runtime, caller: verify_events(runtime.database, caller))


@events.command("consumers")
def consumers() -> None:
    """How far each consumer has confirmed, and what waits for a decision."""

    async def look(runtime: Runtime, _: Sequence[Caller]) -> list[tuple[str, Any]]:
        return [
            (name, row) for name, one in runtime.platforms.all.items() for row in (await one.ask(CONSUMERS_SEEN()))[0]
        ]

    table = Table("consumer", "database", "transaction", "position", "behind", "dead", "waiting")
    for name, row in _run("", look):
        table.add_row(row[0], name, row[1], str(row[2]), f"{row[4]:.1f} s", str(row[5]), str(row[6]))
    _console.print(table)


@events.command("replay")
def replay(consumer: str, tenant: One, reason: Why, from_position: int = 0) -> None:
    """Deliver a part of history again to a consumer that an event told again does not change."""
    data = ReplayInput(consumer=consumer, from_position=from_position, reason=reason)  # type: ignore[arg-type]  # refused if unknown
    _command(tenant, lambda work: replay_events(work, data))


@events.command("dead-letters")
def dead_letters(tenant: Tenant = "") -> None:
    """What no consumer could take. Exit code 1: something waits for a decision."""

    async def look(runtime: Runtime, callers: Sequence[Caller]) -> list[tuple[str, FailureRow]]:
        listing = FAILURES.statement(FAILURES.parse({"state": "dead"}, None).shape)
        found = []
        for caller in callers:
            [rows] = await runtime.database.read(caller, listing(filter_state=["dead"], page_size=200))
            found += [(caller.tenant.slug, FailureRow(*row[:-2])) for row in rows]
        return found

    rows = _run(tenant, look)
    table = Table("tenant", "id", "consumer", "type", "attempts", "error")
    for slug, row in rows:
        table.add_row(slug, str(row.id), row.consumer, row.type, str(row.attempts), row.error_code)
    _console.print(table if rows else "No dead letters.")
    if rows:
        raise typer.Exit(1)


@events.command("retry")
def retry(dead_letter: UUID, tenant: One, reason: Why) -> None:
    """Apply a dead letter now, once."""
    _command(tenant, lambda work: replay_dead_letter(work, dead_letter, DecideInput(reason=reason)))


@events.command("discard")
def discard(dead_letter: UUID, tenant: One, reason: Why) -> None:
    """Leave a dead letter out for good."""
    _command(tenant, lambda work: discard_dead_letter(work, dead_letter, DecideInput(reason=reason)))


@projections.command("list")
def list_projections(tenant: One) -> None:
    """How old what a tenant's read models show may be, and what is being built."""

    async def look(runtime: Runtime, callers: Sequence[Caller]) -> tuple[list[Any], ...]:
        return await runtime.database.read(callers[0], *(STATE(consumer=name) for name in CONSUMERS))

    table = Table("projection", "generation", "position", "behind", "complete", "building", "dead letters")
    for name, [row] in zip(CONSUMERS, _run(tenant, look), strict=True):
        behind = "never confirmed" if row.age is None else f"{row.age:.1f} s"
        table.add_row(
            name, str(row.generation or 0), str(row.position or 0), behind, str(row.complete is not False),
            str(row.building or ""), str(row.dead),
        )  # fmt: skip
    _console.print(table)


@projections.command("rebuild")
def rebuild(projection: str, tenant: One, reason: Why) -> None:
    """From zero beside the one that is shown; workers do it."""
    _command(tenant, lambda work: rebuild_projection(work, RebuildInput(projection=projection, reason=reason)))  # type: ignore[arg-type]  # refused if unknown


@projections.command("check")
def check(tenant: Tenant = "") -> None:
    """Recompute the read models from the documents. Exit code 1: something differs."""
    _report(tenant, lambda runtime, caller: check_projections(runtime.database, caller))


def _report(tenant: str, find: Callable[[Runtime, Caller], Awaitable[Findings]]) -> None:
    async def all_of(runtime: Runtime, callers: Sequence[Caller]) -> list[tuple[str, Findings]]:
        return [(caller.tenant.slug, await find(runtime, caller)) for caller in callers]

    found = _run(tenant, all_of)
    table = Table("tenant", "checked", "incomplete", "differing", "first difference")
    for slug, one in found:
        first = "" if one.first is None else " ".join(str(value) for value in one.first.facts().values())
        table.add_row(slug, str(one.checked), str(one.incomplete), str(one.differing), first)
    _console.print(table)
    if any(one.differing for _, one in found):
        raise typer.Exit(1)


def _command(tenant: str, command: Callable[[Any], Awaitable[Any]]) -> None:
    async def once(runtime: Runtime, callers: Sequence[Caller]) -> Any:
        return (await runtime.database.run(callers[0], command)).value

    _console.print(_run(tenant, once))


def _run(tenant: str, work: Callable[[Runtime, Sequence[Caller]], Awaitable[T]]) -> T:
    async def run() -> T:
        runtime = build_runtime(_settings())
        await runtime.open()
        try:
            found = [await one.ask(ACTIVE(slug=tenant)) for one in runtime.platforms.all.values()]
            callers = [caller for [rows] in found for caller in callers_of(rows)]
            if tenant and not callers:
                raise typer.BadParameter(f"There is no active tenant `{tenant}`.")
            return await work(runtime, callers)
        finally:
            await runtime.close()

    try:
        return asyncio.run(run())
    except (DomainError, LocalFleetError, KeyError) as refusal:
        _console.print(f"[red]{refusal}[/red]")
        raise typer.Exit(1) from None


def _settings() -> Settings:
    """Those of this process's environment, else the local fleet's."""
    if os.environ.get("ERP_DATABASE_URL"):
        return replace(load_settings(), replica_urls=())
    plan = make_plan(state_layout(), read_options())
    return replace(load_settings(plan.endpoints.environment("events-tool", "tool")), replica_urls=())
