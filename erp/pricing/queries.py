"""Reading tax groups."""

from sqlalchemy import bindparam

from db.statement import Statement
from erp.http.filters import eq
from erp.http.listing import Listing
from erp.pricing.models import tax_groups
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
