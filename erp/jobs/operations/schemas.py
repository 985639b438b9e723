"""Operations on the wire."""

from typing import Any, Literal
from uuid import UUID

import msgspec

from erp.jobs.schemas import JobState
from erp.kernel.text import Count, PositiveCount, Timestamp

LogLevel = Literal["info", "warning", "error"]


class OperationProgress(msgspec.Struct, frozen=True, kw_only=True):
    """`done` of `total` in `unit`; `total` is null while nobody knows how much there is to do."""

    done: Count
    total: Count | None
    unit: str | None


class OperationProblem(msgspec.Struct, frozen=True, kw_only=True):
    """Why it failed, or why the last attempt did: a problem document as requests get them."""

    type: str
    title: str
    status: int
    code: str
    detail: str
    instance: str
    retryable: bool
    correlation_id: str


class OperationView(msgspec.Struct, frozen=True, kw_only=True):
    """A long job. It ends as `done`, `failed` or `cancelled`, or is `discarded` as a job.

    `result` is what it came to, `result_location` where more of it is found. `cancel_requested_at` is set while a
    running one has been asked to stop and has not stopped yet, and stays on one that was cancelled.
    """

    id: UUID
    version: PositiveCount
    kind: str
    state: JobState
    attempts: Count
    progress: OperationProgress | None
    result: dict[str, Any] | None
    result_location: str | None
    error: OperationProblem | None
    log_lines: Count
    log: str
    correlation_id: str
    created_at: Timestamp
    started_at: Timestamp | None
    finished_at: Timestamp | None
    cancel_requested_at: Timestamp | None


class LogLineView(msgspec.Struct, frozen=True, kw_only=True):
    """One line of an operation's log; `line` counts from 1."""

    line: PositiveCount
    at: Timestamp
    level: LogLevel
    message: str
