"""Write-side statements of the catalogue."""

from datetime import datetime
from decimal import Decimal
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import BigInteger, Text, Uuid, bindparam, cast, delete, func, insert, select, update
from sqlalchemy.dialects.postgresql import aggregate_order_by, array

from db.statement import TENANT, Statement, any_of, rows_of
from erp.catalog.models import categories, product_units, products, units
from tenancy.concurrency import over_version


class UnitRow(NamedTuple):
    id: UUID
    version: int
    code: str
    name: str
    decimals: int
    active: bool
    external_id: str | None
    created_at: datetime


class CategoryRow(NamedTuple):
    id: UUID
    version: int
    code: str
    name: str
    parent_id: UUID | None
    active: bool
    external_id: str | None
    created_at: datetime


class Place(NamedTuple):
    """Where a category hangs in the tree."""

    id: UUID
    parent_id: UUID | None


class ProductRow(NamedTuple):
    """`units`: (unit code, numerator, denominator) of the units besides its own, as a list of lists."""

    id: UUID
    version: int
    code: str
    name: str
    kind: str
    unit: str
    units: list[list[str]]
    category_id: UUID | None
    sale_price: Decimal | None
    tax_group_id: UUID | None
    reorder_point: Decimal | None
    barcode: str | None
    active: bool
    external_id: str | None
    created_at: datetime


_KEPT = ("id", "version", "created_at")

# -- units ---------------------------------------------------------------------------------

UNIT_COLUMNS = tuple(units.c[name] for name in UnitRow._fields)
CHANGING_UNIT = ("name", "decimals", "active")

LOCK_UNIT: Statement[UnitRow] = Statement(
    select(*UNIT_COLUMNS)
    .where(units.c.tenant_id == TENANT, units.c.id == bindparam("unit_id"))
    .with_for_update(key_share=True),
    UnitRow,
)
UNITS_BY_CODE: Statement[UnitRow] = Statement(
    select(*UNIT_COLUMNS).where(units.c.tenant_id == TENANT, units.c.code == any_of("codes", Text)), UnitRow
)
ADD_UNIT: Statement[tuple[()]] = Statement(
    insert(units).values(
        tenant_id=TENANT, id=bindparam("id"), code=bindparam("code"), name=bindparam("name"),
        decimals=bindparam("decimals"), external_id=bindparam("external_id"), created_at=bindparam("created_at"),
    )
)  # fmt: skip
SET_UNIT: Statement[tuple[()]] = Statement(
    update(units)
    .where(units.c.tenant_id == TENANT, units.c.id == bindparam("unit_id"))
    .values(version=units.c.version + 1, **{name: bindparam(name) for name in CHANGING_UNIT})
)

# -- categories ----------------------------------------------------------------------------

CATEGORY_COLUMNS = tuple(categories.c[name] for name in CategoryRow._fields)
CHANGING_CATEGORY = tuple(name for name in CategoryRow._fields if name not in _KEPT)

LOCK_CATEGORY: Statement[CategoryRow] = Statement(
    select(*CATEGORY_COLUMNS)
    .where(categories.c.tenant_id == TENANT, categories.c.id == bindparam("category_id"))
    .with_for_update(key_share=True),
    CategoryRow,
)
#: The whole tree, locked: two categories moved below each other at the same moment would make a circle that
#: neither of them sees. Moving categories is rare and a tenant has hundreds of them, not millions.
_tree = select(categories.c.id, categories.c.parent_id).where(categories.c.tenant_id == TENANT)
LOCK_TREE: Statement[Place] = Statement(_tree.order_by(categories.c.id).with_for_update(key_share=True), Place)
ADD_CATEGORY: Statement[tuple[()]] = Statement(
    insert(categories).values(
        tenant_id=TENANT, id=bindparam("id"), created_at=bindparam("created_at"),
        **{name: bindparam(name) for name in CHANGING_CATEGORY},
    )
)  # fmt: skip
SET_CATEGORY: Statement[tuple[()]] = Statement(
    update(categories)
    .where(categories.c.tenant_id == TENANT, categories.c.id == bindparam("category_id"))
    .values(version=categories.c.version + 1, **{name: bindparam(name) for name in CHANGING_CATEGORY})
)

# -- products ------------------------------------------------------------------------------

CHANGING_PRODUCT = tuple(name for name in ProductRow._fields if name not in (*_KEPT, "kind", "unit", "units"))

_other = units.alias("other")
_also_in = (
    select(
        func.array_agg(
            aggregate_order_by(
                array(
                    [_other.c.code, cast(product_units.c.numerator, Text), cast(product_units.c.denominator, Text)]
                ),
                _other.c.code,
            )
        )
    )
    .select_from(
        product_units.join(
            _other, (_other.c.tenant_id == product_units.c.tenant_id) & (_other.c.id == product_units.c.unit_id)
        )
    )
    .where(product_units.c.tenant_id == TENANT, product_units.c.product_id == products.c.id)
    .correlate(products)
    .scalar_subquery()
)
PRODUCT_SELECT = (
    select(
        products.c.id, products.c.version, products.c.code, products.c.name, products.c.kind,
        units.c.code.label("unit"), _also_in.label("units"), products.c.category_id, products.c.sale_price,
        products.c.tax_group_id, products.c.reorder_point, products.c.barcode, products.c.active,
        products.c.external_id, products.c.created_at,
    )
    .select_from(
        products.join(units, (units.c.tenant_id == products.c.tenant_id) & (units.c.id == products.c.unit_id))
    )
    .where(products.c.tenant_id == TENANT)
)  # fmt: skip

#: Without a lock: a change is written over the version that was read.
READ_PRODUCT: Statement[ProductRow] = Statement(
    PRODUCT_SELECT.where(products.c.id == bindparam("product_id")), ProductRow
)
ADD_PRODUCT: Statement[tuple[()]] = Statement(
    insert(products).values(
        tenant_id=TENANT, id=bindparam("id"), kind=bindparam("kind"), unit_id=bindparam("unit_id"),
        created_at=bindparam("created_at"), **{name: bindparam(name) for name in CHANGING_PRODUCT},
    )
)  # fmt: skip
SET_PRODUCT = over_version(
    update(products)
    .where(
        products.c.tenant_id == TENANT,
        products.c.id == bindparam("product_id"),
        products.c.version == bindparam("seen"),
    )
    .values(version=products.c.version + 1, **{name: bindparam(name) for name in CHANGING_PRODUCT})
)
_ratio = rows_of(unit_ids=Uuid, numerators=BigInteger, denominators=BigInteger)
ADD_PRODUCT_UNITS: Statement[tuple[()]] = Statement(
    insert(product_units).from_select(
        ["tenant_id", "product_id", "unit_id", "numerator", "denominator"],
        select(
            cast(TENANT, Uuid), cast(bindparam("product_id"), Uuid), _ratio.c.unit_ids, _ratio.c.numerators,
            _ratio.c.denominators,
        ),
    )
)  # fmt: skip
DROP_PRODUCT_UNITS: Statement[tuple[()]] = Statement(
    delete(product_units).where(
        product_units.c.tenant_id == TENANT, product_units.c.product_id == bindparam("product_id")
    )
)
