"""A generation from zero beside the one that is shown, or a part of history again; its steps may stop anywhere."""

from typing import NamedTuple
from uuid import UUID

from db.identifiers import new_id
from erp.eventstore.errors import BuildUnderWay, NeedsRebuild
from erp.jobs.operations.service import begin_operation, under_way
from erp.projections.applying import note
from erp.projections.consumers import PURGES
from erp.projections.definition import Consumer
from erp.projections.repository import (
    ADD_GENERATION,
    COUNT_HISTORY,
    DROP_GENERATION,
    DROP_RECEIPTS_OF,
    ENSURE_GENERATION,
    GENERATIONS,
    HISTORY,
    LOCK_CONSUMER,
    LOCK_GENERATION,
    LOCK_GENERATIONS,
    SET_REACHED,
    SET_STATE,
    GenerationRow,
)
from tenancy.trail import Event
from tenancy.work import UnitOfWork

JOB_KIND = "projection_build"
#: Events of one step of history, and rows one step of purging drops.
BATCH = 500
_PURGE = 5_000


async def begin(work: UnitOfWork, consumer: Consumer, *, first: int | None = None) -> GenerationRow:
    """A generation that an operation fills: from zero, or (`first` given) the live one again with events beyond a
    position. One whose operation was cancelled or has failed is given up for it.

    `set_going` leaves the operation. Raises BuildUnderWay, NeedsRebuild.
    """
    if first is not None and not consumer.repeatable:
        raise NeedsRebuild(consumer=consumer.name)
    named = {"consumer": consumer.name}
    # The consumer's row first: what it confirms from here on, it confirms for the new generation too.
    _, _, rows = await work.load(LOCK_CONSUMER(**named), ENSURE_GENERATION(**named), LOCK_GENERATIONS(**named))
    for row in rows:
        if row.state == "live":
            continue
        if await under_way(work, row.job_id):
            raise BuildUnderWay(consumer=consumer.name, operation=f"/v1/operations/{row.job_id}")
        work.save(SET_STATE(**named, generation=row.generation, state="retired", complete=False))
    state = "building" if first is None else "replaying"
    [made] = await work.load(ADD_GENERATION(**named, state=state, first=first or 0, job_id=new_id()))
    begun: GenerationRow = made[0]
    return begun


class Extent(NamedTuple):
    """Events of history a generation is made of, and how many of them are in it."""

    total: int
    done: int


async def extent(work: UnitOfWork, consumer: Consumer, generation: int) -> Extent | None:
    """How much there is to read; None when the generation was given up for another."""
    # Without a lock: counting may take a while, and events are to be applied meanwhile.
    [rows] = await work.load(GENERATIONS())
    row = next((row for row in rows if (row.consumer, row.generation) == (consumer.name, generation)), None)
    if row is None or row.state == "retired":
        return None
    [[(total, left)]] = await work.load(
        COUNT_HISTORY(first=row.first, reached=row.reached, types=sorted(consumer.types), below=str(row.below))
    )
    return Extent(total, total - left)


async def read_history(work: UnitOfWork, consumer: Consumer, generation: int) -> bool:
    """One batch of history into the generation, with how far it is. True when there is more."""
    named = {"consumer": consumer.name}
    locked, [found] = await work.load(
        LOCK_GENERATIONS(**named), LOCK_GENERATION(**named, generation=generation)
    )  # fmt: skip
    if found.read_all:
        return False
    (events,) = await work.load(
        HISTORY(reached=found.reached, types=sorted(consumer.types), below=str(found.below), at_most=BATCH)
    )
    if events:
        [live] = [row.generation for row in locked if row.state == "live"]
        into = live if found.state == "replaying" else generation
        consumer.apply(work, into, events)
        note(work, consumer, generation, events)
    more = len(events) == BATCH
    reached = events[-1].position if events else found.reached
    work.save(SET_REACHED(**named, generation=generation, reached=reached, read_all=not more))
    return more


async def switch(work: UnitOfWork, consumer: Consumer, generation: int) -> bool:
    """Show the generation, once the consumer has confirmed everything that might be missing in it; whether it is."""
    named = {"consumer": consumer.name}
    [confirmed], rows = await work.load(LOCK_CONSUMER(**named), LOCK_GENERATIONS(**named))
    found = next((row for row in rows if row.generation == generation), None)
    if found is None:
        return True  # by an attempt before this one
    if found.state == "replaying":
        work.save(SET_STATE(**named, generation=generation, state="replayed", complete=True))
        return True
    if confirmed.xid < found.seen_to:
        return False
    for row in rows:
        if row.state == "live":
            work.save(SET_STATE(**named, generation=row.generation, state="retired", complete=row.complete))
    work.save(SET_STATE(**named, generation=generation, state="live", complete=True))
    return True


async def purge(work: UnitOfWork, consumer: Consumer, generation: int) -> bool:
    """Drop some rows of a retired generation, at the end itself. True when there is more."""
    [rows] = await work.load(LOCK_GENERATION(consumer=consumer.name, generation=generation))
    if not rows or rows[0].state != "retired":
        return False
    named = {"generation": generation, "at_most": _PURGE}
    dropped = await work.load(
        *(PURGES[table](**named) for table in consumer.tables), DROP_RECEIPTS_OF(consumer=consumer.name, **named)
    )
    if any(len(rows) == _PURGE for rows in dropped):
        return True
    work.save(DROP_GENERATION(consumer=consumer.name, generation=generation))
    return False


async def set_going(
    work: UnitOfWork, row: GenerationRow, what: str, subject: UUID, reason: str | None = None
) -> None:
    """The event and audit entry of a generation that begins, and the operation that follows from it."""
    told = {"consumer": row.consumer, "generation": row.generation, "from_position": row.first}
    work.publish(Event("projection_build", subject, 1, f"projection.{what}", told))
    work.audit(f"projection.{what}", "projection_build", subject, after={**told, "reason": reason})
    await begin_operation(
        work, JOB_KIND, {"consumer": row.consumer, "generation": row.generation}, unit="events",
        result_location=f"/v1/projections/{row.consumer}", operation_id=row.job_id,
    )  # fmt: skip
