"""Commands of warehouses and locations: created, changed, taken out of use; never removed."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar
from uuid import UUID

import msgspec
from msgspec import UNSET

from db.identifiers import new_id
from erp.inventory.errors import LocationInUse
from erp.inventory.places_repository import (
    ADD_LOCATION,
    ADD_WAREHOUSE,
    HOLDS_STOCK,
    LOCK_LOCATIONS,
    LOCK_WAREHOUSE,
    SET_LOCATION,
    SET_WAREHOUSE,
    LocationRow,
    WarehouseRow,
)
from erp.inventory.schemas import (
    CreateLocationInput,
    CreateWarehouseInput,
    LocationView,
    UpdateLocationInput,
    UpdateWarehouseInput,
    WarehouseView,
)
from erp.kernel.errors import NotFound
from tenancy.trail import Event
from tenancy.work import UnitOfWork

R = TypeVar("R", WarehouseRow, LocationRow)


async def create_warehouse(work: UnitOfWork, data: CreateWarehouseInput) -> WarehouseView:
    """Raises Duplicate."""
    row = WarehouseRow(new_id(), 1, data.code, data.name, True, data.external_id, work.now)
    work.save(ADD_WAREHOUSE(**row._asdict()))
    _told(work, "warehouse", "create", row.id, 1, after={"code": row.code, "name": row.name})
    return warehouse_view(row)


async def update_warehouse(work: UnitOfWork, warehouse_id: UUID, data: UpdateWarehouseInput) -> WarehouseView:
    """Raises NotFound, VersionConflict, Duplicate."""
    [found] = await work.load(LOCK_WAREHOUSE(warehouse_id=warehouse_id))
    if not found:
        raise NotFound(warehouse_id=str(warehouse_id))
    [before] = found
    work.check_version(before.version)
    after, changes = _changed(before, data)
    if not changes:
        return warehouse_view(before)
    work.save(
        SET_WAREHOUSE(
            warehouse_id=before.id, new_code=after.code, new_name=after.name, new_active=after.active,
            new_external_id=after.external_id,
        )
    )  # fmt: skip
    _told(work, "warehouse", "update", before.id, after.version, before=_named(before, changes), after=changes)
    return warehouse_view(after)


async def create_location(work: UnitOfWork, data: CreateLocationInput) -> LocationView:
    """Raises UnknownReference for a warehouse there is not, Duplicate."""
    row = LocationRow(
        new_id(), 1, data.warehouse_id, data.code, data.name, data.is_default, True, data.external_id, work.now
    )
    if data.is_default:
        [others] = await work.load(LOCK_LOCATIONS(location_id=row.id))
        _step_back(work, others, row.id)
    work.save(ADD_LOCATION(**row._asdict()))
    _told(work, "location", "create", row.id, 1, after={"code": row.code, "name": row.name})
    return location_view(row)


async def update_location(work: UnitOfWork, location_id: UUID, data: UpdateLocationInput) -> LocationView:
    """Raises NotFound, VersionConflict, LocationInUse (it holds stock or is the default), Duplicate."""
    rows, [holding] = await work.load(LOCK_LOCATIONS(location_id=location_id), HOLDS_STOCK(location_id=location_id))
    before = next((row for row in rows if row.id == location_id), None)
    if before is None:
        raise NotFound(location_id=str(location_id))
    work.check_version(before.version)
    after, changes = _changed(before, data)
    if not changes:
        return location_view(before)
    if not after.active and (holding.holds_stock or after.is_default):
        raise LocationInUse(
            location_id=str(location_id), holds_stock=holding.holds_stock, is_default=after.is_default
        )
    if after.is_default:
        _step_back(work, rows, location_id)
    _set_location(work, after)
    _told(work, "location", "update", location_id, after.version, before=_named(before, changes), after=changes)
    return location_view(after)


def warehouse_view(row: WarehouseRow) -> WarehouseView:
    return WarehouseView(**row._asdict())


def location_view(row: LocationRow) -> LocationView:
    return LocationView(**row._asdict())


def _changed(before: R, data: UpdateWarehouseInput | UpdateLocationInput) -> tuple[R, dict[str, Any]]:
    sent = {name: value for name, value in msgspec.structs.asdict(data).items() if value is not UNSET}
    changes = {name: value for name, value in sent.items() if value != getattr(before, name)}
    return before._replace(**changes, version=before.version + 1), changes


def _named(row: WarehouseRow | LocationRow, names: Mapping[str, Any]) -> dict[str, Any]:
    return {name: getattr(row, name) for name in names}


def _step_back(work: UnitOfWork, rows: Sequence[LocationRow], location_id: UUID) -> None:
    """The default location so far stops being it, before another one becomes it: there is one at a time."""
    for row in rows:
        if row.is_default and row.id != location_id:
            _set_location(work, row._replace(is_default=False))
            change = {"is_default": False}
            _told(work, "location", "update", row.id, row.version + 1, before={"is_default": True}, after=change)


def _set_location(work: UnitOfWork, row: LocationRow) -> None:
    work.save(
        SET_LOCATION(
            location_id=row.id, new_code=row.code, new_name=row.name, new_is_default=row.is_default,
            new_active=row.active, new_external_id=row.external_id,
        )
    )  # fmt: skip


def _told(
    work: UnitOfWork,
    kind: str,
    verb: str,
    id_: UUID,
    version: int,
    *,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any],
) -> None:
    work.publish(Event(kind, id_, version, f"{kind}.{verb}d", after))
    work.audit(f"{kind}.{verb}", kind, id_, before=before, after=after)
