"""The audit trail over HTTP: who changed what, when and from where. It is only ever read."""

from typing import Any
from uuid import UUID

from litestar import Router, get

from erp.audit.queries import AUDIT_ENTRIES, AUDIT_ENTRY, AuditRow
from erp.audit.schemas import AuditEntryView
from erp.http.answers import Reply
from erp.http.commands import Command, read_one, show
from erp.http.listing import Page, list_page
from erp.http.request import ApiRequest

COMMANDS: tuple[Command, ...] = ()


def entry_view(row: AuditRow) -> AuditEntryView:
    return AuditEntryView(**row._asdict())


@get("/audit-entries", summary="List audit entries", opt={"listing": AUDIT_ENTRIES})
async def list_audit_entries(request: ApiRequest) -> Reply[Page[AuditEntryView]]:
    """Newest first: of one record, one action, one principal, one request or a span of time.

    `correlation_id` and `principal_kind` alone look through the whole trail; give them a span of `at` as well.
    """
    page: Reply[Any] = await list_page(request, "audit:read", AUDIT_ENTRIES, entry_view)
    return page


@get("/audit-entries/{audit_entry_id:uuid}", summary="Read an audit entry")
async def get_audit_entry(request: ApiRequest, audit_entry_id: UUID) -> Reply[AuditEntryView]:
    """One change, with its fields before and after."""
    found = await read_one(request, "audit:read", AUDIT_ENTRY(entry_id=audit_entry_id), audit_entry_id=audit_entry_id)
    return show(entry_view(found))


router = Router("/v1", route_handlers=[list_audit_entries, get_audit_entry], tags=["Audit"])
