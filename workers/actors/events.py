"""Jobs of the event store: streams folded and compared with the tables."""

from typing import Any
from uuid import UUID, uuid5

from erp.eventstore.repository import COUNT_STREAMS, VerificationRow
from erp.eventstore.service import JOB_KIND, UNITS, begin_verification, end_verification
from erp.eventstore.verifying import Findings, Heard, open_levels, unheard, verify_events
from erp.projections.checking import check_projections
from tenancy.work import UnitOfWork
from workers.context import JobContext
from workers.kinds import JobKind

#: Seconds one verification of a tenant may take.
_HOUR = 3_600.0


async def verify(context: JobContext) -> dict[str, Any]:
    """The verification somebody asked for, or (daily, without one) both kinds for the tenant."""
    asked = context.payload.get("kind")
    told = {}
    for kind in (asked,) if asked else ("events", "projections"):
        row = await _begun(context, kind)
        if row.state == "running":
            found = await _find(context, kind, await _listener(context, kind) if asked else unheard)
            row = await context.step(lambda work, one=row, what=found: end_verification(work, one.id, what))  # type: ignore[misc]
        told[kind] = _told(row)
        if asked:
            await context.operation.progress(row.checked, row.checked, UNITS[kind])
    return told


def _told(found: Findings | VerificationRow) -> dict[str, int]:
    return {"checked": found.checked, "differing": found.differing, "incomplete": found.incomplete}


async def _begun(context: JobContext, kind: str) -> VerificationRow:
    """One row a job and kind, whatever attempt this is."""
    known = context.payload.get("verification_id")
    verification_id = UUID(known) if known is not None else uuid5(context.job.id, kind)

    async def begin(work: UnitOfWork) -> VerificationRow:
        return await begin_verification(work, kind, verification_id)

    row: VerificationRow = await context.step(begin)
    return row


async def _listener(context: JobContext, kind: str) -> Heard:
    """Tells whoever asked for the verification how far it is, and ends it when they have cancelled it."""
    total = None
    if kind == "events":
        [[(total,)]] = await context.database.read(context.caller, COUNT_STREAMS())
        await context.operation.log(f"Folds {total} streams.")
    await context.operation.progress(0, total, UNITS[kind])

    async def heard(found: Findings) -> None:
        context.operation.stop_if_cancelled(_told(found))
        await context.operation.progress(found.checked, total, UNITS[kind])

    return heard


async def _find(context: JobContext, kind: str, heard: Heard) -> Findings:
    if kind == "projections":
        return await check_projections(context.database, context.caller, heard)
    found = await verify_events(context.database, context.caller, heard)
    await open_levels(context.database, context.caller, context.step, broken=bool(context.payload.get("reopen")))
    return found


JOBS = (
    JobKind(JOB_KIND, verify, time_limit=_HOUR),
    JobKind("event_verification", verify, time_limit=_HOUR),
)
