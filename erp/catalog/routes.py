"""The catalogue over HTTP: units, categories, products."""

from typing import Any
from uuid import UUID

from litestar import Router, get, patch, post

from erp.catalog import service
from erp.catalog.categories import category_view
from erp.catalog.configuration import CACHE_TTL_PRODUCT
from erp.catalog.products import product_view
from erp.catalog.queries import CATEGORIES, CATEGORY, PRODUCT, PRODUCTS, UNIT, UNITS
from erp.catalog.schemas import (
    CategoryView,
    CreateCategoryInput,
    CreateProductInput,
    CreateUnitInput,
    ProductView,
    UnitView,
    UpdateCategoryInput,
    UpdateProductInput,
    UpdateUnitInput,
)
from erp.catalog.units import unit_view
from erp.http.answers import Reply
from erp.http.cached import show_cached
from erp.http.commands import Command, perform, read_one, show
from erp.http.listing import Page, list_page
from erp.http.request import ApiRequest
from tenancy.cache.entries import record

READ = "products:read"
WRITE = "products:write"

CREATE_UNIT = Command("units.create", service.create_unit, WRITE, CreateUnitInput, status=201)
UPDATE_UNIT = Command("units.update", service.update_unit, WRITE, UpdateUnitInput, target=True, match="required")
CREATE_CATEGORY = Command("categories.create", service.create_category, WRITE, CreateCategoryInput, status=201)
UPDATE_CATEGORY = Command(
    "categories.update", service.update_category, WRITE, UpdateCategoryInput, target=True, match="required"
)
CREATE_PRODUCT = Command("products.create", service.create_product, WRITE, CreateProductInput, status=201)
UPDATE_PRODUCT = Command(
    "products.update", service.update_product, WRITE, UpdateProductInput, target=True, match="required"
)
COMMANDS = (CREATE_UNIT, UPDATE_UNIT, CREATE_CATEGORY, UPDATE_CATEGORY, CREATE_PRODUCT, UPDATE_PRODUCT)


@post("/units", summary="Create a unit of measure", tags=["Units"])
async def create_unit(request: ApiRequest, data: CreateUnitInput) -> Reply[UnitView]:
    """`decimals` says how finely quantities in this unit are counted."""
    return await perform(request, CREATE_UNIT, data)


@patch("/units/{unit_id:uuid}", summary="Change a unit of measure", tags=["Units"])
async def update_unit(request: ApiRequest, unit_id: UUID, data: UpdateUnitInput) -> Reply[UnitView]:
    return await perform(request, UPDATE_UNIT, data, unit_id)


@get("/units/{unit_id:uuid}", summary="Read a unit of measure", tags=["Units"])
async def get_unit(request: ApiRequest, unit_id: UUID) -> Reply[UnitView]:
    found = await read_one(request, READ, UNIT(unit_id=unit_id), unit_id=unit_id)
    return show(unit_view(found))


@get("/units", summary="List units of measure", tags=["Units"], opt={"listing": UNITS})
async def list_units(request: ApiRequest) -> Reply[Page[UnitView]]:
    page: Reply[Any] = await list_page(request, READ, UNITS, unit_view)
    return page


@post("/categories", summary="Create a category", tags=["Categories"])
async def create_category(request: ApiRequest, data: CreateCategoryInput) -> Reply[CategoryView]:
    """Without `parent_id` the category stands at the top of the tree."""
    return await perform(request, CREATE_CATEGORY, data)


@patch("/categories/{category_id:uuid}", summary="Change or move a category", tags=["Categories"])
async def update_category(request: ApiRequest, category_id: UUID, data: UpdateCategoryInput) -> Reply[CategoryView]:
    return await perform(request, UPDATE_CATEGORY, data, category_id)


@get("/categories/{category_id:uuid}", summary="Read a category", tags=["Categories"])
async def get_category(request: ApiRequest, category_id: UUID) -> Reply[CategoryView]:
    found = await read_one(request, READ, CATEGORY(category_id=category_id), category_id=category_id)
    return show(category_view(found))


@get("/categories", summary="List categories", tags=["Categories"], opt={"listing": CATEGORIES})
async def list_categories(request: ApiRequest) -> Reply[Page[CategoryView]]:
    page: Reply[Any] = await list_page(request, READ, CATEGORIES, category_view)
    return page


@post("/products", summary="Create a product", tags=["Products"])
async def create_product(request: ApiRequest, data: CreateProductInput) -> Reply[ProductView]:
    """A stocked product or a service. The code is unique and case-sensitive; `unit` and `kind` stay for good."""
    return await perform(request, CREATE_PRODUCT, data)


@patch("/products/{product_id:uuid}", summary="Change a product", tags=["Products"])
async def update_product(request: ApiRequest, product_id: UUID, data: UpdateProductInput) -> Reply[ProductView]:
    """Only the fields that are sent change. Products are never removed: deactivate them with `active: false`."""
    return await perform(request, UPDATE_PRODUCT, data, product_id)


@get("/products/{product_id:uuid}", summary="Read a product", tags=["Products"])
async def get_product(request: ApiRequest, product_id: UUID) -> Reply[ProductView]:
    return await show_cached(
        request, READ, record("product", product_id), CACHE_TTL_PRODUCT, PRODUCT(product_id=product_id),
        product_view, product_id=str(product_id),
    )  # fmt: skip


@get("/products", summary="List products", tags=["Products"], opt={"listing": PRODUCTS})
async def list_products(request: ApiRequest) -> Reply[Page[ProductView]]:
    """Search by the beginning of the name with `search`, or filter by code, category, bar code and more."""
    page: Reply[Any] = await list_page(request, READ, PRODUCTS, product_view, cached=("product", CACHE_TTL_PRODUCT))
    return page


router = Router(
    "/v1",
    route_handlers=[
        create_unit,
        update_unit,
        get_unit,
        list_units,
        create_category,
        update_category,
        get_category,
        list_categories,
        create_product,
        update_product,
        get_product,
        list_products,
    ],
)
