"""Write-side statements of jobs and notices inside one tenant."""

from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import (
    DateTime,
    Integer,
    LargeBinary,
    Text,
    Uuid,
    and_,
    bindparam,
    case,
    cast,
    func,
    null,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import JSONB, insert

from db.statement import TENANT, Statement, rows_of
from erp.jobs.models import job_rows, jobs, notices


class JobRow(NamedTuple):
    id: UUID
    version: int
    queue: str
    kind: str
    state: str
    payload: dict[str, Any]
    attempts: int
    max_attempts: int
    progress: dict[str, Any] | None
    result: dict[str, Any] | None
    error_code: str | None
    error_detail: str | None
    correlation_id: str | None
    run_at: datetime
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


class RowOfJob(NamedTuple):
    row_no: int
    outcome: str | None
    status: int | None
    answer: dict[str, Any] | None


class PendingRow(NamedTuple):
    row_no: int
    body: bytes


class NoticeRow(NamedTuple):
    id: UUID
    version: int
    kind: str
    title: str
    subject_type: str
    subject_id: UUID
    data: dict[str, Any]
    state: str
    acknowledged_at: datetime | None
    created_at: datetime


JOB_COLUMNS = tuple(jobs.c[name] for name in JobRow._fields)
ROW_COLUMNS = tuple(job_rows.c[name] for name in RowOfJob._fields)
NOTICE_COLUMNS = tuple(notices.c[name] for name in NoticeRow._fields)

_this_job = (jobs.c.tenant_id == TENANT, jobs.c.id == bindparam("job_id", type_=Uuid))
_this_notice = (notices.c.tenant_id == TENANT, notices.c.id == bindparam("notice_id", type_=Uuid))

LOCK_JOB: Statement[JobRow] = Statement(select(*JOB_COLUMNS).where(*_this_job).with_for_update(), JobRow)

#: Back to the start with all its attempts; the fence has risen with the last of them already.
REPLAY: Statement[JobRow] = Statement(
    update(jobs)
    .where(*_this_job)
    .values(
        state="queued", attempts=0, run_at=func.clock_timestamp(), enqueued_at=null(), finished_at=null(),
        error_code=null(), error_detail=null(), traceback=null(), result=null(), cancel_requested_at=null(),
        version=jobs.c.version + 1,
    )
    .returning(*JOB_COLUMNS),
    JobRow,
)  # fmt: skip

DISCARD: Statement[JobRow] = Statement(
    update(jobs)
    .where(*_this_job)
    .values(state="discarded", finished_at=func.clock_timestamp(), version=jobs.c.version + 1)
    .returning(*JOB_COLUMNS),
    JobRow,
)

#: The two statements by which a job ends, or goes on, in the transaction of its own effect: its id and whether it is
#: asked to stop. No row: the fence has risen since, another worker owns the job, and the transaction must not commit.
COMPLETE = Statement(
    update(jobs)
    .where(*_this_job, jobs.c.fence == bindparam("fence"), jobs.c.state == "running")
    .values(
        state="done", result=bindparam("outcome", type_=JSONB), lease_until=null(), error_code=null(),
        error_detail=null(), traceback=null(), finished_at=func.clock_timestamp(), version=jobs.c.version + 1,
    )
    .returning(jobs.c.id, jobs.c.cancel_requested_at.is_not(None))
)  # fmt: skip
_made = cast(bindparam("done_so_far"), JSONB)
#: A step that got somewhere new gives the attempts back: a long job may meet more dying workers than a short one,
#: while a job that dies at the same place every time still stops.
ADVANCE = Statement(
    update(jobs)
    .where(*_this_job, jobs.c.fence == bindparam("fence"), jobs.c.state == "running")
    .values(
        progress=func.coalesce(_made, jobs.c.progress),
        attempts=case((and_(_made.is_not(None), _made.is_distinct_from(jobs.c.progress)), 1), else_=jobs.c.attempts),
        version=jobs.c.version + 1,
    )
    .returning(jobs.c.id, jobs.c.cancel_requested_at.is_not(None))
)

_new = rows_of(row_nos=Integer, bodies=LargeBinary)
ADD_ROWS = Statement(
    insert(job_rows).from_select(
        ["tenant_id", "job_id", "row_no", "body"],
        select(cast(TENANT, Uuid), cast(bindparam("job_id"), Uuid), _new.c.row_nos, _new.c.bodies),
    )
)
PENDING_ROWS: Statement[PendingRow] = Statement(
    select(job_rows.c.row_no, job_rows.c.body)
    .where(
        job_rows.c.tenant_id == TENANT, job_rows.c.job_id == bindparam("job_id", type_=Uuid),
        job_rows.c.outcome.is_(None),
    )
    .order_by(job_rows.c.row_no)
    .limit(bindparam("at_most")),
    PendingRow,
)  # fmt: skip
_settled = rows_of(row_nos=Integer, outcomes=Text, statuses=Integer, answers=JSONB)
SETTLE_ROWS = Statement(
    update(job_rows)
    .where(
        job_rows.c.tenant_id == TENANT, job_rows.c.job_id == bindparam("job_id", type_=Uuid),
        job_rows.c.row_no == _settled.c.row_nos,
    )
    .values(outcome=_settled.c.outcomes, status=_settled.c.statuses, answer=_settled.c.answers)
)  # fmt: skip
#: Rows that failed are tried again when their job is replayed; rows that are done never are.
REOPEN_ROWS = Statement(
    update(job_rows)
    .where(
        job_rows.c.tenant_id == TENANT, job_rows.c.job_id == bindparam("job_id", type_=Uuid),
        job_rows.c.outcome == "failed",
    )
    .values(outcome=null(), status=null(), answer=null())
)  # fmt: skip

ADD_NOTICE = Statement(
    insert(notices)
    .values(
        tenant_id=TENANT, id=bindparam("id"), kind=bindparam("kind"), key=bindparam("key"), title=bindparam("title"),
        subject_type=bindparam("subject_type"), subject_id=bindparam("subject_id"), data=bindparam("data"),
    )
    .on_conflict_do_nothing(constraint="notices_key")
    .returning(notices.c.id)
)  # fmt: skip
LOCK_NOTICE: Statement[NoticeRow] = Statement(
    select(*NOTICE_COLUMNS).where(*_this_notice).with_for_update(), NoticeRow
)
ACKNOWLEDGE = Statement(
    update(notices)
    .where(*_this_notice)
    .values(
        state="acknowledged", acknowledged_at=cast(bindparam("at"), DateTime(timezone=True)),
        version=notices.c.version + 1,
    )
)  # fmt: skip
