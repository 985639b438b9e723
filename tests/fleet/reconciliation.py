"""The history of the traders beside the rows of a database: nothing lost, nothing twice, nothing for a refusal."""

from collections import defaultdict
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import psycopg
from psycopg.rows import TupleRow

from tests.fleet.traders import Deed, History, Shop

Database = psycopg.Connection[TupleRow]

#: Kind of deed -> the table its record is in, and the column with the mark.
_RECORDS = {
    "order": ("sales_orders", "reference"),
    "scarce": ("sales_orders", "reference"),
    "delivery": ("deliveries", "text"),
    "invoice": ("invoices", "text"),
    "payment": ("payments", "reference"),
    "adjustment": ("stock_adjustments", "text"),
}


def expected_records(history: History, shop: Shop) -> dict[str, list[str]]:
    """Mark -> the id that was told, once for every acknowledged write that makes a record."""
    return {deed.mark: [deed.told["id"]] for deed in _making(history, shop) if deed.done}


def found_records(database: Database, history: History, shop: Shop) -> dict[str, list[str]]:
    """Mark -> the ids of all records that carry it."""
    found: dict[str, list[str]] = defaultdict(list)
    marks = [deed.mark for deed in _making(history, shop)]
    for table, column in sorted(set(_RECORDS.values())):
        sql = f"SELECT {column}, id::text FROM {table} WHERE tenant_id = %s AND {column} = ANY(%s)"
        for mark, record in database.execute(sql, [shop.id, marks]).fetchall():
            found[mark].append(record)
    return dict(found)


def unfinished_flows(database: Database, history: History, shop: Shop) -> list[Any]:
    """Orders that are not delivered and invoiced exactly once, though every step was acknowledged."""
    orders = [deed.told["id"] for deed in history.of(shop, "order") if deed.done]
    rows = database.execute(
        "SELECT o.id, o.state, count(DISTINCT d.id), count(DISTINCT i.id) FROM sales_orders o"
        " LEFT JOIN deliveries d ON d.tenant_id = o.tenant_id AND d.order_id = o.id"
        " LEFT JOIN invoices i ON i.tenant_id = o.tenant_id AND i.order_id = o.id AND i.state = 'posted'"
        " WHERE o.tenant_id = %s AND o.id = ANY(%s::uuid[]) GROUP BY o.id, o.state",
        [shop.id, orders],
    ).fetchall()
    return [row for row in rows if row[1:] != ("delivered", 1, 1)]


def stock_moved(database: Database, shop: Shop) -> dict[str, Decimal]:
    """Product -> what is on hand."""
    sql = "SELECT product_id::text, sum(on_hand) FROM stock_levels WHERE tenant_id = %s GROUP BY product_id"
    return dict(database.execute(sql, [shop.id]).fetchall())


def stock_told(history: History, shop: Shop, opening: Decimal, imported: int) -> dict[str, Decimal]:
    """Product -> what the acknowledged writes leave of the opening stock; imports found one of the first each."""
    found = dict.fromkeys(shop.products, opening)
    found[shop.products[0]] += imported
    delivered = {deed.told["order_id"] for deed in history.of(shop, "delivery") if deed.done}
    signs = [(-1, deed) for deed in history.of(shop, "order") if deed.done and deed.told["id"] in delivered]
    signs += [(1, deed) for deed in history.of(shop, "adjustment") if deed.done]
    for sign, deed in signs:
        for line in deed.told["lines"]:
            found[line["product_id"]] += sign * Decimal(line["quantity"])
    return found


def held(database: Database, shop: Shop, product: str) -> Decimal:
    """What is reserved or gone of a product, by the lines of orders that are confirmed or further."""
    sql = (
        "SELECT coalesce(sum(l.quantity), 0) FROM sales_order_lines l"
        " JOIN sales_orders o ON o.tenant_id = l.tenant_id AND o.id = l.order_id"
        " WHERE l.tenant_id = %s AND l.product_id = %s AND o.state <> 'draft'"
    )
    [[found]] = database.execute(sql, [shop.id, product]).fetchall()
    return Decimal(found)


def _making(history: History, shop: Shop) -> Sequence[Deed]:
    return [deed for deed in history.deeds if deed.shop is shop and deed.kind in _RECORDS]
