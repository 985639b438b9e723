"""From rows to what clients see."""

from collections.abc import Sequence
from typing import Any

from erp.fulfilment.repository import RunRow, StepRow
from erp.fulfilment.schemas import FulfilmentStepView, FulfilmentSummary, FulfilmentView, StepError


def _fields(row: RunRow) -> dict[str, Any]:
    return {
        "id": row.id, "version": row.version, "order_id": row.subject_id, "state": row.state,
        "direction": row.direction, "attempts": row.attempts, "retry_at": row.retry_at,
        "error": _error(row.error_code, row.error_detail), "correlation_id": row.correlation_id,
        "created_at": row.created_at, "finished_at": row.finished_at,
    }  # fmt: skip


def fulfilment_summary(row: RunRow) -> FulfilmentSummary:
    return FulfilmentSummary(**_fields(row))


def fulfilment_view(row: RunRow, steps: Sequence[StepRow]) -> FulfilmentView:
    return FulfilmentView(**_fields(row), steps=[_step_view(step) for step in steps])


def _step_view(row: StepRow) -> FulfilmentStepView:
    return FulfilmentStepView(
        name=row.name,
        state=row.state,  # type: ignore[arg-type]  # a CHECK keeps it to the literals
        key=row.key, attempts=row.attempts, undo_attempts=row.undo_attempts, undo=row.undo, result=row.result,
        undo_result=row.undo_result, error=_error(row.error_code, row.error_detail), started_at=row.started_at,
        finished_at=row.finished_at,
    )  # fmt: skip


def _error(code: str | None, detail: str | None) -> StepError | None:
    return None if code is None else StepError(code=code, detail=detail or "")
