"""Events and their effects: in one transaction with the receipt that keeps the effect from happening twice."""

from collections.abc import Iterable, Sequence
from datetime import timedelta
from uuid import UUID

from psycopg.errors import LockNotAvailable

from db.identifiers import new_id
from erp.projections.definition import Consumer, Delivered
from erp.projections.repository import (
    ADD_RECEIPTS,
    CONFIRMED,
    DROP_RECEIPTS,
    END_FAILURES,
    ENSURE_GENERATION,
    LOCK_GENERATIONS,
    NOTE_APPLIED,
    NOTE_FAILURE,
    FailureRow,
    Place,
)
from tenancy.work import UnitOfWork


class GenerationsBusy(Exception):
    """Somebody else applies events of the tenant and consumer for longer than one waits: it says nothing of these."""


async def deliver(work: UnitOfWork, consumer: Consumer, events: Sequence[Delivered], *, failed: bool = False) -> int:
    """Apply those of one tenant's events that have not had their effect yet; how many that were.

    Any number may deliver the same events at once, again, or after the consumer confirmed beyond them. `failed`:
    some of them have failed before. Raises GenerationsBusy.
    """
    ids = [event.event_id for event in events]
    named = {"consumer": consumer.name}
    try:
        _, _, added, confirmed = await work.load(
            ENSURE_GENERATION(**named), LOCK_GENERATIONS(**named),
            ADD_RECEIPTS(**named, ids=ids, xids=[str(event.xid) for event in events]), CONFIRMED(**named),
        )  # fmt: skip
    except LockNotAvailable as error:
        raise GenerationsBusy(consumer.name) from error
    known = {event.event_id: event for event in events}
    fresh = _fresh(known, added, confirmed)
    stale = {event_id for _, event_id in added} - {event_id for _, event_id in fresh}
    if stale:
        work.save(DROP_RECEIPTS(**named, ids=sorted(stale)))
    for generation in sorted({generation for generation, _ in fresh}):
        told = sorted((known[event_id] for number, event_id in fresh if number == generation), key=_place)
        consumer.apply(work, generation, told)
        note(work, consumer, generation, told)
    if failed:
        work.save(END_FAILURES(**named, ids=ids))
    return len({event_id for _, event_id in fresh})


def note(work: UnitOfWork, consumer: Consumer, generation: int, events: Sequence[Delivered]) -> None:
    """Queue how far the generation is."""
    work.save(
        NOTE_APPLIED(
            consumer=consumer.name, generation=generation, count=len(events),
            position=max(event.position for event in events), event_at=max(event.occurred_at for event in events),
        )
    )  # fmt: skip


async def note_failure(
    work: UnitOfWork, consumer: Consumer, event: Delivered, *, code: str, detail: str, most: int, backoff: timedelta
) -> FailureRow | None:
    """One more attempt in vain; after `most` of them the event is a dead letter. None when it has ended by now."""
    [rows] = await work.load(
        NOTE_FAILURE(
            id=new_id(), consumer=consumer.name, event_id=event.event_id, type=event.type, position=event.position,
            most=most, backoff=backoff, code=code, detail=detail[:1_000],
        )
    )  # fmt: skip
    return rows[0] if rows else None


def _fresh(
    known: dict[UUID, Delivered], added: Iterable[tuple[int, UUID]], confirmed: Sequence[Place]
) -> list[tuple[int, UUID]]:
    """What was added for events the consumer has not confirmed beyond: those have had their effect long ago."""
    reached = (confirmed[0].xid, confirmed[0].position) if confirmed else (0, 0)
    return [(generation, event_id) for generation, event_id in added if known[event_id].place > reached]


def _place(event: Delivered) -> tuple[int, int]:
    return event.place
