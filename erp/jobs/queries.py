"""Reading jobs and notices."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import ARRAY, ColumnElement, Text, Uuid, and_, bindparam, case, cast, func, literal_column, select

from db.statement import TENANT, Statement
from erp.http.filters import Filter, Parameter, eq, in_, span
from erp.http.listing import Listing
from erp.jobs.models import job_rows, jobs, notices
from erp.jobs.repository import JOB_COLUMNS, NOTICE_COLUMNS, ROW_COLUMNS, JobRow, NoticeRow, RowOfJob

_jobs = select(*JOB_COLUMNS).where(jobs.c.tenant_id == TENANT)
_notices = select(*NOTICE_COLUMNS).where(notices.c.tenant_id == TENANT)
_rows = select(*ROW_COLUMNS).where(
    job_rows.c.tenant_id == TENANT, job_rows.c.job_id == bindparam("job_id", type_=Uuid)
)


def by_phase(name: str, column: ColumnElement[Any]) -> Sequence[Parameter]:
    """As `in_`, with the phases of those states beside them: the index has no states (see `jobs.phase`)."""
    [states] = in_(column).parameters(name)
    asked = func.unnest(cast(bindparam(states.bind), ARRAY(Text))).column_valued("asked")
    unfinished = asked.in_([literal_column("'queued'"), literal_column("'running'")])
    phases = select(case((unfinished, literal_column("'unfinished'")), else_=asked)).scalar_subquery()
    return (replace(states, condition=and_(states.condition, jobs.c.phase == func.any(func.array(phases)))),)


JOB: Statement[JobRow] = Statement(_jobs.where(jobs.c.id == bindparam("job_id")), JobRow)
FAILED_ROWS: Statement[RowOfJob] = Statement(
    _rows.where(job_rows.c.outcome == "failed").order_by(job_rows.c.row_no).limit(bindparam("at_most")), RowOfJob
)
NOTICE: Statement[NoticeRow] = Statement(_notices.where(notices.c.id == bindparam("notice_id")), NoticeRow)

JOBS: Listing[JobRow] = Listing(
    select=_jobs,
    row=JobRow,
    key=jobs.c.id,
    sorts={"created_at": jobs.c.created_at},
    default="-created_at",
    filters={
        "state": Filter(jobs.c.state, by_phase),
        "queue": eq(jobs.c.queue),
        "kind": in_(jobs.c.kind),
        "correlation_id": eq(jobs.c.correlation_id),
        "created_at": span(jobs.c.created_at),
    },
)
JOB_ROWS: Listing[RowOfJob] = Listing(
    select=_rows,
    row=RowOfJob,
    key=job_rows.c.row_no,
    sorts={"row": job_rows.c.row_no},
    default="row",
    filters={"outcome": eq(job_rows.c.outcome)},
)
NOTICES: Listing[NoticeRow] = Listing(
    select=_notices,
    row=NoticeRow,
    key=notices.c.id,
    sorts={"created_at": notices.c.created_at},
    default="-created_at",
    filters={
        "state": eq(notices.c.state),
        "kind": in_(notices.c.kind),
        "subject_id": eq(notices.c.subject_id),
        "created_at": span(notices.c.created_at),
    },
)
