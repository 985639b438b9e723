"""What the operator changes outside of any tenant, kept in the operator's own trail (`GET /v1/audit-entries`)."""

from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID, uuid5

from tenancy.caller import Caller
from tenancy.database import TenantDatabase
from tenancy.work import UnitOfWork

_NAMESPACE: Final = UUID("51e0c1de-7b0a-4a55-9d0f-6a2f3c1b8e47")


def note(
    work: UnitOfWork, action: str, target: tuple[str, str], after: Mapping[str, Any], before: Mapping[str, Any] | None
) -> None:
    """The entry in the transaction of the change itself. `target`: a kind of thing and its name; things of the
    platform have names and no ids. `after` holds the reason.
    """
    kind, name = target
    work.audit(action, kind, uuid5(_NAMESPACE, f"{kind}:{name}"), before=before, after=after)


async def record(
    database: TenantDatabase,
    caller: Caller,
    action: str,
    target: tuple[str, str],
    after: Mapping[str, Any],
    before: Mapping[str, Any] | None = None,
) -> None:
    """One entry in a transaction of its own, before the change is: none happens without its entry."""

    async def entry(work: UnitOfWork) -> None:
        note(work, action, target, after, before)

    await database.run(caller, entry)
