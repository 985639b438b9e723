"""Who is calling, on behalf of which tenant, with which permissions."""

import getpass
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from db.two_phase import MAIN
from tenancy.errors import Forbidden
from tenancy.permissions import allows


@dataclass(frozen=True, slots=True)
class TenantFacts:
    """What commands need to know of their tenant without asking the database."""

    id: UUID
    slug: str
    name: str
    state: str
    base_currency: str
    country: str
    time_zone: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    #: Where its rows are; see `tenancy.placement`.
    database: str = MAIN


@dataclass(frozen=True, slots=True)
class Caller:
    """The authenticated principal of one request or job. `kind`: api_key, operator or system."""

    tenant: TenantFacts
    principal_id: UUID
    kind: str
    name: str
    role: str
    scopes: frozenset[str]
    address: str = ""
    correlation_id: str = ""
    causation_id: UUID | None = None

    def may(self, permission: str) -> bool:
        return allows(self.scopes, permission)

    def require(self, permission: str) -> None:
        """Raises Forbidden unless the caller holds `resource:action`."""
        if not self.may(permission):
            raise Forbidden(f"This credential lacks `{permission}`.", permission=permission, role=self.role)


def command_line_caller(tenant: TenantFacts) -> Caller:
    """Somebody at a shell of ours who holds the databases' credentials; the trail names the account."""
    try:
        account = getpass.getuser()
    except (KeyError, OSError):  # a container's user need not have a name
        account = str(os.getuid())
    return system_caller(tenant, name=f"cli:{account}"[:100], correlation_id=f"cli-{tenant.slug}")


def system_caller(tenant: TenantFacts, *, name: str, correlation_id: str, causation_id: UUID | None = None) -> Caller:
    """The principal of work nobody is waiting for: jobs, schedules, projections."""
    return Caller(
        tenant=tenant, principal_id=UUID(int=0), kind="system", name=name, role="system",
        scopes=frozenset({"*:*"}), correlation_id=correlation_id, causation_id=causation_id,
    )  # fmt: skip
