"""Books written before the second revision are carried over by it, rows behind forced fences included."""

import uuid
from collections.abc import Iterator

import psycopg
import pytest
from alembic import command
from psycopg import sql

from db.migrations import alembic_config, migrate
from tests.services import Services

TENANT, OTHER = uuid.UUID(int=1), uuid.UUID(int=2)
PRODUCT, PLACE, PARTY, ORDER = (uuid.UUID(int=n) for n in (11, 12, 13, 14))


@pytest.fixture
def first_revision(bare_services: Services) -> Iterator[tuple[str, str]]:
    """A database of its own at the first revision: (the owner's address, the superuser's)."""
    name = f"upgraded_{uuid.uuid4().hex[:8]}"
    with psycopg.connect(bare_services.superuser_url, autocommit=True) as session:
        session.execute(sql.SQL("CREATE DATABASE {} OWNER erp_owner").format(sql.Identifier(name)))
    owner, superuser = (
        # As an address: the migrations give it to SQLAlchemy.
        _address(url, name)
        for url in (bare_services.owner_url, bare_services.superuser_url)
    )
    try:
        command.upgrade(alembic_config(owner), "0001")
        yield owner, superuser
    finally:
        with psycopg.connect(bare_services.superuser_url, autocommit=True) as session:
            session.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def _address(url: str, database: str) -> str:
    return url.rpartition("/")[0] + "/" + database


def write(superuser: str, statement: str, *parameters: object) -> None:
    with psycopg.connect(superuser, autocommit=True) as session:
        session.execute("SET session_replication_role = replica")
        session.execute(statement.encode(), parameters)


def moved(superuser: str, tenant: uuid.UUID, day: str) -> None:
    write(
        superuser,
        "INSERT INTO stock_moves (tenant_id, id, product_id, location_id, date, kind, quantity, value, unit_cost,"
        " source_type, source_id) VALUES (%s, gen_random_uuid(), %s, %s, %s, 'receipt', 1, 0, 0, 'x', %s)",
        tenant, PRODUCT, PLACE, day, ORDER,
    )  # fmt: skip


def invoiced(superuser: str, tenant: uuid.UUID) -> None:
    write(
        superuser,
        "INSERT INTO invoices (tenant_id, id, kind, state, party_id, date, due_date, currency, prices_include_tax,"
        " tax_rounding, net, tax, gross, line_count, order_id) VALUES (%s, gen_random_uuid(), 'invoice', 'draft',"
        " %s, '2026-01-01', '2026-01-01', 'GBP', false, 'line', 0, 0, 0, 1, %s)",
        tenant, PARTY, ORDER,
    )  # fmt: skip


def ordered(superuser: str, tenant: uuid.UUID) -> None:
    write(
        superuser,
        "INSERT INTO sales_orders (tenant_id, id, number, state, party_id, location_id, date, currency,"
        " prices_include_tax, tax_rounding, payment_terms_days, net, tax, gross, line_count) VALUES"
        " (%s, %s, 'SO-1', 'confirmed', %s, %s, '2026-01-01', 'GBP', false, 'line', 0, 0, 0, 0, 1)",
        tenant, ORDER, PARTY, PLACE,
    )  # fmt: skip


def test_products_know_the_day_of_their_latest_move(first_revision: tuple[str, str]) -> None:
    owner, superuser = first_revision
    for tenant, days in ((TENANT, ("2026-01-05", "2026-02-07")), (OTHER, ("2025-12-31",))):
        write(superuser, "INSERT INTO product_costs (tenant_id, product_id) VALUES (%s, %s)", tenant, PRODUCT)
        for day in days:
            moved(superuser, tenant, day)
    ordered(superuser, TENANT)
    invoiced(superuser, TENANT)
    migrate(owner)
    with psycopg.connect(superuser) as session:
        found = session.execute("SELECT tenant_id, last_on::text FROM product_costs ORDER BY tenant_id").fetchall()
        unfenced = session.execute(
            "SELECT relname FROM pg_class WHERE relkind = 'r' AND relrowsecurity AND NOT relforcerowsecurity"
        ).fetchall()
    assert found == [(TENANT, "2026-02-07"), (OTHER, "2025-12-31")]
    assert unfenced == []


def test_an_invoice_of_an_order_there_is_not_stops_the_upgrade(first_revision: tuple[str, str]) -> None:
    """Another tenant's order is none: the fence is lifted while the key is checked, the tenant is part of it."""
    owner, superuser = first_revision
    ordered(superuser, OTHER)
    invoiced(superuser, TENANT)
    with pytest.raises(psycopg.errors.ForeignKeyViolation, match="invoices_order"):
        migrate(owner)


_PARTY = (
    "INSERT INTO parties (tenant_id, id, code, name, is_customer, is_supplier, payment_terms_days)"
    " VALUES (%s, gen_random_uuid(), %s, 'Party', true, false, 30)"
)


def test_parties_have_no_price_list_until_somebody_gives_them_one(first_revision: tuple[str, str]) -> None:
    """Also those of programs that were started before the revision and do not know the column."""
    owner, superuser = first_revision
    write(superuser, _PARTY, TENANT, "BEFORE")
    migrate(owner)
    write(superuser, _PARTY, TENANT, "AFTER")
    with psycopg.connect(superuser) as session:
        found = session.execute("SELECT code, price_list_id FROM parties ORDER BY code").fetchall()
    assert found == [("AFTER", None), ("BEFORE", None)]
