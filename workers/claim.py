"""A job as its worker holds it, with the facts of its tenant."""

from datetime import timedelta
from typing import Any, NamedTuple
from uuid import UUID

from workers.quarantine import WORKER_LOST


class Claim(NamedTuple):
    """`waited`: seconds from runnable to started; `error_code`: of the attempt before."""

    tenant_id: UUID
    id: UUID
    queue: str
    kind: str
    payload: dict[str, Any]
    attempts: int
    max_attempts: int
    fence: int
    unique_key: str | None
    correlation_id: str | None
    causation_id: UUID | None
    traceparent: str | None
    waited: timedelta
    error_code: str | None

    @property
    def lost(self) -> bool:
        """Whether the attempt before ended with its worker: rescued, or taken over as its lease had ended."""
        return self.attempts > 1 and self.error_code in (None, WORKER_LOST)


class TenantRow(NamedTuple):
    id: UUID
    slug: str
    name: str
    state: str
    base_currency: str
    country: str
    time_zone: str
    settings: dict[str, Any]
    database: str
