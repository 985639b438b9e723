# ruff: noqa: S608  # put together from constants of this module
"""Statements that add up what events tell of stock levels, a bounded part at a time."""

from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Integer, Uuid, bindparam, select, text

from db.statement import TENANT, Statement
from erp.eventstore.repository import LevelPlace
from erp.inventory.models import stock_levels


class LevelPart(NamedTuple):
    """What some events tell of a level. `opened`: the version at which it was told as a whole; then what came before
    counts for nothing. `changes`: told after that."""

    product_id: UUID
    location_id: UUID
    opened: int | None
    least: int
    version: int
    on_hand: Decimal
    reserved: Decimal
    changes: int

    @property
    def place(self) -> tuple[UUID, UUID]:
        return self.product_id, self.location_id


class LevelFinding(NamedTuple):
    """A level as stored and as its events add up to. `told`: from its beginning, or since it was opened."""

    id: UUID
    version: int
    on_hand: Decimal
    reserved: Decimal
    folded_version: int
    folded_on_hand: Decimal
    folded_reserved: Decimal
    changes: int
    start: int
    told: bool

    @property
    def complete(self) -> bool:
        """Every version from the start of what was told to the stored one was told exactly once."""
        return self.told and self.changes == self.version - self.start and self.folded_version == self.version

    @property
    def agrees(self) -> bool:
        return self.complete and (self.folded_on_hand, self.folded_reserved) == (self.on_hand, self.reserved)


#: Transactions below it have ended: what they wrote neither grows nor shrinks any more.
FIXED_BELOW: Statement[tuple[Any, ...]] = Statement(text("SELECT pg_snapshot_xmin(pg_current_snapshot())::text"))

_PAGE = (
    "(SELECT max(page.position) FROM (SELECT position FROM events WHERE tenant_id = :tenant_id"
    " AND position > CAST(:after AS bigint) ORDER BY position LIMIT CAST(:at_most AS bigint)) AS page)"
)
#: Where the page behind a position ends; null when there is nothing behind it.
PAGE_END: Statement[tuple[Any, ...]] = Statement(text(f"SELECT {_PAGE}"))


def _parts(of_events: str) -> Statement[LevelPart]:
    """Streams of the tenant's own are not asked: whatever they call `levels` is theirs."""
    return Statement(
        text(
            "WITH told AS MATERIALIZED ("
            " SELECT (one->>'product_id')::uuid AS product_id, (one->>'location_id')::uuid AS location_id,"
            " (one->>'version')::integer AS version, (one->>'on_hand')::numeric AS on_hand,"
            " (one->>'reserved')::numeric AS reserved, e.type = 'stock_level.opened' AS whole"
            " FROM events e, LATERAL jsonb_array_elements(e.data->'levels') AS changes (one)"
            f" WHERE e.tenant_id = :tenant_id AND e.data ? 'levels' AND left(e.type, 2) <> 'x-' AND {of_events}),"
            " starts AS (SELECT product_id, location_id, max(version) FILTER (WHERE whole) AS opened"
            " FROM told GROUP BY product_id, location_id)"
            " SELECT product_id, location_id, opened, min(version), max(version), sum(on_hand), sum(reserved),"
            " (count(*) FILTER (WHERE version > coalesce(opened, 0)))::integer"
            " FROM starts JOIN told USING (product_id, location_id) WHERE version >= coalesce(opened, 0)"
            " GROUP BY product_id, location_id, opened"
        ),
        LevelPart,
    )


_BELOW = "CAST(CAST(:below AS text) AS xid8)"
PART_OF_PAGE = _parts(
    f"e.position > CAST(:after AS bigint) AND e.position <= {_PAGE} AND (e.xid IS NULL OR e.xid < {_BELOW})"
)
PART_SINCE = _parts(f"e.xid >= {_BELOW}")

LEVELS: Statement[LevelPlace] = Statement(
    select(*(stock_levels.c[name] for name in LevelPlace._fields))
    .where(stock_levels.c.tenant_id == TENANT, stock_levels.c.id > bindparam("after", type_=Uuid))
    .order_by(stock_levels.c.id)
    .limit(bindparam("at_most", type_=Integer)),
    LevelPlace,
)
