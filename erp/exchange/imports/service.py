"""Accepting an import: its rows and its job in one transaction, so that one is never without the other."""

from collections.abc import Sequence

from db.identifiers import new_id
from erp.exchange.imports.schemas import ImportView
from erp.jobs.operations.service import begin_operation
from erp.jobs.repository import ADD_ROWS
from tenancy.trail import Event
from tenancy.work import UnitOfWork

JOB_KIND = "bulk_import"
_ROWS_PER_STATEMENT = 1_000

#: (line number, content) of every line that is not blank.
Rows = Sequence[tuple[int, bytes]]


async def accept_import(work: UnitOfWork, resource: str, rows: Rows) -> ImportView:
    """Store the rows and leave the job that books them for the caller, with what the caller may do then."""
    payload = {"resource": resource, "rows": len(rows), "principal_id": str(work.caller.principal_id)}
    job_id = new_id()
    work.publish(Event("job", job_id, 1, "import.accepted", {"resource": resource, "rows": len(rows)}))
    work.audit("import.accept", "job", job_id, after={"resource": resource, "rows": len(rows)})
    await begin_operation(
        work, JOB_KIND, payload, total=len(rows), unit="rows", result_location="/v1/jobs/{id}/rows",
        operation_id=job_id,
    )  # fmt: skip
    for start in range(0, len(rows), _ROWS_PER_STATEMENT):
        part = rows[start : start + _ROWS_PER_STATEMENT]
        work.save(ADD_ROWS(job_id=job_id, row_nos=[number for number, _ in part], bodies=[body for _, body in part]))
    return ImportView(
        id=job_id, operation=f"/v1/operations/{job_id}", job=f"/v1/jobs/{job_id}", resource=resource, rows=len(rows)
    )
