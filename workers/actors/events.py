"""Jobs of the event store: streams folded and compared with the tables."""

from typing import Any
from uuid import UUID, uuid5

from erp.eventstore.repository import VerificationRow
from erp.eventstore.service import JOB_KIND, begin_verification, end_verification
from erp.eventstore.verifying import Findings, open_levels, verify_events
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
            found = await _find(context, kind)
            row = await context.step(lambda work, one=row, what=found: end_verification(work, one.id, what))  # type: ignore[misc]
        told[kind] = {"checked": row.checked, "differing": row.differing, "incomplete": row.incomplete}
    return told


async def _begun(context: JobContext, kind: str) -> VerificationRow:
    """One row a job and kind, whatever attempt this is."""
    known = context.payload.get("verification_id")
    verification_id = UUID(known) if known is not None else uuid5(context.job.id, kind)

    async def begin(work: UnitOfWork) -> VerificationRow:
        return await begin_verification(work, kind, verification_id)

    row: VerificationRow = await context.step(begin)
    return row


async def _find(context: JobContext, kind: str) -> Findings:
    if kind == "projections":
        return await check_projections(context.database, context.caller)
    found = await verify_events(context.database, context.caller)
    await open_levels(context.database, context.caller, context.step, broken=bool(context.payload.get("reopen")))
    return found


JOBS = (
    JobKind(JOB_KIND, verify, time_limit=_HOUR),
    JobKind("event_verification", verify, time_limit=_HOUR),
)
