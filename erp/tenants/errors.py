"""What the administration of tenants and their keys refuses."""

from db.constraints import on_violation
from db.errors import DomainError, Duplicate


class PrivilegeEscalation(DomainError):
    """A credential hands out permissions it does not hold itself.

    Fix: ask for a role and scopes within your own, or have somebody with more permissions do it.
    """

    code = "privilege-escalation"
    title = "Nobody grants more than they hold"
    status = 403


class LastOwnerKey(DomainError):
    """Without this key nobody could manage the tenant's keys any more.

    Fix: create another key with the role `owner` that does not expire, then repeat.
    """

    code = "last-owner-key"
    title = "The last owner key stays"


class OperatorOnly(DomainError):
    """The operation belongs to the operator of the platform; no key of a tenant may use it, whatever its scopes.

    Fix: use the operator's credential.
    """

    code = "operator-only"
    title = "Only the platform's operator may do this"
    status = 403


# The id follows from the Idempotency-Key: an old key, whose answer is no longer kept, meets its own tenant.
on_violation("tenants_pkey", Duplicate, fields=["idempotency_key"], pointer="Idempotency-Key", source="header")
on_violation("tenants_slug_key", Duplicate, fields=["slug"], pointer="/slug")
on_violation("placements_pkey", Duplicate, fields=["idempotency_key"], pointer="Idempotency-Key", source="header")
on_violation("placements_slug_key", Duplicate, fields=["slug"], pointer="/slug")
