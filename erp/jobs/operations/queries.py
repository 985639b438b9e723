"""Reading operations and their logs."""

from sqlalchemy import Uuid, bindparam, select

from db.statement import TENANT, Statement
from erp.http.filters import Filter, eq, in_, span
from erp.http.listing import Listing
from erp.jobs.models import jobs, operation_log
from erp.jobs.operations.repository import LOG_COLUMNS, OPERATION_COLUMNS, LogLine, OperationRow
from erp.jobs.queries import by_phase

_operations = select(*OPERATION_COLUMNS).where(jobs.c.tenant_id == TENANT, jobs.c.operation)
_log = select(*LOG_COLUMNS).where(
    operation_log.c.tenant_id == TENANT, operation_log.c.operation_id == bindparam("operation_id", type_=Uuid)
)

OPERATION: Statement[OperationRow] = Statement(
    _operations.where(jobs.c.id == bindparam("operation_id", type_=Uuid)), OperationRow
)
OPERATIONS: Listing[OperationRow] = Listing(
    select=_operations,
    row=OperationRow,
    key=jobs.c.id,
    sorts={"created_at": jobs.c.created_at},
    default="-created_at",
    filters={
        "state": Filter(jobs.c.state, by_phase),
        "kind": in_(jobs.c.kind),
        "correlation_id": eq(jobs.c.correlation_id),
        "created_at": span(jobs.c.created_at),
    },
)
LOG: Listing[LogLine] = Listing(
    select=_log,
    row=LogLine,
    key=operation_log.c.line,
    sorts={"line": operation_log.c.line},
    default="line",
    filters={"level": in_(operation_log.c.level)},
)
