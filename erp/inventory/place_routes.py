"""Warehouses and locations over HTTP."""

from typing import Any
from uuid import UUID

from litestar import get, patch, post

from erp.http.answers import Reply
from erp.http.commands import Command, perform, read_one, show
from erp.http.listing import Page, list_page
from erp.http.request import ApiRequest
from erp.inventory import service
from erp.inventory.places import location_view, warehouse_view
from erp.inventory.queries import LOCATION, LOCATIONS, WAREHOUSE, WAREHOUSES
from erp.inventory.schemas import (
    CreateLocationInput,
    CreateWarehouseInput,
    LocationView,
    UpdateLocationInput,
    UpdateWarehouseInput,
    WarehouseView,
)

ADD_WAREHOUSE = Command(
    "warehouses.create", service.create_warehouse, "stock:write", CreateWarehouseInput, status=201
)
SET_WAREHOUSE = Command(
    "warehouses.update", service.update_warehouse, "stock:write", UpdateWarehouseInput, target=True,
    match="required",
)  # fmt: skip
ADD_LOCATION = Command("locations.create", service.create_location, "stock:write", CreateLocationInput, status=201)
SET_LOCATION = Command(
    "locations.update", service.update_location, "stock:write", UpdateLocationInput, target=True, match="required"
)
COMMANDS = (ADD_WAREHOUSE, SET_WAREHOUSE, ADD_LOCATION, SET_LOCATION)


@post("/warehouses", summary="Create a warehouse")
async def create_warehouse(request: ApiRequest, data: CreateWarehouseInput) -> Reply[WarehouseView]:
    """A building or yard; goods lie in its locations."""
    return await perform(request, ADD_WAREHOUSE, data)


@patch("/warehouses/{warehouse_id:uuid}", summary="Change a warehouse")
async def update_warehouse(
    request: ApiRequest, warehouse_id: UUID, data: UpdateWarehouseInput
) -> Reply[WarehouseView]:
    """Only the fields that are sent change."""
    return await perform(request, SET_WAREHOUSE, data, warehouse_id)


@get("/warehouses/{warehouse_id:uuid}", summary="Read a warehouse")
async def get_warehouse(request: ApiRequest, warehouse_id: UUID) -> Reply[WarehouseView]:
    found = await read_one(request, "stock:read", WAREHOUSE(warehouse_id=warehouse_id), warehouse_id=warehouse_id)
    return show(warehouse_view(found))


@get("/warehouses", summary="List warehouses", opt={"listing": WAREHOUSES})
async def list_warehouses(request: ApiRequest) -> Reply[Page[WarehouseView]]:
    page: Reply[Any] = await list_page(request, "stock:read", WAREHOUSES, warehouse_view)
    return page


@post("/locations", summary="Create a location")
async def create_location(request: ApiRequest, data: CreateLocationInput) -> Reply[LocationView]:
    """A place in a warehouse. The default location is where documents that name none take and put goods."""
    return await perform(request, ADD_LOCATION, data)


@patch("/locations/{location_id:uuid}", summary="Change a location")
async def update_location(request: ApiRequest, location_id: UUID, data: UpdateLocationInput) -> Reply[LocationView]:
    """Only the fields that are sent change. A location that holds stock or is the default stays in use."""
    return await perform(request, SET_LOCATION, data, location_id)


@get("/locations/{location_id:uuid}", summary="Read a location")
async def get_location(request: ApiRequest, location_id: UUID) -> Reply[LocationView]:
    found = await read_one(request, "stock:read", LOCATION(location_id=location_id), location_id=location_id)
    return show(location_view(found))


@get("/locations", summary="List locations", opt={"listing": LOCATIONS})
async def list_locations(request: ApiRequest) -> Reply[Page[LocationView]]:
    page: Reply[Any] = await list_page(request, "stock:read", LOCATIONS, location_view)
    return page


HANDLERS = (
    create_warehouse, update_warehouse, get_warehouse, list_warehouses,
    create_location, update_location, get_location, list_locations,
)  # fmt: skip
