"""Statements on operations inside one tenant: begin, report, cancel."""

from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    BigInteger,
    DateTime,
    Integer,
    Text,
    Uuid,
    bindparam,
    case,
    cast,
    column,
    func,
    literal_column,
    null,
    select,
    true,
    update,
)
from sqlalchemy.dialects.postgresql import insert

from db.statement import TENANT, Statement
from erp.jobs.models import jobs, operation_log

#: Lines of an operation's log that are kept: the first ones. Further ones are counted.
MAX_LINES = 10_000


class OperationRow(NamedTuple):
    id: UUID
    version: int
    kind: str
    state: str
    attempts: int
    done: int | None
    total: int | None
    unit: str | None
    result: dict[str, Any] | None
    result_location: str | None
    error_code: str | None
    error_detail: str | None
    log_lines: int
    correlation_id: str | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    cancel_requested_at: datetime | None


class LogLine(NamedTuple):
    line: int
    at: datetime
    level: str
    message: str


OPERATION_COLUMNS = tuple(jobs.c[name] for name in OperationRow._fields)
LOG_COLUMNS = tuple(operation_log.c[name] for name in LogLine._fields)
_this = (jobs.c.tenant_id == TENANT, jobs.c.id == bindparam("operation_id", type_=Uuid))

#: No row: an equal job is unfinished, and this one was not added.
MARK: Statement[OperationRow] = Statement(
    update(jobs)
    .where(*_this)
    .values(
        operation=true(), done=literal_column("0"), total=cast(bindparam("of_total"), BigInteger),
        unit=cast(bindparam("in_unit"), Text), result_location=cast(bindparam("found_at"), Text),
    )
    .returning(*OPERATION_COLUMNS),
    OperationRow,
)  # fmt: skip
LOCK: Statement[OperationRow] = Statement(
    select(*OPERATION_COLUMNS).where(*_this, jobs.c.operation).with_for_update(), OperationRow
)
UNDER_WAY = Statement(
    select(jobs.c.id).where(*_this, jobs.c.state.in_([literal_column("'queued'"), literal_column("'running'")]))
)
_queued = jobs.c.state == literal_column("'queued'")
#: What waits ends here; what runs is asked to.
CANCEL: Statement[OperationRow] = Statement(
    update(jobs)
    .where(*_this)
    .values(
        state=case((_queued, "cancelled"), else_=jobs.c.state),
        finished_at=case((_queued, func.clock_timestamp()), else_=null()),
        cancel_requested_at=func.clock_timestamp(), version=jobs.c.version + 1,
    )
    .returning(*OPERATION_COLUMNS),
    OperationRow,
)  # fmt: skip

_moments = cast(bindparam("moments"), ARRAY(DateTime(timezone=True)))
_said = (
    func.unnest(_moments, cast(bindparam("levels"), ARRAY(Text)), cast(bindparam("messages"), ARRAY(Text)))
    .table_valued(
        column("moment", DateTime(timezone=True)), column("level", Text), column("message", Text),
        with_ordinality="number",
    )
    .render_derived()
)  # fmt: skip
#: The row stays locked until the report is committed, and the fence is asked under this lock: whoever has lost the
#: job since reports nothing.
_reported = (
    update(jobs)
    .where(
        *_this, jobs.c.fence == bindparam("fence", type_=BigInteger),
        jobs.c.state.in_([literal_column("'running'"), literal_column("'done'")]),
    )
    .values(
        done=func.coalesce(cast(bindparam("done_now"), BigInteger), jobs.c.done),
        total=func.coalesce(cast(bindparam("total_now"), BigInteger), jobs.c.total),
        unit=func.coalesce(cast(bindparam("unit_now"), Text), jobs.c.unit),
        log_lines=jobs.c.log_lines + func.cardinality(_moments),
    )
    .returning(jobs.c.tenant_id, jobs.c.id, jobs.c.log_lines, jobs.c.cancel_requested_at)
    .cte("reported")
)  # fmt: skip
_line = _reported.c.log_lines - func.cardinality(_moments) + _said.c.number
_written = (
    insert(operation_log)
    .from_select(
        ["tenant_id", "operation_id", "line", "at", "level", "message"],
        select(
            _reported.c.tenant_id, _reported.c.id, cast(_line, Integer), _said.c.moment, _said.c.level,
            _said.c.message,
        )
        .select_from(_reported.join(_said, true()))
        .where(_line <= literal_column(str(MAX_LINES))),
    )
    .returning(operation_log.c.line)
    .cte("written")
)  # fmt: skip
#: Progress (what is None stays as it is) and lines of the log; whether the operation is asked to stop. No row: the
#: job belongs to another worker by now.
REPORT = Statement(select(_reported.c.cancel_requested_at.is_not(None)).add_cte(_written))
