"""Tenants as a tool of the platform sees them: those of one database, the caller being whoever uses the tool."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from db.statement import Bound
from tenancy.caller import Caller, TenantFacts, command_line_caller

_ACTIVE = (
    "SELECT tenant_id, slug, name, state, base_currency, country, time_zone, settings FROM tenants"
    " WHERE state = 'active' AND (slug = CAST(%(slug)s AS text) OR CAST(%(slug)s AS text) = '') ORDER BY slug"
)


def ACTIVE(slug: str) -> Bound[Any]:  # noqa: N802  # used like a statement
    """All active tenants of the database, or the one with this slug."""
    return Bound(_ACTIVE, {"slug": slug})


def callers_of(rows: Sequence[tuple[Any, ...]], database: str) -> list[Caller]:
    """`database`: where the rows were found, and the tenants' own rows are."""
    return [command_line_caller(replace(TenantFacts(*row), database=database)) for row in rows]
