# ruff: noqa: S608  # put together from constants of this module
"""Statements across tenants: the feed of a consumer, and how far it has confirmed.

Transactions end in any order, positions do not tell which have. What transactions below the horizon
(`pg_snapshot_xmin`) wrote is all there is below it: only there a consumer confirms.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import text

from db.statement import Statement
from erp.projections.definition import Delivered
from erp.projections.repository import Place, delivered
from workers.claim import TenantRow


class FeedRow(NamedTuple):
    """`settled`: it had its effect, or waits for a decision. `failed`, `due`: it failed before; to be tried again."""

    event: Delivered
    settled: bool
    failed: bool
    due: bool


class Slice(NamedTuple):
    """`horizon`: the feed is whole below it. A row without an event says that there is none."""

    horizon: int
    row: FeedRow | None

    @classmethod
    def read(cls, horizon: str, settled: bool | None, failed: bool, due: bool, *event: Any) -> "Slice":
        if event[0] is None:
            return cls(int(horizon), None)
        return cls(int(horizon), FeedRow(delivered(*event), bool(settled), failed, due))


#: Its failure awaits a decision; or every generation that is to have the event has it.
_SETTLED = (
    "(f.state IN ('dead', 'discarded', 'replayed') IS TRUE OR (EXISTS (SELECT FROM event_generations g"
    " WHERE g.tenant_id = e.tenant_id AND g.consumer = CAST(:consumer AS text) AND g.state = 'live')"
    " AND NOT EXISTS (SELECT FROM event_generations g WHERE g.tenant_id = e.tenant_id"
    " AND g.consumer = CAST(:consumer AS text)"
    " AND (g.state = 'live' OR (g.state = 'building' AND e.xid >= g.below))"
    " AND NOT EXISTS (SELECT FROM event_receipts r WHERE r.tenant_id = e.tenant_id"
    " AND r.consumer = CAST(:consumer AS text) AND r.event_id = e.event_id AND r.generation = g.generation))))"
)
_FAILURE = (
    "LEFT JOIN event_failures f ON f.tenant_id = e.tenant_id AND f.consumer = CAST(:consumer AS text)"
    " AND f.event_id = e.event_id"
)
FEED: Statement[Slice] = Statement(
    text(
        "WITH h AS MATERIALIZED (SELECT pg_snapshot_xmin(pg_current_snapshot()) AS xid)"
        " SELECT h.xid::text, told.* FROM h LEFT JOIN LATERAL ("
        f"SELECT {_SETTLED} AS settled, coalesce(f.state = 'waiting', false) AS failed,"
        " coalesce(f.retry_at <= clock_timestamp(), true) AS due,"
        " e.tenant_id, e.event_id, e.xid::text AS xid, e.position, e.type, e.aggregate_type, e.aggregate_id,"
        " e.version, e.data, e.occurred_at"
        f" FROM events e {_FAILURE} WHERE e.xid IS NOT NULL AND e.xid < h.xid"
        " AND (e.xid, e.position) > (CAST(CAST(:xid AS text) AS xid8), CAST(:position AS bigint))"
        " AND e.type = ANY(CAST(:types AS text[]))"
        " ORDER BY e.xid, e.position LIMIT CAST(:at_most AS bigint)) AS told ON true"
    ),
    Slice.read,
)
#: Of these events, those without their effect.
UNSETTLED: Statement[tuple[UUID]] = Statement(
    text(
        f"SELECT e.event_id FROM unnest(CAST(:tenants AS uuid[]), CAST(:ids AS uuid[])) AS asked (tenant, id)"
        f" JOIN events e ON e.tenant_id = asked.tenant AND e.event_id = asked.id {_FAILURE}"
        f" WHERE NOT {_SETTLED}"
    )
)
BEGIN_CONSUMER: Statement[tuple[Any, ...]] = Statement(
    text("INSERT INTO event_consumers (name, xid) VALUES (CAST(:consumer AS text), '0'::xid8) ON CONFLICT DO NOTHING")
)
PLACE: Statement[Place] = Statement(
    text("SELECT xid::text, position, settled_at FROM event_consumers WHERE name = CAST(:consumer AS text)"),
    Place.read,
)
LOCK_PLACE: Statement[Place] = Statement(
    text(
        "SELECT xid::text, position, settled_at FROM event_consumers WHERE name = CAST(:consumer AS text) FOR UPDATE"
    ),
    Place.read,
)
CONFIRM: Statement[tuple[Any, ...]] = Statement(
    text(
        "UPDATE event_consumers SET xid = CAST(CAST(:xid AS text) AS xid8), position = CAST(:position AS bigint),"
        " settled_at = CASE WHEN CAST(:whole AS boolean) THEN clock_timestamp() ELSE settled_at END"
        " WHERE name = CAST(:consumer AS text)"
    )
)
DROP_CONFIRMED: Statement[tuple[Any, ...]] = Statement(
    text(
        "DELETE FROM event_receipts r"
        " USING unnest(CAST(:tenants AS uuid[]), CAST(:ids AS uuid[])) AS done (tenant, id)"
        " WHERE r.tenant_id = done.tenant AND r.consumer = CAST(:consumer AS text) AND r.event_id = done.id"
    )
)
LAGS: Statement[tuple[Any, ...]] = Statement(
    text(
        "SELECT c.name, extract(epoch FROM clock_timestamp() - c.settled_at)::float,"
        " (SELECT count(*) FROM event_failures f WHERE f.consumer = c.name AND f.state = 'dead')"
        " FROM event_consumers c"
    )
)
#: By kind, tenants whose newest verification that has ended found a difference. The others cost nothing.
DIFFERING: Statement[tuple[Any, ...]] = Statement(
    text(
        "SELECT v.kind, count(DISTINCT v.tenant_id) FROM event_verifications v WHERE v.state = 'differs'"
        " AND NOT EXISTS (SELECT FROM event_verifications later WHERE later.tenant_id = v.tenant_id"
        " AND later.created_at > v.created_at AND later.kind = v.kind AND later.state = 'agrees') GROUP BY v.kind"
    )
)
TENANTS: Statement[TenantRow] = Statement(
    text(
        "SELECT tenant_id, slug, name, state, base_currency, country, time_zone, settings, CAST(:database AS text)"
        " FROM tenants WHERE tenant_id = ANY(CAST(:ids AS uuid[]))"
    ),
    TenantRow,
)

Facts = Mapping[UUID, TenantRow]
