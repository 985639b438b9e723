"""Jobs and notices on the wire."""

from typing import Any, Literal
from uuid import UUID

import msgspec

from erp.kernel.text import Count, PositiveCount, Timestamp

JobState = Literal["queued", "running", "done", "failed", "discarded", "cancelled"]
Queue = Literal["high", "default", "low"]


class JobError(msgspec.Struct, frozen=True, kw_only=True):
    """Why the last attempt failed: `code` as in the catalogue of problems, or `worker-lost`, `job-timeout`."""

    code: str
    detail: str


class JobView(msgspec.Struct, frozen=True, kw_only=True):
    """Work done after the answer. `progress` and `result` depend on the kind; a finished job has a `result`.

    A job that failed `max_attempts` times stays `failed` until it is replayed or discarded.
    """

    id: UUID
    version: PositiveCount
    queue: Queue
    kind: str
    state: JobState
    payload: dict[str, Any]
    attempts: Count
    max_attempts: PositiveCount
    progress: dict[str, Any] | None
    result: dict[str, Any] | None
    error: JobError | None
    correlation_id: str
    run_at: Timestamp
    created_at: Timestamp
    started_at: Timestamp | None
    finished_at: Timestamp | None


class JobRowView(msgspec.Struct, frozen=True, kw_only=True):
    """One row of a job that has rows: `outcome` null while it waits, `answer` what the command answered to it."""

    row: PositiveCount
    outcome: Literal["done", "failed"] | None
    status: int | None
    answer: dict[str, Any] | None


class JobDetailView(msgspec.Struct, frozen=True, kw_only=True):
    """A job with the first of its failed rows; all of them are under `/rows`."""

    id: UUID
    version: PositiveCount
    queue: Queue
    kind: str
    state: JobState
    payload: dict[str, Any]
    attempts: Count
    max_attempts: PositiveCount
    progress: dict[str, Any] | None
    result: dict[str, Any] | None
    error: JobError | None
    correlation_id: str
    run_at: Timestamp
    created_at: Timestamp
    started_at: Timestamp | None
    finished_at: Timestamp | None
    failed_rows: list[JobRowView]


class NoticeView(msgspec.Struct, frozen=True, kw_only=True):
    """Something a person should know: `subject_type` and `subject_id` name the record it is about."""

    id: UUID
    version: PositiveCount
    kind: str
    title: str
    subject_type: str
    subject_id: UUID
    data: dict[str, Any]
    state: Literal["open", "acknowledged"]
    acknowledged_at: Timestamp | None
    created_at: Timestamp
