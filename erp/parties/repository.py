"""Write-side statements of parties."""

from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import bindparam, insert, select, update

from db.statement import TENANT, Statement
from erp.parties.models import known_price_lists, parties
from tenancy.concurrency import over_version


class PartyRow(NamedTuple):
    """`addresses` and `contacts` as stored: lists of plain objects."""

    id: UUID
    version: int
    code: str
    name: str
    is_customer: bool
    is_supplier: bool
    email: str | None
    phone: str | None
    tax_id: str | None
    country: str | None
    payment_terms_days: int
    credit_limit: Decimal | None
    price_list_id: UUID | None
    addresses: list[dict[str, Any]]
    contacts: list[dict[str, Any]]
    active: bool
    external_id: str | None
    created_at: datetime


COLUMNS = tuple(parties.c[name] for name in PartyRow._fields)
#: What a client may change.
CHANGING = tuple(name for name in PartyRow._fields if name not in ("id", "version", "created_at"))

#: Without a lock: a change is written over the version that was read.
READ_PARTY: Statement[PartyRow] = Statement(
    select(*COLUMNS).where(parties.c.tenant_id == TENANT, parties.c.id == bindparam("party_id")), PartyRow
)
#: (active) of a price list; no row when the tenant has none with this id.
PRICE_LIST_STATE: Statement[tuple[bool]] = Statement(
    select(known_price_lists.c.active).where(
        known_price_lists.c.tenant_id == TENANT, known_price_lists.c.id == bindparam("price_list_id")
    ),
    lambda active: (active,),
)
ADD_PARTY: Statement[tuple[()]] = Statement(
    insert(parties).values(
        tenant_id=TENANT, id=bindparam("id"), created_at=bindparam("created_at"),
        **{name: bindparam(name) for name in CHANGING},
    )
)  # fmt: skip
SET_PARTY = over_version(
    update(parties)
    .where(
        parties.c.tenant_id == TENANT,
        parties.c.id == bindparam("party_id"),
        parties.c.version == bindparam("seen"),
    )
    .values(version=parties.c.version + 1, **{name: bindparam(name) for name in CHANGING})
)
