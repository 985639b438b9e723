# ruff: noqa: S608  # woven from constants of this module
"""How each read model follows from the documents: the same definition adds to it, and checks it.

Written as text: one definition is woven into two statements. A document's rows are final when its event is told, so
an event needs to name its document only, whatever form its data has.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import text

from db.statement import Statement


class Deviation(NamedTuple):
    """A row of a read model that is not what the documents amount to."""

    key: str
    stored: str
    recomputed: str


@dataclass(frozen=True, slots=True)
class ReadModel:
    """`source` selects keys and measures of the documents that `{only}` names, grouped by the keys; `document` is the
    column of a document's id. `lasting`: the condition of stored rows that no event under way changes."""

    table: str
    consumer: str
    keys: tuple[str, ...]
    measures: tuple[str, ...]
    source: str
    document: str
    lasting: str = ""

    def adding(self) -> Statement[tuple[Any, ...]]:
        """Add what the documents `ids` amount to."""
        columns = ", ".join((*self.keys, *self.measures))
        sums = ", ".join(f"{name} = {self.table}.{name} + excluded.{name}" for name in self.measures)
        source = self.source.format(only=f"AND {self.document} = ANY(CAST(:ids AS uuid[]))")
        return Statement(
            text(
                f"INSERT INTO {self.table} (tenant_id, generation, {columns})"
                f" SELECT CAST(:tenant_id AS uuid), CAST(:generation AS integer), {columns}"
                f" FROM ({source}) AS told ORDER BY {', '.join(self.keys)}"
                f" ON CONFLICT (tenant_id, generation, {', '.join(self.keys)}) DO UPDATE SET {sums}"
            )
        )

    def checking(self, types: Sequence[str]) -> Statement[Deviation]:
        """Rows of the live generation that are not what the documents amount to, events under way left out.

        One statement, so one snapshot of documents, receipts, confirmed position and rows.
        """
        pending = _PENDING.format(consumer=self.consumer, types=", ".join(f"'{one}'" for one in sorted(types)))
        source = self.source.format(only=f"AND {self.document} NOT IN (SELECT id FROM pending)")
        zero = " OR ".join(f"{name} <> 0" for name in self.measures)
        keys = ", '/', ".join(self.keys)
        same = " AND ".join(f"m.{name} = r.{name}" for name in self.measures)
        return Statement(
            text(
                f"WITH {pending}, recomputed AS (SELECT * FROM ({source}) AS s WHERE {zero}),"
                f" stored AS (SELECT * FROM {self.table} AS kept WHERE tenant_id = :tenant_id AND generation ="
                f" (SELECT generation FROM live) AND ({zero}) {self.lasting})"
                f" SELECT concat({keys}),"
                f" concat_ws(' / ', {', '.join(f'm.{name}' for name in self.measures)}),"
                f" concat_ws(' / ', {', '.join(f'r.{name}' for name in self.measures)})"
                f" FROM stored AS m FULL JOIN recomputed AS r USING ({', '.join(self.keys)})"
                f" WHERE ({same}) IS NOT TRUE ORDER BY 1 LIMIT 1000"
            ),
            Deviation,
        )

    def counting(self) -> Statement[tuple[Any, ...]]:
        return Statement(
            text(
                f"SELECT count(*)::integer FROM {self.table} WHERE tenant_id = :tenant_id AND generation ="
                f" (SELECT generation FROM event_generations WHERE tenant_id = :tenant_id"
                f" AND consumer = '{self.consumer}' AND state = 'live')"
            )
        )

    def purging(self) -> Statement[tuple[Any, ...]]:
        """Drop at most so many rows of a generation that is not shown any more."""
        return Statement(
            text(
                f"DELETE FROM {self.table} WHERE ctid = ANY(ARRAY(SELECT ctid FROM {self.table}"
                " WHERE tenant_id = :tenant_id AND generation = CAST(:generation AS integer)"
                " LIMIT CAST(:at_most AS bigint))) RETURNING 1"
            )
        )


#: Documents whose events have not had their effect in the live generation yet.
_PENDING = (
    "live AS (SELECT generation FROM event_generations WHERE tenant_id = :tenant_id AND consumer = '{consumer}'"
    " AND state = 'live'), pending AS (SELECT e.aggregate_id AS id FROM events e, event_consumers c"
    " WHERE c.name = '{consumer}' AND e.tenant_id = :tenant_id AND e.xid IS NOT NULL"
    " AND e.xid >= c.xid AND (e.xid, e.position) > (c.xid, c.position) AND e.type IN ({types})"
    " AND NOT EXISTS (SELECT FROM event_receipts r, live WHERE r.tenant_id = :tenant_id"
    " AND r.consumer = '{consumer}' AND r.event_id = e.event_id AND r.generation = live.generation)"
    " UNION SELECT e.aggregate_id FROM event_failures f JOIN events e"
    " ON e.tenant_id = f.tenant_id AND e.event_id = f.event_id WHERE f.tenant_id = :tenant_id"
    " AND f.consumer = '{consumer}' AND f.state IN ('waiting', 'dead', 'discarded'))"
)

_INVOICES = (
    "SELECT i.accounting_date AS day, {columns} FROM invoices i WHERE i.tenant_id = :tenant_id"
    " AND i.state = 'posted' {{only}} GROUP BY {by}"
)
_SIGNED = "CASE i.kind WHEN 'invoice' THEN {0} ELSE -{0} END"


def _sum(column: str, name: str) -> str:
    return f"sum({_SIGNED.format(column)}) AS {name}"


_AMOUNTS = ", ".join(_sum(f"i.{name}", name) for name in ("net", "tax", "gross"))
SALES_BY_DAY = ReadModel(
    "sales_by_day", "sales", ("day",), ("documents", "net", "tax", "gross"),
    _INVOICES.format(columns=f"count(*)::integer AS documents, {_AMOUNTS}", by="i.accounting_date"), "i.id",
)  # fmt: skip
SALES_BY_CUSTOMER = ReadModel(
    "sales_by_customer", "sales", ("day", "party_id"), ("documents", "net", "tax", "gross"),
    _INVOICES.format(
        columns=f"i.party_id, count(*)::integer AS documents, {_AMOUNTS}", by="i.accounting_date, i.party_id"
    ),
    "i.id",
)  # fmt: skip
SALES_BY_PRODUCT = ReadModel(
    "sales_by_product", "sales", ("day", "product_id"), ("quantity", "net"),
    f"SELECT i.accounting_date AS day, l.product_id, {_sum('l.quantity', 'quantity')}, {_sum('l.net', 'net')}"
    " FROM invoices i JOIN invoice_lines l ON l.tenant_id = i.tenant_id AND l.invoice_id = i.id"
    " WHERE i.tenant_id = :tenant_id AND i.state = 'posted' AND l.product_id IS NOT NULL {only}"
    " GROUP BY i.accounting_date, l.product_id",
    "i.id",
)  # fmt: skip


def _of_kind(name: str, *kinds: str) -> str:
    named = ", ".join(f"'{kind}'" for kind in kinds)
    return f"coalesce(sum(m.quantity) FILTER (WHERE m.kind IN ({named})), 0) AS {name}"


STOCK_MOVEMENTS = ReadModel(
    "stock_movements_by_day", "stock-movements", ("day", "product_id", "location_id"),
    ("received", "delivered", "returned", "adjusted", "value"),
    "SELECT m.date AS day, m.product_id, m.location_id, "
    + ", ".join((
        _of_kind("received", "receipt"), _of_kind("delivered", "delivery"), _of_kind("returned", "return"),
        _of_kind("adjusted", "adjustment"), "sum(m.value) AS value",
    ))
    + " FROM stock_moves m WHERE m.tenant_id = :tenant_id {only} GROUP BY m.date, m.product_id, m.location_id",
    "m.source_id",
)  # fmt: skip

_ITEMS = (
    "SELECT o.id AS item_id, o.party_id, o.due_date,"
    " CASE o.direction WHEN 'debit' THEN o.open_amount ELSE -o.open_amount END AS open_amount, o.version"
    " FROM open_items o WHERE o.tenant_id = :tenant_id AND o.side = 'receivable'"
)
#: Set, not added: an item's row says all of it, so that an event applied again changes nothing.
DROP_RECEIVABLES: Statement[tuple[Any, ...]] = Statement(
    text(
        "DELETE FROM receivables WHERE tenant_id = :tenant_id AND generation = CAST(:generation AS integer)"
        " AND item_id IN (SELECT o.id FROM open_items o WHERE o.tenant_id = :tenant_id"
        " AND (o.id = ANY(CAST(:ids AS uuid[])) OR o.document_id = ANY(CAST(:ids AS uuid[]))))"
    )
)
SET_RECEIVABLES: Statement[tuple[Any, ...]] = Statement(
    text(
        "INSERT INTO receivables (tenant_id, generation, item_id, party_id, due_date, open_amount, version)"
        f" SELECT CAST(:tenant_id AS uuid), CAST(:generation AS integer), found.* FROM ({_ITEMS}"
        " AND o.open_amount <> 0"
        " AND (o.id = ANY(CAST(:ids AS uuid[])) OR o.document_id = ANY(CAST(:ids AS uuid[])))) AS found"
    )
)
_STILL = "o.id NOT IN (SELECT id FROM pending) AND o.document_id NOT IN (SELECT id FROM pending)"
RECEIVABLES = ReadModel(
    "receivables", "receivables", ("item_id",), ("open_amount",),
    f"{_ITEMS} AND {_STILL} {{only}}", "o.id",
    lasting="AND kept.item_id IN (SELECT o.id FROM open_items o WHERE o.tenant_id = :tenant_id"
    f" AND {_STILL})",
)  # fmt: skip
