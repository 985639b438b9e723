"""What every transaction of a tenant begins with: its tenant, and how long it may wait."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from db.statement import REGISTERED, Bound

_SETTINGS = (
    "SELECT set_config('app.tenant_id', %(tenant)s, true), set_config('statement_timeout', %(statement)s, true),"
    " set_config('lock_timeout', %(lock)s, true)"
)
REGISTERED.add(_SETTINGS)


@dataclass(frozen=True, slots=True)
class Bounds:
    """How long a statement may run and wait for a row, in milliseconds."""

    statement_timeout: int = 5_000
    lock_timeout: int = 2_000
    #: How long a COMMIT may wait for a standby: no timeout of the server interrupts that wait.
    commit_wait: int = 5_000


def settings_of(tenant_id: UUID, bounds: Bounds) -> Bound[Any]:
    """The transaction-local settings row-level security and the bounds on waiting read."""
    return Bound(
        _SETTINGS,
        {
            "tenant": str(tenant_id),
            "statement": str(bounds.statement_timeout),
            "lock": str(bounds.lock_timeout),
        },
    )


def scoped(statement: Bound[Any], tenant_id: UUID) -> Bound[Any]:
    """The statement with its tenant bound: the first fence."""
    if not statement.scoped:
        return statement
    return Bound(statement.sql, {**statement.parameters, "tenant_id": tenant_id}, statement.row, True)
