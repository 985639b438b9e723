"""Statements of links and of sales between tenants; each runs inside one tenant's fence."""

from datetime import date, datetime
from decimal import Decimal
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import Text, bindparam, insert, select, update

from db.statement import TENANT, Statement, any_of
from erp.catalog.models import products
from erp.intercompany.models import intercompany_links, intercompany_sales
from erp.sales.models import sales_order_lines, sales_orders
from tenancy.api_keys import tenants


class LinkRow(NamedTuple):
    id: UUID
    version: int
    partner_id: UUID
    party_id: UUID
    location_id: UUID | None
    sells: bool
    buys: bool
    state: str
    created_at: datetime


class SaleRow(NamedTuple):
    id: UUID
    version: int
    side: str
    partner_id: UUID
    party_id: UUID
    date: date
    currency: str
    net: Decimal
    tax: Decimal
    gross: Decimal
    line_count: int
    order_id: UUID
    order_number: str
    handover_id: UUID | None
    handover_number: str | None
    bill_id: UUID
    bill_number: str
    partner_number: str
    created_at: datetime


class SoldLine(NamedTuple):
    """A line as it was sold, with the code its product has everywhere."""

    line_no: int
    code: str
    description: str
    quantity: Decimal
    unit_code: str
    unit_price: Decimal
    discount_percent: Decimal
    tax_rate: Decimal
    prices_include_tax: bool
    tax_rounding: str


LINK_COLUMNS = tuple(intercompany_links.c[name] for name in LinkRow._fields)
SALE_COLUMNS = tuple(intercompany_sales.c[name] for name in SaleRow._fields)
_links = select(*LINK_COLUMNS).where(intercompany_links.c.tenant_id == TENANT)

_with = _links.where(intercompany_links.c.partner_id == bindparam("other"))
LINK_WITH: Statement[LinkRow] = Statement(_with, LinkRow)
#: Held until the sale's end: consent is not taken back under it.
SHARE_LINK_WITH: Statement[LinkRow] = Statement(_with.with_for_update(read=True), LinkRow)
LOCK_LINK: Statement[LinkRow] = Statement(
    _links.where(intercompany_links.c.id == bindparam("link_id")).with_for_update(), LinkRow
)
ADD_LINK: Statement[tuple[()]] = Statement(
    insert(intercompany_links).values(tenant_id=TENANT, **{name: bindparam(name) for name in LinkRow._fields})
)
SET_LINK: Statement[tuple[()]] = Statement(
    update(intercompany_links)
    .where(intercompany_links.c.tenant_id == TENANT, intercompany_links.c.id == bindparam("link_id"))
    .values(
        party_id=bindparam("new_party"), location_id=bindparam("new_location"), sells=bindparam("may_sell"),
        buys=bindparam("may_buy"), state=bindparam("new_state"), version=intercompany_links.c.version + 1,
    )
)  # fmt: skip
#: One sale between tenants at a time for each of them: what they lock in two databases no one server sees, so that a
#: circle of waiting could only be ended by a timeout. Weaker than what references to the tenant's row need.
_own = select(tenants.c.state).where(tenants.c.tenant_id == TENANT)
TURN_OF_TENANT = Statement(_own.with_for_update(key_share=True))

SOLD_LINES: Statement[SoldLine] = Statement(
    select(
        sales_order_lines.c.line_no, products.c.code, sales_order_lines.c.description, sales_order_lines.c.quantity,
        sales_order_lines.c.unit_code, sales_order_lines.c.unit_price, sales_order_lines.c.discount_percent,
        sales_order_lines.c.tax_rate, sales_orders.c.prices_include_tax, sales_orders.c.tax_rounding,
    )
    .join_from(
        sales_order_lines, products,
        (products.c.tenant_id == sales_order_lines.c.tenant_id) & (products.c.id == sales_order_lines.c.product_id),
    )
    .join(
        sales_orders,
        (sales_orders.c.tenant_id == sales_order_lines.c.tenant_id)
        & (sales_orders.c.id == sales_order_lines.c.order_id),
    )
    .where(sales_order_lines.c.tenant_id == TENANT, sales_order_lines.c.order_id == bindparam("sold_order"))
    .order_by(sales_order_lines.c.line_no),
    SoldLine,
)  # fmt: skip
PRODUCTS_CODED = Statement(
    select(products.c.code, products.c.id).where(
        products.c.tenant_id == TENANT, products.c.code == any_of("codes", Text)
    )
)
ADD_SALE: Statement[tuple[()]] = Statement(
    insert(intercompany_sales).values(tenant_id=TENANT, **{name: bindparam(name) for name in SaleRow._fields})
)
