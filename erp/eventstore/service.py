"""Appending to streams of one's own, rebuilding, and asking for verifications."""

from typing import Final
from uuid import UUID

from psycopg.types.json import Jsonb

from db.identifiers import new_id
from erp.eventstore.errors import StreamMoved
from erp.eventstore.repository import (
    ADD_VERIFICATION,
    END_VERIFICATION,
    LOCK_VERIFICATION,
    STREAM_VERSION,
    VerificationRow,
)
from erp.eventstore.schemas import AppendedView, AppendInput, StartVerificationInput, VerificationView
from erp.eventstore.verifying import Findings
from erp.eventstore.views import verification_view
from erp.jobs.notices import NewNotice, give_notice
from erp.jobs.operations.service import begin_operation
from tenancy.trail import Event
from tenancy.work import UnitOfWork

JOB_KIND = "verification"
#: Kind -> what its progress counts.
UNITS: Final = {"events": "streams", "projections": "rows"}
#: What is compared, in people's words.
_COMPARED = {
    "events": "Orders and stock levels beside their events",
    "projections": "Read models beside the documents",
}


async def append_event(work: UnitOfWork, data: AppendInput) -> AppendedView:
    """The next event of a stream of the tenant's own. Raises StreamMoved, also when another came first meanwhile."""
    [found] = await work.load(STREAM_VERSION(aggregate_id=data.stream_id))
    current, kind = found[0] if found else (0, data.stream_type)
    if current != data.expected_version or kind != data.stream_type:
        raise StreamMoved(
            f"The stream is at version {current}, not {data.expected_version}.",
            current_version=current, expected_version=data.expected_version, stream_type=kind,
        )  # fmt: skip
    version = current + 1
    work.publish(Event(data.stream_type, data.stream_id, version, data.type, data.data))
    work.audit("event.append", data.stream_type, data.stream_id, after={"type": data.type, "version": version})
    return AppendedView(
        stream_type=data.stream_type, stream_id=data.stream_id, version=version, type=data.type,
        occurred_at=work.now,
    )  # fmt: skip


async def start_verification(work: UnitOfWork, data: StartVerificationInput) -> VerificationView:
    """A row that says what is found, and the operation of the same id that finds it."""
    row = await begin_verification(work, data.kind, new_id())
    payload = {"verification_id": str(row.id), "kind": data.kind, "reopen": data.reopen}
    found_at = f"/v1/verifications/{row.id}"
    # Under one id, so that whoever reads the verification sees what became of its operation.
    operation = await begin_operation(
        work, JOB_KIND, payload, unit=UNITS[data.kind], result_location=found_at, operation_id=row.id
    )
    return verification_view(row._replace(operation=operation.state))


async def begin_verification(work: UnitOfWork, kind: str, verification_id: UUID) -> VerificationRow:
    """The verification of this id; as it stands when an attempt before this one has begun it."""
    [added] = await work.load(ADD_VERIFICATION(id=verification_id, kind=kind, created_at=work.now))
    if not added:
        [added] = await work.load(LOCK_VERIFICATION(of_id=verification_id))
        known: VerificationRow = added[0]
        return known
    row: VerificationRow = added[0]
    told = {"kind": kind}
    work.publish(Event("verification", row.id, 1, "verification.started", told))
    work.audit("verification.start", "verification", row.id, after=told)
    return row


async def end_verification(work: UnitOfWork, verification_id: UUID, found: Findings) -> VerificationRow:
    """Keep what was found; an event tells of it, and of a difference a notice to the tenant's people too."""
    state = "differs" if found.differing else "agrees"
    difference = None if found.first is None else Jsonb(found.first.facts())
    [rows] = await work.load(
        END_VERIFICATION(
            of_id=verification_id, new_state=state, new_checked=found.checked, new_incomplete=found.incomplete,
            new_differing=found.differing, new_difference=difference, at=work.now,
        )
    )  # fmt: skip
    row: VerificationRow = rows[0]
    told = {"kind": row.kind, "state": state, "checked": found.checked, "differing": found.differing}
    work.publish(Event("verification", row.id, row.version, "verification.finished", told))
    work.audit("verification.finish", "verification", row.id, after=told)
    if found.first is not None:
        await give_notice(
            work,
            NewNotice(
                kind="verification_differs", key=str(row.id),
                title=f"{_COMPARED[row.kind]}: {found.differing} of {found.checked} differ",
                subject_type="verification", subject_id=row.id, data={"kind": row.kind, **found.first.facts()},
            ),
        )  # fmt: skip
    return row
