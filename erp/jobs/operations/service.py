"""Beginning an operation, cancelling one, and how it looks."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from db.errors import DomainError
from erp.http.catalogue import problem_classes
from erp.jobs.errors import JobAlreadyQueued
from erp.jobs.operations.repository import CANCEL, LOCK, MARK, UNDER_WAY, LogLine, OperationRow
from erp.jobs.operations.schemas import LogLineView, OperationProblem, OperationProgress, OperationView
from erp.kernel.errors import InvalidState, NotFound
from tenancy.trail import Event
from tenancy.work import UnitOfWork

_CANCELLABLE = frozenset({"queued", "running"})


async def begin_operation(
    work: UnitOfWork,
    kind: str,
    payload: Mapping[str, Any],
    *,
    queue: str = "low",
    total: int | None = None,
    unit: str | None = None,
    result_location: str | None = None,
    unique_key: str | None = None,
    operation_id: UUID | None = None,
) -> OperationView:
    """Leave a long job in this transaction, to be followed under `/v1/operations/{id}`.

    Its handler reports with `context.operation`. A command that answers with the view and is declared with status 202
    and `made_in="/v1/operations"` tells its Location. `{id}` in `result_location` stands for its id; `operation_id`
    is a new one that the caller has given already. Raises JobAlreadyQueued beside an unfinished one of the same
    `unique_key`.
    """
    operation_id = work.enqueue(kind, payload, queue=queue, unique_key=unique_key, job_id=operation_id)
    found_at = None if result_location is None else result_location.replace("{id}", str(operation_id))
    [found] = await work.load(MARK(operation_id=operation_id, of_total=total, in_unit=unit, found_at=found_at))
    if not found:
        raise JobAlreadyQueued("An equal operation is still unfinished.", kind=kind)
    return operation_view(found[0])


async def under_way(work: UnitOfWork, operation_id: UUID | None) -> bool:
    """Whether it waits or runs: then what it was begun for may still come. None stands for one nobody knows of."""
    [found] = await work.load(UNDER_WAY(operation_id=operation_id))
    return bool(found)


async def cancel_operation(work: UnitOfWork, operation_id: UUID) -> OperationView:
    """A queued operation ends at once; a running one is asked to stop, and does so at its next step.

    Asking again changes nothing. Raises NotFound, InvalidState for one that has ended otherwise.
    """
    [found] = await work.load(LOCK(operation_id=operation_id))
    if not found:
        raise NotFound(operation_id=str(operation_id))
    before = found[0]
    work.check_version(before.version)
    if before.cancel_requested_at is not None and before.state in ("running", "cancelled"):
        return operation_view(before)
    if before.state not in _CANCELLABLE:
        raise InvalidState(
            f"A {before.state} operation cannot be cancelled.", state=before.state, allowed_from=sorted(_CANCELLABLE)
        )
    [[after]] = await work.load(CANCEL(operation_id=operation_id))
    event = "operation.cancelled" if after.state == "cancelled" else "operation.cancel_requested"
    work.publish(Event("job", after.id, after.version, event, {"kind": after.kind}))
    work.audit("operation.cancel", "job", after.id, before={"state": before.state}, after={"state": after.state})
    return operation_view(after)


def operation_view(row: OperationRow) -> OperationView:
    path = f"/v1/operations/{row.id}"
    progress = None if row.done is None else OperationProgress(done=row.done, total=row.total, unit=row.unit)
    return OperationView(
        id=row.id, version=row.version, kind=row.kind,
        state=row.state,  # type: ignore[arg-type]  # a CHECK keeps it to the literals
        attempts=row.attempts, progress=progress, result=row.result, result_location=row.result_location,
        error=_problem(row, path), log_lines=row.log_lines, log=f"{path}/log",
        correlation_id=row.correlation_id or "", created_at=row.created_at, started_at=row.started_at,
        finished_at=row.finished_at, cancel_requested_at=row.cancel_requested_at,
    )  # fmt: skip


def _problem(row: OperationRow, path: str) -> OperationProblem | None:
    if row.error_code is None:
        return None
    declared = problem_classes().get(row.error_code, DomainError)
    return OperationProblem(
        type=f"/problems/{row.error_code}", title=declared.title, status=declared.status, code=row.error_code,
        detail=row.error_detail or declared.title, instance=path, retryable=declared.retryable,
        correlation_id=row.correlation_id or "",
    )  # fmt: skip


def line_view(row: LogLine) -> LogLineView:
    return LogLineView(
        line=row.line, at=row.at, message=row.message,
        level=row.level,  # type: ignore[arg-type]  # a CHECK keeps it to the literals
    )  # fmt: skip
