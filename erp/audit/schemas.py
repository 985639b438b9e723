"""The audit trail on the wire."""

from typing import Any, Literal
from uuid import UUID

import msgspec

from erp.kernel.text import Timestamp


class AuditEntryView(msgspec.Struct, frozen=True, kw_only=True):
    """One change and who made it. Entries are written with the change, in its transaction, and never altered.

    `principal_kind`: an `api_key` (`principal_id` is the key's), the platform's `operator`, or the `system`,
    when jobs and schedules did it. `address` is where the request came from, empty when there was none.
    `before` and `after` hold the fields that changed; null where there is nothing to tell.
    """

    id: UUID
    at: Timestamp
    principal_id: UUID
    principal_kind: Literal["api_key", "operator", "system"]
    principal_name: str
    address: str
    action: str
    target_type: str
    target_id: UUID
    before: dict[str, Any] | None
    after: dict[str, Any] | None
    correlation_id: str
