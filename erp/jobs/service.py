"""What people do with jobs: put a failed one back into the queue, or give it up."""

from collections.abc import Mapping
from typing import Final
from uuid import UUID

from erp.jobs.errors import JobAlreadyQueued
from erp.jobs.repository import DISCARD, LOCK_JOB, REOPEN_ROWS, REPLAY, JobRow, RowOfJob
from erp.jobs.schemas import JobDetailView, JobError, JobRowView, JobView
from erp.kernel.errors import InvalidState, NotFound
from tenancy.trail import Event
from tenancy.work import UnitOfWork

__all__ = ["JobAlreadyQueued", "detail_view", "discard_job", "job_view", "replay_job", "row_view"]

#: step -> the states it starts from. A running job belongs to its worker.
STEPS: Final[Mapping[str, frozenset[str]]] = {
    "replay": frozenset({"failed", "discarded", "cancelled"}),
    "discard": frozenset({"failed", "queued"}),
}


def check_step(step: str, state: str) -> None:
    """Raises InvalidState for a step the job's state does not allow."""
    if state not in STEPS[step]:
        raise InvalidState(f"A {state} job cannot be {step}ed.", state=state, allowed_from=sorted(STEPS[step]))


async def replay_job(work: UnitOfWork, job_id: UUID) -> JobView:
    """Run a job again from the start, with all its attempts; its rows that are done stay done.

    Raises NotFound, InvalidState, and JobAlreadyQueued (by its constraint) beside an unfinished equal one.
    """
    await _check(work, job_id, "replay")
    work.save(REOPEN_ROWS(job_id=job_id))
    [[job]] = await work.load(REPLAY(job_id=job_id))
    return _record(work, job, "replay", "job.replayed")


async def discard_job(work: UnitOfWork, job_id: UUID) -> JobView:
    """Give a job up: it will not run, and leaves the list of failed ones."""
    await _check(work, job_id, "discard")
    [[job]] = await work.load(DISCARD(job_id=job_id))
    return _record(work, job, "discard", "job.discarded")


async def _check(work: UnitOfWork, job_id: UUID, step: str) -> None:
    [found] = await work.load(LOCK_JOB(job_id=job_id))
    if not found:
        raise NotFound(job_id=str(job_id))
    work.check_version(found[0].version)
    check_step(step, found[0].state)


def _record(work: UnitOfWork, job: JobRow, step: str, event: str) -> JobView:
    work.publish(Event("job", job.id, job.version, event, {"kind": job.kind, "queue": job.queue}))
    work.audit(f"job.{step}", "job", job.id, after={"state": job.state, "kind": job.kind})
    return job_view(job)


def job_view(job: JobRow) -> JobView:
    error = None if job.error_code is None else JobError(code=job.error_code, detail=job.error_detail or "")
    return JobView(
        id=job.id, version=job.version,
        queue=job.queue,  # type: ignore[arg-type]  # a CHECK keeps queue and state to their literals
        kind=job.kind,
        state=job.state,  # type: ignore[arg-type]
        payload=job.payload, attempts=job.attempts, max_attempts=job.max_attempts, progress=job.progress,
        result=job.result, error=error, correlation_id=job.correlation_id or "", run_at=job.run_at,
        created_at=job.created_at, started_at=job.started_at, finished_at=job.finished_at,
    )  # fmt: skip


def detail_view(job: JobRow, failed: list[RowOfJob]) -> JobDetailView:
    view = job_view(job)
    facts = {name: getattr(view, name) for name in view.__struct_fields__}
    return JobDetailView(**facts, failed_rows=[row_view(row) for row in failed])


def row_view(row: RowOfJob) -> JobRowView:
    return JobRowView(
        row=row.row_no,
        outcome=row.outcome,  # type: ignore[arg-type]  # a CHECK keeps it to the literals
        status=row.status,
        answer=row.answer,
    )
