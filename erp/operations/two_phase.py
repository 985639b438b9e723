"""What the operator sees of distributed transactions, and may end before recovery does."""

from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

import psycopg

from db.errors import DomainError, PrimaryUnavailable
from db.statement import Bound
from db.two_phase import TwoPhase
from db.two_phase_recovery import Findings, Recovery
from erp.kernel.errors import NotFound
from erp.operations.operator_trail import record
from erp.operations.two_phase_schemas import DatabaseView, InDoubtListView, InDoubtView, ResolvedView
from tenancy.caller import Caller
from tenancy.database import TenantDatabase
from tenancy.placement import Platforms
from tenancy.platform import PlatformDatabase

_TENANTS: Bound[Any] = Bound("SELECT count(*) FROM tenants", {})
_ABSENT = (psycopg.Error, DomainError, OSError, TimeoutError)


async def in_doubt(two_phase: TwoPhase) -> InDoubtListView:
    """Everything of ours that is prepared now, the oldest first. Raises PrimaryUnavailable."""
    recovery = Recovery(two_phase)
    findings = await recovery.look()
    held = [one for found in findings.prepared.values() for one in found]
    ids = sorted({one.gid.transaction for one in held if one.gid is not None})
    try:
        decisions = await recovery.decided(ids) if ids else {}
    except _ABSENT as error:
        raise PrimaryUnavailable("The decision log does not answer.", retry_after=5) from error
    views = [
        InDoubtView(
            id=one.gid.transaction, number=one.gid.number, coordinator=one.gid.coordinator, database=one.database,
            age_seconds=round(one.age, 3),
            decision=decisions.get(one.gid.transaction, "none"),  # type: ignore[arg-type]  # a checked text
        )
        for one in held
        if one.gid is not None
    ]  # fmt: skip
    return InDoubtListView(data=sorted(views, key=lambda view: -view.age_seconds), unreachable=findings.absent)


async def resolve(
    two_phase: TwoPhase, transaction: UUID, recorded: Callable[[list[InDoubtView]], Awaitable[None]]
) -> ResolvedView:
    """As the log says; abort when it says nothing, whatever the age. `recorded` is told what is about to be ended.

    Raises NotFound, PrimaryUnavailable.
    """
    if held := [one for one in (await in_doubt(two_phase)).data if one.id == transaction]:
        await recorded(held)
    try:
        decision = await Recovery(two_phase).settle(transaction)
    except LookupError as error:
        raise NotFound(transaction_id=str(transaction)) from error
    except _ABSENT as error:
        raise PrimaryUnavailable("The decision log does not answer.", retry_after=5) from error
    return ResolvedView(id=transaction, decision=decision)  # type: ignore[arg-type]  # a checked text


def resolution(
    database: TenantDatabase, caller: Caller, transaction: UUID, reason: str | None
) -> Callable[[list[InDoubtView]], Awaitable[None]]:
    """What `resolve` is told by: an entry in the operator's trail."""

    async def recorded(held: list[InDoubtView]) -> None:
        told = {
            "transaction": str(transaction), "decision": held[0].decision, "coordinator": held[0].coordinator,
            "databases": [one.database for one in held], "reason": reason,
        }  # fmt: skip
        target = ("distributed_transaction", str(transaction))
        await record(database, caller, "distributed_transaction.resolve", target, told)

    return recorded


async def databases(platforms: Platforms, two_phase: TwoPhase) -> list[DatabaseView]:
    """Every database this instance knows."""
    findings = await Recovery(two_phase).look()
    return [_view(name, await _tenants(platform), findings) for name, platform in platforms.all.items()]


async def _tenants(platform: PlatformDatabase) -> int | None:
    try:
        [[(count,)]] = await platform.ask(_TENANTS)
    except _ABSENT:
        return None
    return int(count)


def _view(name: str, tenants: int | None, findings: Findings) -> DatabaseView:
    prepared = findings.prepared.get(name)
    ages = None if prepared is None else [round(one.age, 3) for one in prepared]
    return DatabaseView(
        name=name, answers=tenants is not None, tenants=tenants,
        prepared=None if ages is None else len(ages),
        oldest_prepared_seconds=None if ages is None else max(ages, default=0.0),
    )  # fmt: skip
