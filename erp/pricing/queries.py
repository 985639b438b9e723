"""Reading tax groups and price lists."""

from sqlalchemy import bindparam, select

from db.statement import TENANT, Statement
from erp.http.filters import eq, in_, span
from erp.http.listing import Listing
from erp.pricing.models import price_list_items, price_lists, tax_groups
from erp.pricing.price_lists_repository import (
    ITEM_COLUMNS,
    PRICE_LIST_COLUMNS,
    PriceListItemRow,
    PriceListRow,
)
from erp.pricing.repository import TAX_GROUP_SELECT, TaxGroupRow

TAX_GROUP: Statement[TaxGroupRow] = Statement(
    TAX_GROUP_SELECT.where(tax_groups.c.id == bindparam("tax_group_id")), TaxGroupRow
)
TAX_GROUPS: Listing[TaxGroupRow] = Listing(
    select=TAX_GROUP_SELECT,
    row=TaxGroupRow,
    key=tax_groups.c.id,
    sorts={"created_at": tax_groups.c.created_at, "code": tax_groups.c.code},
    default="code",
    filters={
        "code": eq(tax_groups.c.code),
        "active": eq(tax_groups.c.active),
        "external_id": eq(tax_groups.c.external_id),
    },
)

_lists = select(*PRICE_LIST_COLUMNS).where(price_lists.c.tenant_id == TENANT)
PRICE_LIST: Statement[PriceListRow] = Statement(
    _lists.where(price_lists.c.id == bindparam("price_list_id")), PriceListRow
)
PRICE_LISTS: Listing[PriceListRow] = Listing(
    select=_lists,
    row=PriceListRow,
    key=price_lists.c.id,
    sorts={"created_at": price_lists.c.created_at, "code": price_lists.c.code},
    default="code",
    filters={
        "code": eq(price_lists.c.code),
        "active": eq(price_lists.c.active),
        "external_id": eq(price_lists.c.external_id),
    },
)

PRICE_LIST_ITEMS: Listing[PriceListItemRow] = Listing(
    select=select(*ITEM_COLUMNS).where(
        price_list_items.c.tenant_id == TENANT, price_list_items.c.price_list_id == bindparam("price_list_id")
    ),
    row=PriceListItemRow,
    key=price_list_items.c.id,
    sorts={"product_id": price_list_items.c.product_id, "valid_from": price_list_items.c.valid_from},
    default="product_id",
    filters={
        "product_id": in_(price_list_items.c.product_id),
        "valid_from": span(price_list_items.c.valid_from),
        "valid_to": span(price_list_items.c.valid_to),
    },
)
