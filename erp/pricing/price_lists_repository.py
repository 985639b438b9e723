"""Write-side statements of price lists."""

from datetime import date, datetime
from decimal import Decimal
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import Date, Numeric, Uuid, bindparam, cast, delete, select, update
from sqlalchemy.dialects.postgresql import insert

from db.statement import TENANT, Statement, any_of, rows_of
from erp.pricing.models import price_list_items, price_lists


class PriceListRow(NamedTuple):
    id: UUID
    version: int
    code: str
    name: str
    currency: str
    active: bool
    external_id: str | None
    created_at: datetime


class PriceListItemRow(NamedTuple):
    """`min_quantity` in the product's own unit, `unit_price` for one of it; both days count."""

    id: UUID
    product_id: UUID
    min_quantity: Decimal
    valid_from: date
    valid_to: date | None
    unit_price: Decimal


#: What a client may change in the list itself. Its currency stays: its prices are amounts in it.
CHANGING_LIST = ("code", "name", "active", "external_id")
PRICE_LIST_COLUMNS = tuple(price_lists.c[name] for name in PriceListRow._fields)
ITEM_COLUMNS = tuple(price_list_items.c[name] for name in PriceListItemRow._fields)

_one = (price_lists.c.tenant_id == TENANT, price_lists.c.id == bindparam("price_list_id"))
_items = select(*ITEM_COLUMNS).where(
    price_list_items.c.tenant_id == TENANT, price_list_items.c.price_list_id == bindparam("price_list_id")
)

LOCK_PRICE_LIST: Statement[PriceListRow] = Statement(
    select(*PRICE_LIST_COLUMNS).where(*_one).with_for_update(key_share=True), PriceListRow
)
ADD_PRICE_LIST: Statement[tuple[()]] = Statement(
    insert(price_lists).values(
        tenant_id=TENANT, id=bindparam("id"), currency=bindparam("currency"), created_at=bindparam("created_at"),
        **{name: bindparam(name) for name in CHANGING_LIST},
    )
)  # fmt: skip
SET_PRICE_LIST: Statement[tuple[()]] = Statement(
    update(price_lists)
    .where(*_one)
    .values(version=price_lists.c.version + 1, **{name: bindparam(name) for name in CHANGING_LIST})
)
#: Its items have changed.
MOVE_PRICE_LIST: Statement[tuple[()]] = Statement(
    update(price_lists).where(*_one).values(version=price_lists.c.version + 1)
)

#: Behind the list's lock and in a statement of their own, so with what whoever held it before has committed.
ITEMS_OF_PRODUCTS: Statement[PriceListItemRow] = Statement(
    _items.where(price_list_items.c.product_id == any_of("product_ids", Uuid)), PriceListItemRow
)
ITEMS_BY_ID: Statement[PriceListItemRow] = Statement(
    _items.where(price_list_items.c.id == any_of("item_ids", Uuid)), PriceListItemRow
)
ITEM_ARRAYS = ("ids", "product_ids", "min_quantities", "starts", "ends", "unit_prices")
_item = rows_of(
    ids=Uuid, product_ids=Uuid, min_quantities=Numeric, starts=Date, ends=Date, unit_prices=Numeric
)  # fmt: skip
_new = insert(price_list_items).from_select(
    ["tenant_id", "price_list_id", *PriceListItemRow._fields],
    select(cast(TENANT, Uuid), cast(bindparam("price_list_id"), Uuid), *(_item.c[name] for name in ITEM_ARRAYS)),
)
SET_ITEMS: Statement[tuple[()]] = Statement(
    _new.on_conflict_do_update(
        constraint="price_list_items_pkey",
        set_={"valid_to": _new.excluded.valid_to, "unit_price": _new.excluded.unit_price},
    )
)
DROP_ITEMS: Statement[tuple[()]] = Statement(
    delete(price_list_items).where(
        price_list_items.c.tenant_id == TENANT,
        price_list_items.c.price_list_id == bindparam("price_list_id"),
        price_list_items.c.id == any_of("item_ids", Uuid),
    )
)
