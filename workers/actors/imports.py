"""The bulk import: row after row through the same commands as the API, resumable after any crash."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from psycopg.types.json import Jsonb

from erp.exchange.imports.booking import Booking, RowOutcome, acting_for
from erp.exchange.imports.registry import IMPORTABLE
from erp.exchange.imports.repository import COUNT_ROWS, KEY_OF_ID
from erp.exchange.imports.service import JOB_KIND
from erp.jobs.repository import PENDING_ROWS, SETTLE_ROWS, PendingRow
from tenancy.caller import Caller
from tenancy.errors import Forbidden, Unauthorized
from tenancy.work import UnitOfWork
from workers.context import GiveUp, JobContext
from workers.kinds import JobKind

#: Rows booked between two reports of progress.
BATCH = 25
DAY = 86_400.0


async def import_rows(context: JobContext) -> dict[str, Any]:
    """Book the rows that have no outcome yet, in their order.

    A crash between a row's booking and its outcome books nothing twice: the row's key answers again.
    """
    command = IMPORTABLE[context.payload["resource"]]
    caller = await _caller(context, command.permission)
    booking = Booking(context.database, caller, command, context.job.id)
    counts = await _counts(context)
    await context.operation.log(f"Books {counts['rows'] - counts['done'] - counts['failed']} rows.")
    while rows := await _pending(context):
        context.operation.stop_if_cancelled(counts)
        outcomes = [await booking.book(row.row_no, bytes(row.body)) for row in rows]
        for outcome in outcomes:
            counts[outcome.outcome] += 1
        await _settle(context, outcomes, counts)
        await _tell(context, outcomes, counts)
    return dict(counts)


async def _tell(context: JobContext, outcomes: Sequence[RowOutcome], counts: dict[str, int]) -> None:
    for one in outcomes:
        if one.outcome == "failed":
            await context.operation.log(f"Row {one.row_no} was refused: {one.answer['code']}.", "warning")
    await context.operation.progress(counts["done"] + counts["failed"], counts["rows"], "rows")


async def _caller(context: JobContext, permission: str) -> Caller:
    """Whoever sent the rows, if still allowed to: a revoked key stops its imports too. Raises GiveUp."""
    key_id = UUID(context.payload["principal_id"])

    async def find(work: UnitOfWork) -> Caller:
        [keys] = await work.load(KEY_OF_ID(key_id=key_id))
        return acting_for(context.caller, keys[0] if keys else None)

    try:
        caller = (await context.database.run(context.caller, find)).value
        caller.require(permission)
    except (Unauthorized, Forbidden) as refusal:
        raise GiveUp(refusal.code, refusal.detail) from refusal
    return caller


async def _counts(context: JobContext) -> dict[str, int]:
    async def count(work: UnitOfWork) -> dict[str, int]:
        [rows] = await work.load(COUNT_ROWS(job_id=context.job.id))
        found = {row.outcome: row.rows for row in rows}
        return {"rows": sum(found.values()), "done": found.get("done", 0), "failed": found.get("failed", 0)}

    return (await context.database.run(context.caller, count)).value


async def _pending(context: JobContext) -> list[PendingRow]:
    async def pending(work: UnitOfWork) -> list[PendingRow]:
        [rows] = await work.load(PENDING_ROWS(job_id=context.job.id, at_most=BATCH))
        return rows

    return (await context.database.run(context.caller, pending)).value


async def _settle(context: JobContext, outcomes: Sequence[RowOutcome], counts: dict[str, int]) -> None:
    async def settle(work: UnitOfWork) -> None:
        work.save(
            SETTLE_ROWS(
                job_id=context.job.id,
                row_nos=[one.row_no for one in outcomes],
                outcomes=[one.outcome for one in outcomes],
                statuses=[one.status for one in outcomes],
                answers=[Jsonb(one.answer) for one in outcomes],
            )
        )

    await context.step(settle, lambda _: counts)


JOBS = (JobKind(JOB_KIND, import_rows, time_limit=DAY),)
