"""What people decide about consumers: rebuild, replay, and what becomes of dead letters."""

from uuid import UUID

from db.identifiers import new_id
from erp.kernel.errors import Invalid, InvalidState, NotFound
from erp.projections.applying import note
from erp.projections.building import begin, set_going
from erp.projections.consumers import CONSUMERS
from erp.projections.definition import Delivered
from erp.projections.repository import (
    ENSURE_GENERATION,
    EVENT,
    FIRST_AT,
    LOCK_FAILURE,
    LOCK_GENERATIONS,
    SET_FAILURE,
    FailureRow,
    GenerationRow,
)
from erp.projections.schemas import BuildView, DeadLetterView, DecideInput, RebuildInput, ReplayInput
from erp.projections.views import build_view, dead_letter_view
from tenancy.trail import Event
from tenancy.work import UnitOfWork


async def rebuild_projection(work: UnitOfWork, data: RebuildInput) -> BuildView:
    """From zero beside what is shown, which goes on following. Raises BuildUnderWay."""
    row = await begin(work, CONSUMERS[data.projection])
    await set_going(work, row, "rebuild_started", new_id(), data.reason or None)
    return build_view(row)


async def replay_events(work: UnitOfWork, data: ReplayInput) -> BuildView:
    """A part of history again, from PostgreSQL, whatever the stream holds. Raises NeedsRebuild, BuildUnderWay."""
    if (data.from_position is None) == (data.from_time is None):
        raise Invalid("Name a position or a time.", pointer="/from_position")
    first = data.from_position
    if first is None:
        [[(first,)]] = await work.load(FIRST_AT(since=data.from_time))
    row = await begin(work, CONSUMERS[data.consumer], first=first)
    await set_going(work, row, "replay_started", new_id(), data.reason or None)
    return build_view(row)


async def replay_dead_letter(work: UnitOfWork, failure_id: UUID, data: DecideInput) -> DeadLetterView:
    """Apply the event now; it stays dead when that fails again. Raises NotFound, VersionConflict, InvalidState."""
    failure = await _dead(work, failure_id)
    consumer = CONSUMERS.get(failure.consumer)
    if consumer is None:
        raise InvalidState("This build has no such consumer: discard it.", consumer=failure.consumer)
    named = {"consumer": consumer.name}
    # When nothing of the tenant could be applied so far, there is no generation yet.
    _, rows, found = await work.load(
        ENSURE_GENERATION(**named), LOCK_GENERATIONS(**named), EVENT(event_id=failure.event_id)
    )
    event: Delivered = found[0]
    for row in rows:
        if _wants(row, event):
            consumer.apply(work, row.generation, [event])
            note(work, consumer, row.generation, [event])
    return await _end(work, failure, "replayed", data.reason)


async def discard_dead_letter(work: UnitOfWork, failure_id: UUID, data: DecideInput) -> DeadLetterView:
    """Leave the event out for good; the read model then lacks it until it is rebuilt."""
    return await _end(work, await _dead(work, failure_id), "discarded", data.reason)


def _wants(row: GenerationRow, event: Delivered) -> bool:
    return row.state == "live" or (row.state == "building" and event.xid >= row.below)


async def _dead(work: UnitOfWork, failure_id: UUID) -> FailureRow:
    [found] = await work.load(LOCK_FAILURE(id=failure_id))
    if not found:
        raise NotFound(dead_letter_id=str(failure_id))
    row: FailureRow = found[0]
    work.check_version(row.version)
    if row.state != "dead":
        raise InvalidState(f"The event is {row.state}.", state=row.state)
    return row


async def _end(work: UnitOfWork, failure: FailureRow, state: str, reason: str) -> DeadLetterView:
    [rows] = await work.load(SET_FAILURE(id=failure.id, state=state))
    row: FailureRow = rows[0]
    told = {"consumer": row.consumer, "event_id": str(row.event_id), "reason": reason}
    work.publish(Event("dead_letter", row.id, row.version, f"dead_letter.{state}", told))
    work.audit(f"dead_letter.{state}", "dead_letter", row.id, before={"state": "dead"}, after=told)
    return dead_letter_view(row)
