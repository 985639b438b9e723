"""Reading parties."""

from sqlalchemy import bindparam, select

from db.statement import TENANT, Statement
from erp.http.filters import eq, in_, prefix, span
from erp.http.listing import Listing
from erp.http.search import search
from erp.parties.models import parties
from erp.parties.repository import COLUMNS, PartyRow

_parties = select(*COLUMNS).where(parties.c.tenant_id == TENANT)

PARTY: Statement[PartyRow] = Statement(_parties.where(parties.c.id == bindparam("party_id")), PartyRow)

PARTIES: Listing[PartyRow] = Listing(
    select=_parties,
    row=PartyRow,
    key=parties.c.id,
    sorts={"created_at": parties.c.created_at, "code": parties.c.code, "name": parties.c.name},
    default="-created_at",
    filters={
        "code": (eq(parties.c.code), prefix(parties.c.code)),
        "name": prefix(parties.c.name),
        "search": search(parties.c.search_name),
        "is_customer": eq(parties.c.is_customer),
        "is_supplier": eq(parties.c.is_supplier),
        "active": eq(parties.c.active),
        "country": in_(parties.c.country),
        "email": eq(parties.c.email),
        "tax_id": eq(parties.c.tax_id),
        "price_list_id": in_(parties.c.price_list_id),
        "external_id": eq(parties.c.external_id),
        "created_at": span(parties.c.created_at),
    },
)
