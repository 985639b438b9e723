"""Built-in roles as sets of scopes `resource:action`; `*` stands for any resource or any action."""

from functools import lru_cache

READ_ALL = frozenset({"*:read"})

_SALES = {
    "parties:*", "products:read", "taxes:read", "sales_orders:*", "deliveries:*", "returns:*", "invoices:*",
    "reservations:*", "intercompany_sales:*", "stock:read", "payments:read", "jobs:read", "imports:*", "notices:*",
    "tenant:read", "fulfilments:read", "fulfilments:write", "operations:*",
}  # fmt: skip
_WAREHOUSE = {
    "products:*", "stock:*", "reservations:*", "deliveries:*", "returns:*", "goods_receipts:*", "sales_orders:read",
    "purchase_orders:*", "parties:read", "jobs:read", "imports:*", "notices:*", "tenant:read", "operations:*",
    "schedules:*",
}  # fmt: skip
_ACCOUNTANT = {
    "*:read", "ledger:*", "periods:*", "invoices:*", "payments:*", "bills:*", "taxes:*", "parties:*",
    "purchase_orders:*", "imports:*", "jobs:*", "fulfilments:*", "operations:*", "schedules:*",
}  # fmt: skip

#: Role -> scopes. `owner` alone manages keys and the tenant's own record.
ROLES: dict[str, frozenset[str]] = {
    "owner": frozenset({"*:*"}),
    "admin": frozenset({"*:*"}),
    "accountant": frozenset(_ACCOUNTANT),
    "sales": frozenset(_SALES),
    "warehouse": frozenset(_WAREHOUSE),
    "auditor": READ_ALL,
    "custom": frozenset(),
}


@lru_cache(maxsize=4096)
def allows(scopes: frozenset[str], permission: str) -> bool:
    """Whether any scope covers `resource:action`."""
    resource, _, action = permission.partition(":")
    return not scopes.isdisjoint({permission, f"{resource}:*", f"*:{action}", "*:*"})


def covers(holder: frozenset[str], wanted: frozenset[str]) -> bool:
    """Whether `holder` may hand out every one of `wanted`: nobody grants more than they hold."""
    return all(_covered(holder, scope) for scope in wanted)


def _covered(holder: frozenset[str], scope: str) -> bool:
    resource, _, action = scope.partition(":")
    return bool(holder & {scope, "*:*"} or (action != "*" and f"*:{action}" in holder)
                or (resource != "*" and f"{resource}:*" in holder))  # fmt: skip
