"""What every transaction of a tenant begins with: its tenant, and how long it may wait."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from db.statement import REGISTERED, Bound

_SETTINGS = (
    "SELECT set_config('app.tenant_id', %(tenant)s, true), set_config('statement_timeout', %(statement)s, true),"
    " set_config('lock_timeout', %(lock)s, true)"
)
#: With the lock of an idempotency key, which waits for a running twin. A select list runs from left to right, so the
#: bound on that wait is set before it begins; the lock reads no table, so nothing is read before its tenant is set.
_SETTINGS_AND_CLAIM = f"{_SETTINGS}, pg_advisory_xact_lock(CAST(%(claim)s AS bigint))"
REGISTERED.update((_SETTINGS, _SETTINGS_AND_CLAIM))


@dataclass(frozen=True, slots=True)
class Bounds:
    """How long a statement may run and wait for a row, in milliseconds."""

    statement_timeout: int = 5_000
    lock_timeout: int = 2_000
    #: How long a COMMIT may wait for a standby: no timeout of the server interrupts that wait.
    commit_wait: int = 5_000


def settings_of(tenant_id: UUID, bounds: Bounds, claim: int | None = None) -> Bound[Any]:
    """The transaction-local settings row-level security and the bounds on waiting read.

    `claim`: the number of an idempotency key, which is locked until the transaction ends (at most lock_timeout is
    waited for it).
    """
    settings: dict[str, Any] = {
        "tenant": str(tenant_id),
        "statement": str(bounds.statement_timeout),
        "lock": str(bounds.lock_timeout),
    }
    if claim is None:
        return Bound(_SETTINGS, settings)
    settings["claim"] = claim
    return Bound(_SETTINGS_AND_CLAIM, settings)


def scoped(statement: Bound[Any], tenant_id: UUID) -> Bound[Any]:
    """The statement with its tenant bound: the first fence."""
    if not statement.scoped:
        return statement
    return Bound(statement.sql, {**statement.parameters, "tenant_id": tenant_id}, statement.row, True)
