"""Reading links and sales between tenants."""

from sqlalchemy import bindparam, select

from db.statement import TENANT, Statement
from erp.http.filters import eq, span
from erp.http.listing import Listing
from erp.intercompany.models import intercompany_links, intercompany_sales
from erp.intercompany.repository import LINK_COLUMNS, SALE_COLUMNS, LinkRow, SaleRow

_links = select(*LINK_COLUMNS).where(intercompany_links.c.tenant_id == TENANT)
LINK: Statement[LinkRow] = Statement(_links.where(intercompany_links.c.id == bindparam("link_id")), LinkRow)
LINKS: Listing[LinkRow] = Listing(
    select=_links,
    row=LinkRow,
    key=intercompany_links.c.id,
    sorts={"created_at": intercompany_links.c.created_at},
    default="-created_at",
    filters={
        "partner_id": eq(intercompany_links.c.partner_id),
        "party_id": eq(intercompany_links.c.party_id),
        "state": eq(intercompany_links.c.state),
        "created_at": span(intercompany_links.c.created_at),
    },
)

_sales = select(*SALE_COLUMNS).where(intercompany_sales.c.tenant_id == TENANT)
SALE: Statement[SaleRow] = Statement(_sales.where(intercompany_sales.c.id == bindparam("sale_id")), SaleRow)
SALES: Listing[SaleRow] = Listing(
    select=_sales,
    row=SaleRow,
    key=intercompany_sales.c.id,
    sorts={"created_at": intercompany_sales.c.created_at, "date": intercompany_sales.c.date},
    default="-created_at",
    filters={
        "side": eq(intercompany_sales.c.side),
        "partner_id": eq(intercompany_sales.c.partner_id),
        "party_id": eq(intercompany_sales.c.party_id),
        "date": span(intercompany_sales.c.date),
        "created_at": span(intercompany_sales.c.created_at),
    },
)
