"""The statements of every sale find their rows by index, however large the tables and however generic the plan."""

import re
from collections.abc import AsyncIterator
from datetime import date
from typing import Any

import psycopg
import pytest
from psycopg import sql

from db.identifiers import new_id
from db.statement import Bound
from erp.inventory.repository import MOVE_COSTS, MOVE_LEVELS, MOVED_SINCE
from erp.inventory.reservations import reservations_of
from erp.inventory.stock import arrived_later, stock_loads
from erp.sales.credit_queries import EXPOSURE
from erp.sales.repository import LOCK_ORDER, ORDER_LINES
from tests.slices.inventory.shop import MARCH, Shop

_MANY = 20_000
_TABLES = ("products", "stock_levels", "product_costs", "stock_moves")


def generic_plan(shop: Shop, statement: Bound[Any]) -> str:
    """The plan PostgreSQL keeps for a prepared statement when it knows none of its values."""
    names = list(dict.fromkeys(re.findall(r"%\((\w+)\)s", statement.sql)))
    text = re.sub(r"%\((\w+)\)s", lambda found: f"${names.index(found[1]) + 1}", statement.sql)
    values = {**statement.parameters, "tenant_id": shop.caller.tenant.id}
    with psycopg.connect(shop.superuser_url, autocommit=True) as connection:
        connection.execute("SET plan_cache_mode = force_generic_plan")
        connection.execute(sql.SQL("PREPARE hot AS {}").format(sql.SQL(text)))
        arguments = sql.SQL(", ").join(sql.Literal(values[name]) for name in names)
        rows = connection.execute(sql.SQL("EXPLAIN EXECUTE hot({})").format(arguments)).fetchall()
    return "\n".join(row[0] for row in rows)


@pytest.fixture
async def large(shop: Shop) -> AsyncIterator[Shop]:
    """One location with many products; nothing here is checked, so nothing needs to fit together."""
    tenant, location = shop.caller.tenant.id, shop.location
    shop.tamper(
        "INSERT INTO products (tenant_id, id, code, name, kind, unit_id)"
        " SELECT %s, gen_random_uuid(), 'X' || n, 'X', 'stocked', gen_random_uuid() FROM generate_series(1, %s) n",
        tenant, _MANY,
    )  # fmt: skip
    shop.tamper(
        "INSERT INTO stock_levels (tenant_id, product_id, location_id, id)"
        " SELECT tenant_id, id, %s, gen_random_uuid() FROM products WHERE tenant_id = %s", location, tenant,
    )  # fmt: skip
    shop.tamper(
        "INSERT INTO product_costs (tenant_id, product_id) SELECT tenant_id, id FROM products WHERE tenant_id = %s",
        tenant,
    )
    shop.tamper(
        "INSERT INTO stock_moves (tenant_id, id, product_id, location_id, date, kind, quantity, value, unit_cost,"
        " source_type, source_id) SELECT tenant_id, gen_random_uuid(), product_id, location_id, %s, 'receipt', 1, 0,"
        " 0, 'x', gen_random_uuid() FROM stock_levels WHERE tenant_id = %s", MARCH, tenant,
    )  # fmt: skip
    for table in _TABLES:
        shop.tamper(f"ANALYZE {table}")
    yield shop
    for table in _TABLES:
        shop.tamper(f"DELETE FROM {table} WHERE tenant_id = %s", tenant)


async def test_hot_statements_scan_no_large_table(large: Shop) -> None:
    pairs = [(large.lamp, large.location), (large.cup, large.location)]
    products, locations = [one for one, _ in pairs], [other for _, other in pairs]
    levels, costs = stock_loads(pairs)
    statements = [
        levels,
        costs,
        arrived_later(pairs, MARCH),
        MOVE_LEVELS(products=products, locations=locations, on_hands=[1, 1], reserveds=[0, 0]),
        MOVE_COSTS(products=products, quantities=[1, 1], amounts=[1, 1], lasts=[1, 1], on=MARCH),
        MOVED_SINCE(products=products, on=date(2026, 2, 1), limit=20_001),
        EXPOSURE(party_id=large.customer),
        reservations_of(new_id()),
        LOCK_ORDER(order_id=new_id()),
        ORDER_LINES(order_id=new_id()),
    ]
    for statement in statements:
        plan = generic_plan(large, statement)
        for table in _TABLES:
            assert f"Seq Scan on {table}" not in plan, plan
