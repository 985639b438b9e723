"""Write-side statements of stock: levels, costs and moves."""

from collections.abc import Iterable
from decimal import Decimal
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import Date as SqlDate
from sqlalchemy import (
    Integer,
    Numeric,
    Text,
    Uuid,
    bindparam,
    case,
    cast,
    func,
    select,
    tuple_,
    update,
)
from sqlalchemy.dialects.postgresql import insert

from db.statement import TENANT, Bound, Statement, any_of, rows_of
from erp.catalog.models import products
from erp.inventory.models import (
    cost_correction_lines,
    product_costs,
    stock_levels,
    stock_moves,
)
from erp.kernel.text import Date


class LevelRow(NamedTuple):
    """A stock level, locked. `reorder_point` is the product's, in its base unit."""

    product_id: UUID
    location_id: UUID
    id: UUID
    on_hand: Decimal
    reserved: Decimal
    version: int
    reorder_point: Decimal | None = None


class CostRow(NamedTuple):
    """A product's stock over all locations, locked. `last_cost` survives when nothing is left.

    `last_on`: the day of its latest move.
    """

    product_id: UUID
    quantity: Decimal
    value: Decimal
    last_cost: Decimal | None
    last_on: Date | None = None


class LaterRow(NamedTuple):
    """The part of today's stock that arrived only after a date: not there to be issued on that date."""

    product_id: UUID
    location_id: UUID
    quantity: Decimal


class SinceRow(NamedTuple):
    """A move of a later day. `value` with what corrections have made of it since."""

    id: UUID
    product_id: UUID
    location_id: UUID
    date: Date
    kind: str
    quantity: Decimal
    value: Decimal


_pair = rows_of(products=Uuid, locations=Uuid)
_new_level = rows_of(products=Uuid, locations=Uuid, ids=Uuid)
#: Rows at zero, as a statement of their own: an insert that also selected its row FOR UPDATE would return
#: nothing to the second of two first writers. Sorted, so that those two wait in one order.
ENSURE_LEVELS: Statement[tuple[()]] = Statement(
    insert(stock_levels)
    .from_select(
        ["tenant_id", "product_id", "location_id", "id"],
        select(cast(TENANT, Uuid), *_new_level.c).order_by(_new_level.c.products, _new_level.c.locations),
    )
    .on_conflict_do_nothing(index_elements=["tenant_id", "product_id", "location_id"])
)

_new_cost = rows_of(products=Uuid)
ENSURE_COSTS: Statement[tuple[()]] = Statement(
    insert(product_costs)
    .from_select(
        ["tenant_id", "product_id"], select(cast(TENANT, Uuid), _new_cost.c.products).order_by(_new_cost.c.products)
    )
    .on_conflict_do_nothing(index_elements=["tenant_id", "product_id"])
)

_level_columns = (
    stock_levels.c.product_id, stock_levels.c.location_id, stock_levels.c.id, stock_levels.c.on_hand,
    stock_levels.c.reserved, stock_levels.c.version, products.c.reorder_point,
)  # fmt: skip

_levels = (
    select(*_level_columns)
    .select_from(
        stock_levels.join(
            products,
            (products.c.tenant_id == stock_levels.c.tenant_id) & (products.c.id == stock_levels.c.product_id),
        )
    )
    .where(
        stock_levels.c.tenant_id == TENANT,
        tuple_(stock_levels.c.product_id, stock_levels.c.location_id).in_(select(*_pair.c)),
    )
    .order_by(stock_levels.c.product_id, stock_levels.c.location_id)
)
#: Sorted by (product, location): every command locks levels in this order.
LOCK_LEVELS: Statement[LevelRow] = Statement(_levels.with_for_update(of=stock_levels, key_share=True), LevelRow)

_costs = (
    select(*(product_costs.c[name] for name in CostRow._fields))
    .where(product_costs.c.tenant_id == TENANT, product_costs.c.product_id == any_of("products", Uuid))
    .order_by(product_costs.c.product_id)
)
LOCK_COSTS: Statement[CostRow] = Statement(_costs.with_for_update(key_share=True), CostRow)

_changed_level = rows_of(products=Uuid, locations=Uuid, on_hands=Numeric, reserveds=Numeric)
#: Differences, not new values: the checks on the table then hold whoever else wrote in between.
MOVE_LEVELS: Statement[tuple[()]] = Statement(
    update(stock_levels)
    .where(
        stock_levels.c.tenant_id == TENANT,
        stock_levels.c.product_id == _changed_level.c.products,
        stock_levels.c.location_id == _changed_level.c.locations,
    )
    .values(
        on_hand=stock_levels.c.on_hand + _changed_level.c.on_hands,
        reserved=stock_levels.c.reserved + _changed_level.c.reserveds,
        version=stock_levels.c.version + 1,
    )
)

#: The same without locks, to look ahead.
READ_LEVELS: Statement[LevelRow] = Statement(_levels, LevelRow)
READ_COSTS: Statement[CostRow] = Statement(_costs, CostRow)

_changed_cost = rows_of(products=Uuid, quantities=Numeric, amounts=Numeric, lasts=Numeric)
MOVE_COSTS: Statement[tuple[()]] = Statement(
    update(product_costs)
    .where(product_costs.c.tenant_id == TENANT, product_costs.c.product_id == _changed_cost.c.products)
    .values(
        quantity=product_costs.c.quantity + _changed_cost.c.quantities,
        value=product_costs.c.value + _changed_cost.c.amounts,
        last_cost=_changed_cost.c.lasts,
        last_on=func.greatest(product_costs.c.last_on, cast(bindparam("on"), SqlDate)),
        version=product_costs.c.version + 1,
    )
)

_move = rows_of(
    ids=Uuid, products=Uuid, locations=Uuid, quantities=Numeric, amounts=Numeric, costs=Numeric,
    source_lines=Uuid, line_nos=Integer,
)  # fmt: skip
ADD_MOVES: Statement[tuple[()]] = Statement(
    insert(stock_moves).from_select(
        ["tenant_id", "date", "kind", "source_type", "source_id", "id", "product_id", "location_id", "quantity",
         "value", "unit_cost", "source_line_id", "line_no", "entry_id"],
        select(
            cast(TENANT, Uuid), cast(bindparam("date"), SqlDate), cast(bindparam("kind"), Text),
            cast(bindparam("source_type"), Text), cast(bindparam("source_id"), Uuid), *_move.c,
            case((_move.c.line_nos.is_(None), None), else_=cast(bindparam("entry_id"), Uuid)),
        ),
    )
)  # fmt: skip

_daily = (
    select(
        stock_moves.c.product_id,
        stock_moves.c.location_id,
        func.sum(func.sum(stock_moves.c.quantity))
        .over(partition_by=[stock_moves.c.product_id, stock_moves.c.location_id], order_by=stock_moves.c.date.desc())
        .label("since"),
    )
    .where(
        stock_moves.c.tenant_id == TENANT,
        stock_moves.c.date > cast(bindparam("on"), SqlDate),
        tuple_(stock_moves.c.product_id, stock_moves.c.location_id).in_(select(*_pair.c)),
    )
    .group_by(stock_moves.c.product_id, stock_moves.c.location_id, stock_moves.c.date)
    .subquery("daily")
)
#: The most that today's stock owes to moves after a date, taken at the end of each later day: what is issued
#: on that date beyond the rest would leave some later day below zero.
ARRIVED_LATER: Statement[LaterRow] = Statement(
    select(_daily.c.product_id, _daily.c.location_id, func.max(_daily.c.since))
    .group_by(_daily.c.product_id, _daily.c.location_id)
    .having(func.max(_daily.c.since) > 0),
    LaterRow,
)

_corrected = (
    select(func.sum(cost_correction_lines.c.amount))
    .where(cost_correction_lines.c.tenant_id == TENANT, cost_correction_lines.c.move_id == stock_moves.c.id)
    .correlate(stock_moves)
    .scalar_subquery()
)
#: By the levels of the products, so that an index leads to the later moves of each: a product's own moves may be a
#: million. Load it behind the lock of the costs; `limit` one more than is wanted tells that there are more.
MOVED_SINCE: Statement[SinceRow] = Statement(
    select(
        stock_moves.c.id, stock_moves.c.product_id, stock_moves.c.location_id, stock_moves.c.date,
        stock_moves.c.kind, stock_moves.c.quantity,
        stock_moves.c.value + func.coalesce(_corrected, cast(0, Numeric)),
    )
    .select_from(
        stock_levels.join(
            stock_moves,
            (stock_moves.c.tenant_id == stock_levels.c.tenant_id)
            & (stock_moves.c.product_id == stock_levels.c.product_id)
            & (stock_moves.c.location_id == stock_levels.c.location_id),
        )
    )
    .where(
        stock_levels.c.tenant_id == TENANT,
        stock_levels.c.product_id == any_of("products", Uuid),
        stock_moves.c.date > cast(bindparam("on"), SqlDate),
        stock_moves.c.kind != "correction",
    )
    .order_by(stock_moves.c.product_id, stock_moves.c.date, stock_moves.c.position)
    .limit(bindparam("limit", type_=Integer)),
    SinceRow,
)  # fmt: skip


def shown_stock(pairs: Iterable[tuple[UUID, UUID]]) -> tuple[Bound[LevelRow], Bound[CostRow]]:
    """The levels and costs of these (product, location) as they are, without locks."""
    ordered = sorted(set(pairs))
    products = [product for product, _ in ordered]
    return (
        READ_LEVELS(products=products, locations=[place for _, place in ordered]),
        READ_COSTS(products=sorted(set(products))),
    )
