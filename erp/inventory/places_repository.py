"""Write-side statements of warehouses and locations."""

from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import Uuid, bindparam, exists, insert, or_, select, update

from db.statement import TENANT, Statement
from erp.inventory.models import locations, stock_levels, warehouses


class WarehouseRow(NamedTuple):
    id: UUID
    version: int
    code: str
    name: str
    active: bool
    external_id: str | None
    created_at: datetime


class LocationRow(NamedTuple):
    id: UUID
    version: int
    warehouse_id: UUID
    code: str
    name: str
    is_default: bool
    active: bool
    external_id: str | None
    created_at: datetime


class HoldsStock(NamedTuple):
    holds_stock: bool


WAREHOUSE_COLUMNS = tuple(warehouses.c[name] for name in WarehouseRow._fields)
LOCATION_COLUMNS = tuple(locations.c[name] for name in LocationRow._fields)

LOCK_WAREHOUSE: Statement[WarehouseRow] = Statement(
    select(*WAREHOUSE_COLUMNS)
    .where(warehouses.c.tenant_id == TENANT, warehouses.c.id == bindparam("warehouse_id", type_=Uuid))
    .with_for_update(key_share=True),
    WarehouseRow,
)
ADD_WAREHOUSE: Statement[tuple[()]] = Statement(
    insert(warehouses).values(tenant_id=TENANT, **{name: bindparam(name) for name in WarehouseRow._fields})
)
SET_WAREHOUSE: Statement[tuple[()]] = Statement(
    update(warehouses)
    .where(warehouses.c.tenant_id == TENANT, warehouses.c.id == bindparam("warehouse_id", type_=Uuid))
    .values(
        version=warehouses.c.version + 1,
        **{name: bindparam(f"new_{name}") for name in ("code", "name", "active", "external_id")},
    )
)

#: The location and the tenant's default one, which may have to give way; sorted, like every lock.
LOCK_LOCATIONS: Statement[LocationRow] = Statement(
    select(*LOCATION_COLUMNS)
    .where(
        locations.c.tenant_id == TENANT,
        or_(locations.c.id == bindparam("location_id", type_=Uuid), locations.c.is_default),
    )
    .order_by(locations.c.id)
    .with_for_update(key_share=True),
    LocationRow,
)
HOLDS_STOCK: Statement[HoldsStock] = Statement(
    select(
        exists().where(
            stock_levels.c.tenant_id == TENANT,
            stock_levels.c.location_id == bindparam("location_id", type_=Uuid),
            stock_levels.c.on_hand > 0,
        )
    ),
    HoldsStock,
)
ADD_LOCATION: Statement[tuple[()]] = Statement(
    insert(locations).values(tenant_id=TENANT, **{name: bindparam(name) for name in LocationRow._fields})
)
SET_LOCATION: Statement[tuple[()]] = Statement(
    update(locations)
    .where(locations.c.tenant_id == TENANT, locations.c.id == bindparam("location_id", type_=Uuid))
    .values(
        version=locations.c.version + 1,
        **{name: bindparam(f"new_{name}") for name in ("code", "name", "is_default", "active", "external_id")},
    )
)
