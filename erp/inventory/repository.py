"""Write-side statements of stock: levels, costs, moves, reservations."""

from datetime import date, datetime
from decimal import Decimal
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import (
    Date,
    DateTime,
    Integer,
    Numeric,
    Text,
    Uuid,
    bindparam,
    case,
    cast,
    delete,
    func,
    or_,
    select,
    tuple_,
    update,
)
from sqlalchemy.dialects.postgresql import insert

from db.statement import TENANT, Statement, any_of, rows_of
from erp.catalog.models import products
from erp.inventory.models import (
    incoming_stock,
    product_costs,
    reservations,
    stock_levels,
    stock_moves,
)


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
    """A product's stock over all locations, locked. `last_cost` survives when nothing is left."""

    product_id: UUID
    quantity: Decimal
    value: Decimal
    last_cost: Decimal | None


class LaterRow(NamedTuple):
    """The part of today's stock that arrived only after a date: not there to be issued on that date."""

    product_id: UUID
    location_id: UUID
    quantity: Decimal


class ReservationRow(NamedTuple):
    id: UUID
    product_id: UUID
    location_id: UUID
    state: str
    quantity: Decimal
    open_quantity: Decimal
    expires_at: datetime
    source_type: str
    source_id: UUID | None
    source_line_id: UUID | None
    reference: str
    external_id: str | None
    closed_at: datetime | None
    version: int
    created_at: datetime


class DueRow(NamedTuple):
    id: UUID
    product_id: UUID
    location_id: UUID


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

#: Sorted by (product, location): every command locks levels in this order.
LOCK_LEVELS: Statement[LevelRow] = Statement(
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
    .with_for_update(of=stock_levels, key_share=True),
    LevelRow,
)

LOCK_COSTS: Statement[CostRow] = Statement(
    select(product_costs.c.product_id, product_costs.c.quantity, product_costs.c.value, product_costs.c.last_cost)
    .where(product_costs.c.tenant_id == TENANT, product_costs.c.product_id == any_of("products", Uuid))
    .order_by(product_costs.c.product_id)
    .with_for_update(key_share=True),
    CostRow,
)

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

_changed_cost = rows_of(products=Uuid, quantities=Numeric, amounts=Numeric, lasts=Numeric)
MOVE_COSTS: Statement[tuple[()]] = Statement(
    update(product_costs)
    .where(product_costs.c.tenant_id == TENANT, product_costs.c.product_id == _changed_cost.c.products)
    .values(
        quantity=product_costs.c.quantity + _changed_cost.c.quantities,
        value=product_costs.c.value + _changed_cost.c.amounts,
        last_cost=_changed_cost.c.lasts,
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
            cast(TENANT, Uuid), cast(bindparam("date"), Date), cast(bindparam("kind"), Text),
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
        stock_moves.c.date > cast(bindparam("on"), Date),
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

_new_reservation = rows_of(
    ids=Uuid, products=Uuid, locations=Uuid, quantities=Numeric, source_lines=Uuid, external_ids=Text
)
ADD_RESERVATIONS: Statement[tuple[()]] = Statement(
    insert(reservations).from_select(
        ["tenant_id", "expires_at", "source_type", "source_id", "reference", "created_at", "id", "product_id",
         "location_id", "quantity", "open_quantity", "source_line_id", "external_id"],
        select(
            cast(TENANT, Uuid), cast(bindparam("expires_at"), DateTime(timezone=True)),
            cast(bindparam("source_type"), Text), cast(bindparam("source_id"), Uuid),
            cast(bindparam("reference"), Text), cast(bindparam("created_at"), DateTime(timezone=True)),
            _new_reservation.c.ids, _new_reservation.c.products, _new_reservation.c.locations,
            _new_reservation.c.quantities, _new_reservation.c.quantities, _new_reservation.c.source_lines,
            _new_reservation.c.external_ids,
        ),
    )
)  # fmt: skip

RESERVATION_COLUMNS = tuple(reservations.c[name] for name in ReservationRow._fields)

#: The level rows come first and guard these rows too; the lock here only guards against a missing one there.
LOCK_OF_SOURCE: Statement[ReservationRow] = Statement(
    select(*RESERVATION_COLUMNS)
    .where(
        reservations.c.tenant_id == TENANT,
        reservations.c.source_id == bindparam("source_id", type_=Uuid),
        reservations.c.state == "active",
    )
    .order_by(reservations.c.id)
    .with_for_update(key_share=True),
    ReservationRow,
)

LOCK_RESERVATIONS: Statement[ReservationRow] = Statement(
    select(*RESERVATION_COLUMNS)
    .where(reservations.c.tenant_id == TENANT, reservations.c.id == any_of("ids", Uuid))
    .order_by(reservations.c.id)
    .with_for_update(key_share=True),
    ReservationRow,
)

PEEK_RESERVATION: Statement[DueRow] = Statement(
    select(reservations.c.id, reservations.c.product_id, reservations.c.location_id).where(
        reservations.c.tenant_id == TENANT, reservations.c.id == bindparam("id", type_=Uuid)
    ),
    DueRow,
)

DUE_RESERVATIONS: Statement[DueRow] = Statement(
    select(reservations.c.id, reservations.c.product_id, reservations.c.location_id)
    .where(
        reservations.c.tenant_id == TENANT,
        reservations.c.state == "active",
        reservations.c.expires_at <= bindparam("now", type_=DateTime(timezone=True)),
    )
    .order_by(reservations.c.expires_at, reservations.c.id)
    .limit(bindparam("limit", type_=Integer)),
    DueRow,
)

_taken = rows_of(ids=Uuid, quantities=Numeric)
_left = reservations.c.open_quantity - _taken.c.quantities
#: `state`: what a reservation becomes when nothing of it is left.
TAKE_FROM_RESERVATIONS: Statement[tuple[()]] = Statement(
    update(reservations)
    .where(reservations.c.tenant_id == TENANT, reservations.c.id == _taken.c.ids)
    .values(
        open_quantity=_left,
        state=case((_left == 0, cast(bindparam("final_state"), Text)), else_=reservations.c.state),
        closed_at=case((_left == 0, cast(bindparam("at"), DateTime(timezone=True))), else_=None),
        version=reservations.c.version + 1,
    )
)

SET_EXPIRY: Statement[tuple[()]] = Statement(
    update(reservations)
    .where(reservations.c.tenant_id == TENANT, reservations.c.id == any_of("ids", Uuid))
    .values(expires_at=bindparam("new_expiry"), version=reservations.c.version + 1)
)

#: The rows a document no longer expects.
DROP_INCOMING: Statement[tuple[()]] = Statement(
    delete(incoming_stock).where(
        incoming_stock.c.tenant_id == TENANT,
        incoming_stock.c.source_id == bindparam("source_id", type_=Uuid),
        tuple_(incoming_stock.c.product_id, incoming_stock.c.location_id).not_in(select(*_pair.c)),
    )
)

_expected = rows_of(products=Uuid, locations=Uuid, quantities=Numeric, dates=Date)
_incoming = insert(incoming_stock).from_select(
    ["tenant_id", "source_id", "source_type", "product_id", "location_id", "quantity", "expected_on"],
    select(
        cast(TENANT, Uuid), cast(bindparam("source_id"), Uuid), cast(bindparam("source_type"), Text), *_expected.c
    ),
)  # fmt: skip
SET_INCOMING: Statement[tuple[()]] = Statement(
    _incoming.on_conflict_do_update(
        index_elements=["tenant_id", "source_id", "product_id", "location_id"],
        set_={"quantity": _incoming.excluded.quantity, "expected_on": _incoming.excluded.expected_on},
        where=or_(
            incoming_stock.c.quantity != _incoming.excluded.quantity,
            incoming_stock.c.expected_on.is_distinct_from(_incoming.excluded.expected_on),
        ),
    )
)
