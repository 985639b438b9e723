"""Reading the audit trail; what writes it is the unit of work of every command."""

from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import bindparam, select

from db.statement import TENANT, Statement
from erp.http.filters import eq, span
from erp.http.listing import Listing
from tenancy.trail import audit_entries


class AuditRow(NamedTuple):
    id: UUID
    at: datetime
    principal_id: UUID
    principal_kind: str
    principal_name: str
    address: str
    action: str
    target_type: str
    target_id: UUID
    before: dict[str, Any] | None
    after: dict[str, Any] | None
    correlation_id: str


_entries = select(*(audit_entries.c[name] for name in AuditRow._fields)).where(audit_entries.c.tenant_id == TENANT)

AUDIT_ENTRY: Statement[AuditRow] = Statement(_entries.where(audit_entries.c.id == bindparam("entry_id")), AuditRow)

#: Equality only: each of these filters has an index that goes on in the order of time.
AUDIT_ENTRIES: Listing[AuditRow] = Listing(
    select=_entries,
    row=AuditRow,
    key=audit_entries.c.id,
    sorts={"at": audit_entries.c.at},
    default="-at",
    filters={
        "target_type": eq(audit_entries.c.target_type),
        "target_id": eq(audit_entries.c.target_id),
        "action": eq(audit_entries.c.action),
        "principal_id": eq(audit_entries.c.principal_id),
        "principal_kind": eq(audit_entries.c.principal_kind),
        "correlation_id": eq(audit_entries.c.correlation_id),
        "at": span(audit_entries.c.at),
    },
)
