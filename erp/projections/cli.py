"""`erp events ...` and `erp projections ...`: straight on the databases, so that they work while no API runs."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated, Any, TypeVar
from uuid import UUID

import typer

from erp.eventstore.verifying import Findings, verify_events
from erp.jobs.operations.schemas import OperationView
from erp.operations.database_cli import checked, show_rows, with_databases
from erp.operations.following import Wait, end, follow
from erp.operations.service_cli import Raw, Why
from erp.projections.checking import check_projections
from erp.projections.consumers import CONSUMERS
from erp.projections.queries import CONSUMERS_SEEN, FAILURES, STATE
from erp.projections.repository import FailureRow
from erp.projections.schemas import BuildView, DeadLetterView, DecideInput, RebuildInput, ReplayInput
from erp.projections.service import discard_dead_letter, rebuild_projection, replay_dead_letter, replay_events
from erp.projections.tenants import ACTIVE, callers_of
from erp.runtime import Runtime
from tenancy.caller import Caller
from tenancy.work import UnitOfWork

T = TypeVar("T")

events = typer.Typer(no_args_is_help=True, help="The event store and the consumers that follow it.")
projections = typer.Typer(no_args_is_help=True, help="Read models: their state, rebuilding, checking.")

Tenant = Annotated[str, typer.Option(help="Slug of one tenant; all active ones without it.")]
One = Annotated[str, typer.Option(help="Slug of the tenant.")]
Followed = Annotated[str, typer.Argument(metavar="CONSUMER", help=f"One of {', '.join(CONSUMERS)}.")]
Letter = Annotated[UUID, typer.Argument(help="The id that `erp events dead-letters` shows.")]

#: Dead letters shown of each tenant at most, the newest first.
_MOST = 200


@events.command("verify")
def verify(tenant: Tenant = "", as_json: Raw = False) -> None:
    """Fold the streams and compare them with the tables. Exit code 1: something differs."""
    _report(tenant, lambda runtime, caller: verify_events(runtime.database, caller), as_json)


@events.command("consumers")
def consumers(as_json: Raw = False) -> None:
    """How far each consumer has confirmed, and what waits for a decision."""

    async def look(runtime: Runtime) -> list[tuple[str, Any]]:
        return [
            (name, row) for name, one in runtime.platforms.all.items() for row in (await one.ask(CONSUMERS_SEEN()))[0]
        ]

    rows = [
        (row[0], name, row[1], row[2], round(max(0.0, row[4]), 1), row[5], row[6])
        for name, row in with_databases(look)
    ]  # fmt: skip
    headings = ("consumer", "database", "transaction", "position", "behind_seconds", "dead", "waiting")
    show_rows(headings, rows, as_json=as_json, none="No consumer has confirmed anything yet.")


@events.command("replay")
def replay(consumer: Followed, tenant: One, reason: Why, from_position: int = 0, wait: Wait = True) -> None:
    """Deliver a part of history again to a consumer that an event told again does not change; workers do it."""
    data = checked(ReplayInput, consumer=consumer, from_position=from_position, reason=reason)
    _build(tenant, lambda work: replay_events(work, data), wait=wait)


@events.command("dead-letters")
def dead_letters(tenant: Tenant = "", as_json: Raw = False) -> None:
    """What no consumer could take, the newest 200 of each tenant. Exit code 1: something waits for a decision."""

    async def look(runtime: Runtime, callers: Sequence[Caller]) -> list[tuple[str, FailureRow]]:
        listing = FAILURES.statement(FAILURES.parse({"state": "dead"}, None).shape)
        found = []
        for caller in callers:
            [rows] = await runtime.database.read(caller, listing(filter_state=["dead"], page_size=_MOST))
            found += [(caller.tenant.slug, FailureRow(*row[:-2])) for row in rows]
        return found

    rows = [
        (slug, row.id, row.consumer, row.type, row.event_id, row.attempts, row.error_code, row.error_detail)
        for slug, row in _for_tenants(tenant, look)
    ]  # fmt: skip
    headings = ("tenant", "id", "consumer", "type", "event", "attempts", "error", "detail")
    show_rows(headings, rows, as_json=as_json, none="No dead letters.")
    if rows:
        raise typer.Exit(1)


@events.command("retry")
def retry(dead_letter: Letter, tenant: One, reason: Why) -> None:
    """Apply a dead letter now, once."""
    data = checked(DecideInput, reason=reason)
    _decided(_command(tenant, lambda work: replay_dead_letter(work, dead_letter, data)))


@events.command("discard")
def discard(dead_letter: Letter, tenant: One, reason: Why) -> None:
    """Leave a dead letter out for good."""
    data = checked(DecideInput, reason=reason)
    _decided(_command(tenant, lambda work: discard_dead_letter(work, dead_letter, data)))


@projections.command("list")
def list_projections(tenant: One, as_json: Raw = False) -> None:
    """How old what a tenant's read models show may be, and what is being built."""

    async def look(runtime: Runtime, callers: Sequence[Caller]) -> tuple[list[Any], ...]:
        return await runtime.database.read(callers[0], *(STATE(consumer=name) for name in CONSUMERS))

    rows = [
        (
            name, row.generation or 0, row.position or 0, None if row.age is None else round(row.age, 1),
            row.complete is not False, row.building, row.dead,
        )
        for name, [row] in zip(CONSUMERS, _for_tenants(tenant, look), strict=True)
    ]  # fmt: skip
    headings = ("projection", "generation", "position", "behind_seconds", "complete", "building", "dead_letters")
    show_rows(headings, rows, as_json=as_json)


@projections.command("rebuild")
def rebuild(projection: Followed, tenant: One, reason: Why, wait: Wait = True) -> None:
    """From zero beside the one that is shown; workers do it."""
    data = checked(RebuildInput, projection=projection, reason=reason)
    _build(tenant, lambda work: rebuild_projection(work, data), wait=wait)


@projections.command("check")
def check(tenant: Tenant = "", as_json: Raw = False) -> None:
    """Recompute the read models from the documents. Exit code 1: something differs."""
    _report(tenant, lambda runtime, caller: check_projections(runtime.database, caller), as_json)


def _build(tenant: str, command: Callable[[UnitOfWork], Awaitable[BuildView]], *, wait: bool) -> None:
    async def begin(runtime: Runtime, callers: Sequence[Caller]) -> OperationView | None:
        build = (await runtime.database.run(callers[0], command)).value
        print(f"{build.consumer}: generation {build.generation} is {build.state}, operation {build.id}")
        return await follow(runtime.database, callers[0], build.id) if wait else None

    end(_for_tenants(tenant, begin))


def _decided(letter: DeadLetterView) -> None:
    print(f"{letter.id}: {letter.state}, {letter.type} for {letter.consumer}")


def _report(tenant: str, find: Callable[[Runtime, Caller], Awaitable[Findings]], as_json: bool) -> None:
    async def all_of(runtime: Runtime, callers: Sequence[Caller]) -> list[tuple[str, Findings]]:
        return [(caller.tenant.slug, await find(runtime, caller)) for caller in callers]

    found = _for_tenants(tenant, all_of)
    rows = [
        (
            slug, one.checked, one.incomplete, one.differing,
            None if one.first is None else " ".join(str(value) for value in one.first.facts().values()),
        )
        for slug, one in found
    ]  # fmt: skip
    show_rows(("tenant", "checked", "incomplete", "differing", "first_difference"), rows, as_json=as_json)
    if any(one.differing for _, one in found):
        raise typer.Exit(1)


def _command(tenant: str, command: Callable[[Any], Awaitable[T]]) -> T:
    async def once(runtime: Runtime, callers: Sequence[Caller]) -> T:
        return (await runtime.database.run(callers[0], command)).value

    return _for_tenants(tenant, once)


def _for_tenants(tenant: str, work: Callable[[Runtime, Sequence[Caller]], Awaitable[T]]) -> T:
    """With the active tenants of every database, or the one with this slug. Raises typer.BadParameter."""

    async def run(runtime: Runtime) -> T:
        callers: list[Caller] = []
        for name, one in runtime.platforms.all.items():
            [rows] = await one.ask(ACTIVE(slug=tenant))
            callers += callers_of(rows, name)
        if tenant and not callers:
            raise typer.BadParameter(f"There is no active tenant `{tenant}`.")
        return await work(runtime, callers)

    return with_databases(run)
