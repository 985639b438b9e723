"""Proof of the fences of a running system; an instance that fails it refuses to start."""

from dataclasses import dataclass
from typing import Any, NamedTuple

from db.pool import Pool, flush
from db.revisions import head, known_revisions
from db.statement import Bound

#: Tables that hold no tenant's rows; every other table must carry `tenant_id` and a policy.
PLATFORM_TABLES = frozenset(
    {
        "alembic_version",
        "leases",
        "lease_terms",
        "cron_runs",
        "system_schedules",
        "prepared_statements",
        "configuration_head",
        "two_phase_decisions",
        "plan_quotas",
        "event_consumers",
    }
)

#: The fence as it is, and as a later revision may have it: an instance may be restarted when the schema has moved on.
_SETTING = "(NULLIF(current_setting('app.tenant_id'::text, true), ''::text))::uuid"
_FENCES = frozenset({f'(tenant_id = ( SELECT {_SETTING} AS "nullif"))', f"(tenant_id = {_SETTING})"})

_ROLE: Bound[Any] = Bound("SELECT rolname, rolsuper, rolbypassrls FROM pg_roles WHERE rolname = current_user", {})
_TABLES: Bound[Any] = Bound(
    "SELECT c.relname, EXISTS (SELECT 1 FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'tenant_id'"
    " AND a.attnotnull AND NOT a.attisdropped), c.relrowsecurity, c.relforcerowsecurity,"
    " pg_get_userbyid(c.relowner) = current_user,"
    " (SELECT pg_get_expr(p.polqual, p.polrelid) FROM pg_policy p WHERE p.polrelid = c.oid"
    "  AND p.polname = 'tenant_fence' AND p.polcmd = '*'),"
    " (SELECT pg_get_expr(p.polwithcheck, p.polrelid) FROM pg_policy p WHERE p.polrelid = c.oid"
    "  AND p.polname = 'tenant_fence' AND p.polcmd = '*')"
    " FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') ORDER BY c.relname",
    {},
)
_VIEWS: Bound[Any] = Bound(
    "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'v'"
    " AND NOT coalesce(reloptions, '{}') @> ARRAY['security_invoker=true']",
    {},
)
_REVISION: Bound[Any] = Bound("SELECT version_num FROM alembic_version", {})


class _Table(NamedTuple):
    name: str
    has_tenant: bool
    enabled: bool
    forced: bool
    owned_by_caller: bool
    using: str | None
    check: str | None


@dataclass(frozen=True, slots=True)
class Finding:
    """One checked fact: `subject` is a table, the role or the schema; `problem` is None when all is well."""

    subject: str
    problem: str | None


class FencesDown(RuntimeError):
    """The database would let tenants see each other, or is not at this build's schema."""


async def inspect(pool: Pool) -> list[Finding]:
    """Every check with its result, for the self-test report."""
    async with pool.connection() as connection:
        [role], tables, views, revisions = await flush(connection, [_ROLE, _TABLES, _VIEWS, _REVISION])
    findings = [Finding("role", _role_problem(*role))]
    findings += [Finding(f"table {t.name}", _table_problem(t)) for t in (_Table(*row) for row in tables)]
    findings += [Finding(f"view {name}", "does not run as its caller (security_invoker)") for (name,) in views]
    findings.append(Finding("schema", _schema_problem(revisions[0][0] if revisions else "none")))
    return findings


async def refuse_unless_fenced(pool: Pool) -> None:
    """Raises FencesDown naming every problem."""
    problems = [f"{f.subject}: {f.problem}" for f in await inspect(pool) if f.problem]
    if problems:
        raise FencesDown("; ".join(problems))


def _schema_problem(found: str) -> str | None:
    """Older is refused. Newer than this build knows is not: a schema grows before the code that needs it."""
    expected = head()
    if found == expected or (found != "none" and found not in known_revisions()):
        return None
    return f"at revision {found}, needs {expected}"


def _role_problem(name: str, superuser: bool, bypasses: bool) -> str | None:
    if superuser or bypasses:
        return f"{name} can bypass row-level security"
    return None


def _table_problem(table: _Table) -> str | None:
    if not table.has_tenant:
        return None if table.name in PLATFORM_TABLES else "has no tenant_id and is no platform table"
    if table.owned_by_caller:
        return "is owned by the application role"
    if not (table.enabled and table.forced):
        return "row-level security is not enabled and forced"
    if not {table.using, table.check} <= _FENCES:
        return "the policy tenant_fence is missing or altered"
    return None
