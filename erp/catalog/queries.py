"""Reading the catalogue."""

from sqlalchemy import bindparam, select

from db.statement import TENANT, Statement
from erp.catalog.models import categories, products, units
from erp.catalog.repository import (
    CATEGORY_COLUMNS,
    PRODUCT_SELECT,
    UNIT_COLUMNS,
    CategoryRow,
    ProductRow,
    UnitRow,
)
from erp.http.filters import eq, in_, prefix, span
from erp.http.listing import Listing
from erp.http.search import search

_units = select(*UNIT_COLUMNS).where(units.c.tenant_id == TENANT)
UNIT: Statement[UnitRow] = Statement(_units.where(units.c.id == bindparam("unit_id")), UnitRow)
UNITS: Listing[UnitRow] = Listing(
    select=_units,
    row=UnitRow,
    key=units.c.id,
    sorts={"created_at": units.c.created_at, "code": units.c.code},
    default="code",
    filters={"code": eq(units.c.code), "active": eq(units.c.active), "external_id": eq(units.c.external_id)},
)

_categories = select(*CATEGORY_COLUMNS).where(categories.c.tenant_id == TENANT)
CATEGORY: Statement[CategoryRow] = Statement(
    _categories.where(categories.c.id == bindparam("category_id")), CategoryRow
)
CATEGORIES: Listing[CategoryRow] = Listing(
    select=_categories,
    row=CategoryRow,
    key=categories.c.id,
    sorts={"created_at": categories.c.created_at, "code": categories.c.code},
    default="code",
    filters={
        "code": eq(categories.c.code),
        "parent_id": in_(categories.c.parent_id),
        "active": eq(categories.c.active),
        "external_id": eq(categories.c.external_id),
    },
)

PRODUCT: Statement[ProductRow] = Statement(PRODUCT_SELECT.where(products.c.id == bindparam("product_id")), ProductRow)
PRODUCTS: Listing[ProductRow] = Listing(
    select=PRODUCT_SELECT,
    row=ProductRow,
    key=products.c.id,
    sorts={"created_at": products.c.created_at, "code": products.c.code, "name": products.c.name},
    default="-created_at",
    filters={
        "id": in_(products.c.id),
        "code": (eq(products.c.code), prefix(products.c.code)),
        "name": prefix(products.c.name),
        "search": search(products.c.search_name),
        "kind": eq(products.c.kind),
        "category_id": in_(products.c.category_id),
        "tax_group_id": in_(products.c.tax_group_id),
        "barcode": eq(products.c.barcode),
        "active": eq(products.c.active),
        "external_id": eq(products.c.external_id),
        "created_at": span(products.c.created_at),
    },
)
