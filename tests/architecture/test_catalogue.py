"""The database as it is, walked through PostgreSQL's own catalogue: no table, key or policy breaks a fence."""

import importlib
import pkgutil
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

import erp
from db.metadata import metadata
from tenancy.selfcheck import PLATFORM_TABLES
from tests.services import Services

#: What the platform role may see across tenants, and nothing else.
CROSSED = {
    "schedules", "schedule_runs",
    "tenants", "events", "outbox", "jobs", "idempotency_keys", "reservations", "configuration_entries",
    "configuration_changes", "placements", "saga_runs", "usage_months", "tenant_quotas", "event_generations",
    "event_receipts", "event_failures", "event_verifications",
}  # fmt: skip
#: Written once: the application may add rows, never change or remove them.
HISTORY = {
    "events", "audit_entries", "stock_moves", "journal_entries", "journal_lines", "allocations",
    "invoice_reminders", "number_voids", "goods_receipts", "goods_receipt_lines", "supplier_bill_lines",
    "stock_adjustments", "stock_adjustment_lines", "sales_returns", "sales_return_lines",
    "cost_corrections", "cost_correction_lines", "configuration_changes", "placements",
    "intercompany_sales", "plan_quotas", "operation_log", "recurring_order_runs", "period_checks", "schedule_runs",
}  # fmt: skip
#: Unique across tenants on purpose: only the operator creates tenants, and sees all of their slugs.
GLOBAL_UNIQUE = {"tenants_slug_key", "placements_slug_key"}


@pytest.fixture(scope="module")
def catalogue(services: Services) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(services.superuser_url, autocommit=True) as connection:
        yield connection


def rows(connection: psycopg.Connection[Any], sql: str) -> list[Any]:
    return connection.execute(sql).fetchall()


_TENANT_TABLES = (
    "SELECT c.oid FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')"
    " AND c.relname NOT LIKE 'test\\_%'"
)


def test_every_table_is_a_tenants_or_named_as_the_platforms(catalogue: psycopg.Connection[Any]) -> None:
    homeless = rows(
        catalogue,
        f"SELECT c.relname FROM pg_class c WHERE c.oid IN ({_TENANT_TABLES}) AND NOT EXISTS (SELECT 1 FROM"
        " pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'tenant_id' AND a.attnotnull)",
    )
    assert {name for (name,) in homeless} <= PLATFORM_TABLES


def test_row_level_security_is_forced_on_every_tenant_table(catalogue: psycopg.Connection[Any]) -> None:
    open_tables = rows(
        catalogue,
        f"SELECT c.relname FROM pg_class c WHERE c.oid IN ({_TENANT_TABLES})"
        " AND EXISTS (SELECT 1 FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'tenant_id')"
        " AND NOT (c.relrowsecurity AND c.relforcerowsecurity)",
    )
    assert open_tables == []


def test_only_named_tables_have_a_policy_across_tenants(catalogue: psycopg.Connection[Any]) -> None:
    crossings = rows(
        catalogue,
        "SELECT p.polrelid::regclass::text FROM pg_policy p"
        " WHERE pg_get_expr(p.polqual, p.polrelid) NOT LIKE '%app.tenant_id%'",
    )
    assert {name for (name,) in crossings} <= CROSSED


def test_every_primary_and_unique_key_starts_with_the_tenant(catalogue: psycopg.Connection[Any]) -> None:
    loose = rows(
        catalogue,
        "SELECT i.indexrelid::regclass::text FROM pg_index i JOIN pg_attribute a"
        " ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]"
        f" WHERE i.indisunique AND i.indrelid IN ({_TENANT_TABLES}) AND a.attname <> 'tenant_id'"
        " AND EXISTS (SELECT 1 FROM pg_attribute t WHERE t.attrelid = i.indrelid AND t.attname = 'tenant_id')",
    )
    assert {name for (name,) in loose} <= GLOBAL_UNIQUE


def test_every_foreign_key_carries_the_tenant_on_both_sides(catalogue: psycopg.Connection[Any]) -> None:
    """A plain one accepts another tenant's parent, row-level security or not."""
    plain = rows(
        catalogue,
        "SELECT c.conname FROM pg_constraint c"
        " JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = c.conkey[1]"
        " JOIN pg_attribute f ON f.attrelid = c.confrelid AND f.attnum = c.confkey[1]"
        f" WHERE c.contype = 'f' AND c.conrelid IN ({_TENANT_TABLES})"
        " AND NOT (a.attname = 'tenant_id' AND f.attname = 'tenant_id')",
    )
    assert plain == []


def test_a_plain_foreign_key_would_be_found(catalogue: psycopg.Connection[Any]) -> None:
    """The planted bug of the test above."""
    catalogue.execute("CREATE TABLE plain_child (tenant_id uuid, id uuid, parent uuid REFERENCES tenants)")
    try:
        with pytest.raises(AssertionError):
            test_every_foreign_key_carries_the_tenant_on_both_sides(catalogue)
    finally:
        catalogue.execute("DROP TABLE plain_child")


def test_views_run_as_their_caller(catalogue: psycopg.Connection[Any]) -> None:
    views = rows(
        catalogue,
        "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('v', 'm')"
        " AND NOT coalesce(reloptions, '{}') @> ARRAY['security_invoker=true']",
    )
    assert views == []


def test_no_function_runs_as_its_owner(catalogue: psycopg.Connection[Any]) -> None:
    functions = rows(
        catalogue,
        "SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace AND prosecdef",
    )
    assert functions == []


def test_the_application_role_owns_nothing_and_bypasses_nothing(catalogue: psycopg.Connection[Any]) -> None:
    for role in ("erp_app", "erp_platform"):
        [flags] = rows(
            catalogue, f"SELECT rolsuper, rolbypassrls, rolcreaterole FROM pg_roles WHERE rolname='{role}'"
        )
        assert flags == (False, False, False)
        assert rows(catalogue, f"SELECT relname FROM pg_class WHERE pg_get_userbyid(relowner) = '{role}'") == []


def test_history_is_append_only(catalogue: psycopg.Connection[Any]) -> None:
    for table in HISTORY:
        for privilege in ("UPDATE", "DELETE", "TRUNCATE"):
            [(granted,)] = rows(catalogue, f"SELECT has_table_privilege('erp_app', '{table}', '{privilege}')")
            assert not granted, f"{privilege} on {table}"


def test_the_described_tables_are_the_real_ones(catalogue: psycopg.Connection[Any]) -> None:
    for module in pkgutil.walk_packages(erp.__path__, "erp."):
        if module.name.endswith("models"):
            importlib.import_module(module.name)
    importlib.import_module("tenancy.trail")
    importlib.import_module("tenancy.api_keys")
    for table in metadata.tables.values():
        found = {
            name
            for (name,) in rows(
                catalogue,
                "SELECT attname FROM pg_attribute WHERE attrelid = to_regclass('" + table.name + "')"
                " AND attnum > 0 AND NOT attisdropped",
            )
        }
        assert found, f"{table.name} is described but does not exist"
        assert set(table.columns.keys()) <= found, f"{table.name}: {set(table.columns.keys()) - found} do not exist"


def test_money_is_always_finite(catalogue: psycopg.Connection[Any]) -> None:
    """NaN passes CHECK (amount > 0) and turns every sum into NaN: each numeric column is bounded on both sides."""
    unguarded = rows(
        catalogue,
        "SELECT a.attrelid::regclass::text || '.' || a.attname FROM pg_attribute a"
        f" WHERE a.attrelid IN ({_TENANT_TABLES}) AND a.atttypid = 'numeric'::regtype AND NOT a.attisdropped"
        " AND NOT EXISTS (SELECT 1 FROM pg_constraint c WHERE c.conrelid = a.attrelid AND c.contype = 'c'"
        " AND a.attnum = ANY (c.conkey) AND pg_get_constraintdef(c.oid) ~ '(Infinity|NaN|<=? |BETWEEN)')",
    )
    assert unguarded == []
