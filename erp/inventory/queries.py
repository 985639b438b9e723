"""Reading stock: levels, moves, reservations, adjustments, places."""

from decimal import Decimal
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import Numeric, Uuid, and_, bindparam, cast, func, select, union

from db.statement import TENANT, Statement
from erp.catalog.models import products
from erp.http.filters import eq, in_, span
from erp.http.listing import Listing
from erp.inventory.adjustment_repository import (
    ADJUSTMENT_COLUMNS,
    ADJUSTMENT_LINE_COLUMNS,
    AdjustmentLineRow,
    AdjustmentRow,
)
from erp.inventory.claims_repository import RESERVATION_COLUMNS, ReservationRow
from erp.inventory.models import (
    incoming_stock,
    locations,
    reservations,
    stock_adjustment_lines,
    stock_adjustments,
    stock_levels,
    stock_moves,
    warehouses,
)
from erp.inventory.places_repository import LOCATION_COLUMNS, WAREHOUSE_COLUMNS, LocationRow, WarehouseRow
from erp.kernel.text import Date, Timestamp

_ZERO = cast(0, Numeric)


class LevelListRow(NamedTuple):
    id: UUID
    version: int
    product_id: UUID
    product_code: str
    location_id: UUID
    location_code: str
    on_hand: Decimal
    reserved: Decimal
    incoming: Decimal
    reorder_point: Decimal | None


class ProductRow(NamedTuple):
    id: UUID
    code: str
    kind: str


class PlaceRow(NamedTuple):
    location_id: UUID
    location_code: str
    on_hand: Decimal
    reserved: Decimal
    incoming: Decimal


class MoveRow(NamedTuple):
    id: UUID
    product_id: UUID
    location_id: UUID
    date: Date
    kind: str
    quantity: Decimal
    value: Decimal
    unit_cost: Decimal
    source_type: str
    source_id: UUID
    source_line_id: UUID | None
    entry_id: UUID | None
    line_no: int | None
    created_at: Timestamp


_incoming = (
    select(func.coalesce(func.sum(incoming_stock.c.quantity), _ZERO))
    .where(
        incoming_stock.c.tenant_id == TENANT,
        incoming_stock.c.product_id == stock_levels.c.product_id,
        incoming_stock.c.location_id == stock_levels.c.location_id,
    )
    .correlate(stock_levels)
    .scalar_subquery()
)
_level_product = and_(products.c.tenant_id == stock_levels.c.tenant_id, products.c.id == stock_levels.c.product_id)
_level_place = and_(locations.c.tenant_id == stock_levels.c.tenant_id, locations.c.id == stock_levels.c.location_id)

LEVELS: Listing[LevelListRow] = Listing(
    select=select(
        stock_levels.c.id, stock_levels.c.version, stock_levels.c.product_id, products.c.code,
        stock_levels.c.location_id, locations.c.code, stock_levels.c.on_hand, stock_levels.c.reserved, _incoming,
        products.c.reorder_point,
    )
    .select_from(stock_levels.join(products, _level_product).join(locations, _level_place))
    .where(stock_levels.c.tenant_id == TENANT),
    row=LevelListRow,
    key=(stock_levels.c.product_id, stock_levels.c.location_id),
    sorts={"product_id": stock_levels.c.product_id},
    default="product_id",
    filters={
        "product_id": in_(stock_levels.c.product_id),
        "product_code": eq(products.c.code),
        "location_id": in_(stock_levels.c.location_id),
        "warehouse_id": eq(locations.c.warehouse_id),
        "on_hand": span(stock_levels.c.on_hand),
        "available": span(stock_levels.c.on_hand - stock_levels.c.reserved),
        "low": eq(stock_levels.c.on_hand - stock_levels.c.reserved < products.c.reorder_point),
    },
)  # fmt: skip

PRODUCT: Statement[ProductRow] = Statement(
    select(products.c.id, products.c.code, products.c.kind).where(
        products.c.tenant_id == TENANT, products.c.id == bindparam("product_id", type_=Uuid)
    ),
    ProductRow,
)

_expected = (
    select(incoming_stock.c.location_id, func.sum(incoming_stock.c.quantity).label("quantity"))
    .where(incoming_stock.c.tenant_id == TENANT, incoming_stock.c.product_id == bindparam("product_id", type_=Uuid))
    .group_by(incoming_stock.c.location_id)
    .subquery("expected")
)
_there = (
    select(stock_levels.c.location_id, stock_levels.c.on_hand, stock_levels.c.reserved)
    .where(stock_levels.c.tenant_id == TENANT, stock_levels.c.product_id == bindparam("product_id", type_=Uuid))
    .subquery("there")
)
_anywhere = union(select(_expected.c.location_id), select(_there.c.location_id)).subquery("anywhere")
#: Where the product is, was or is expected.
PLACES: Statement[PlaceRow] = Statement(
    select(
        locations.c.id,
        locations.c.code,
        func.coalesce(_there.c.on_hand, _ZERO),
        func.coalesce(_there.c.reserved, _ZERO),
        func.coalesce(_expected.c.quantity, _ZERO),
    )
    .select_from(
        _anywhere.join(locations, and_(locations.c.tenant_id == TENANT, locations.c.id == _anywhere.c.location_id))
        .outerjoin(_there, _there.c.location_id == _anywhere.c.location_id)
        .outerjoin(_expected, _expected.c.location_id == _anywhere.c.location_id)
    )
    .order_by(locations.c.code, locations.c.id),
    PlaceRow,
)

_move_columns = tuple(stock_moves.c[name] for name in MoveRow._fields)
MOVES: Listing[MoveRow] = Listing(
    select=select(*_move_columns).where(stock_moves.c.tenant_id == TENANT),
    row=MoveRow,
    key=stock_moves.c.id,
    sorts={"created_at": stock_moves.c.created_at, "date": stock_moves.c.date},
    default="-created_at",
    filters={
        "product_id": eq(stock_moves.c.product_id),
        "location_id": eq(stock_moves.c.location_id),
        "kind": in_(stock_moves.c.kind),
        "source_id": eq(stock_moves.c.source_id),
        "entry_id": eq(stock_moves.c.entry_id),
        "date": span(stock_moves.c.date),
        "created_at": span(stock_moves.c.created_at),
    },
)

RESERVATION: Statement[ReservationRow] = Statement(
    select(*RESERVATION_COLUMNS).where(
        reservations.c.tenant_id == TENANT, reservations.c.id == bindparam("reservation_id", type_=Uuid)
    ),
    ReservationRow,
)
RESERVATIONS: Listing[ReservationRow] = Listing(
    select=select(*RESERVATION_COLUMNS).where(reservations.c.tenant_id == TENANT),
    row=ReservationRow,
    key=reservations.c.id,
    sorts={"created_at": reservations.c.created_at, "expires_at": reservations.c.expires_at},
    default="-created_at",
    filters={
        "state": in_(reservations.c.state),
        "product_id": eq(reservations.c.product_id),
        "location_id": eq(reservations.c.location_id),
        "source_type": eq(reservations.c.source_type),
        "source_id": eq(reservations.c.source_id),
        "reference": eq(reservations.c.reference),
        "external_id": eq(reservations.c.external_id),
        "expires_at": span(reservations.c.expires_at),
        "created_at": span(reservations.c.created_at),
    },
)

ADJUSTMENT: Statement[AdjustmentRow] = Statement(
    select(*ADJUSTMENT_COLUMNS).where(
        stock_adjustments.c.tenant_id == TENANT, stock_adjustments.c.id == bindparam("adjustment_id", type_=Uuid)
    ),
    AdjustmentRow,
)
ADJUSTMENT_LINES: Statement[AdjustmentLineRow] = Statement(
    select(*ADJUSTMENT_LINE_COLUMNS)
    .where(
        stock_adjustment_lines.c.tenant_id == TENANT,
        stock_adjustment_lines.c.adjustment_id == bindparam("adjustment_id", type_=Uuid),
    )
    .order_by(stock_adjustment_lines.c.line_no),
    AdjustmentLineRow,
)
ADJUSTMENTS: Listing[AdjustmentRow] = Listing(
    select=select(*ADJUSTMENT_COLUMNS).where(stock_adjustments.c.tenant_id == TENANT),
    row=AdjustmentRow,
    key=stock_adjustments.c.id,
    sorts={
        "created_at": stock_adjustments.c.created_at,
        "date": stock_adjustments.c.date,
        "number": stock_adjustments.c.number,
    },
    default="-created_at",
    filters={
        "number": eq(stock_adjustments.c.number),
        "reason": in_(stock_adjustments.c.reason),
        "external_id": eq(stock_adjustments.c.external_id),
        "date": span(stock_adjustments.c.date),
        "created_at": span(stock_adjustments.c.created_at),
    },
)

WAREHOUSE: Statement[WarehouseRow] = Statement(
    select(*WAREHOUSE_COLUMNS).where(
        warehouses.c.tenant_id == TENANT, warehouses.c.id == bindparam("warehouse_id", type_=Uuid)
    ),
    WarehouseRow,
)
WAREHOUSES: Listing[WarehouseRow] = Listing(
    select=select(*WAREHOUSE_COLUMNS).where(warehouses.c.tenant_id == TENANT),
    row=WarehouseRow,
    key=warehouses.c.id,
    sorts={"created_at": warehouses.c.created_at, "code": warehouses.c.code},
    default="-created_at",
    filters={
        "code": eq(warehouses.c.code),
        "active": eq(warehouses.c.active),
        "external_id": eq(warehouses.c.external_id),
    },
)

LOCATION: Statement[LocationRow] = Statement(
    select(*LOCATION_COLUMNS).where(
        locations.c.tenant_id == TENANT, locations.c.id == bindparam("location_id", type_=Uuid)
    ),
    LocationRow,
)
LOCATIONS: Listing[LocationRow] = Listing(
    select=select(*LOCATION_COLUMNS).where(locations.c.tenant_id == TENANT),
    row=LocationRow,
    key=locations.c.id,
    sorts={"created_at": locations.c.created_at},
    default="-created_at",
    filters={
        "code": eq(locations.c.code),
        "warehouse_id": eq(locations.c.warehouse_id),
        "is_default": eq(locations.c.is_default),
        "active": eq(locations.c.active),
        "external_id": eq(locations.c.external_id),
    },
)
