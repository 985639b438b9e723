"""What other slices read of parties, as statements for their own loads."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Uuid, bindparam, select

from db.errors import UnknownReference
from db.statement import TENANT, Bound, Statement, any_of
from erp.parties.errors import NotACustomer, NotASupplier, PartyInactive
from erp.parties.models import parties

__all__ = [
    "CASH_SALES_CODE",
    "LimitRow",
    "PartyFacts",
    "cash_sales_party",
    "customer_of",
    "locked_limit",
    "locked_limits",
    "parties_facts",
    "party_facts",
    "supplier_of",
]

#: The party of sales to customers nobody wrote down; every tenant starts with it.
CASH_SALES_CODE = "CASH-SALES"


class PartyFacts(NamedTuple):
    """`credit_limit` in the tenant's currency, None without a limit."""

    id: UUID
    code: str
    name: str
    is_customer: bool
    is_supplier: bool
    active: bool
    payment_terms_days: int
    credit_limit: Decimal | None


class LimitRow(NamedTuple):
    """A party's credit limit, its row locked."""

    id: UUID
    code: str
    credit_limit: Decimal | None


_FACTS = select(
    parties.c.id, parties.c.code, parties.c.name, parties.c.is_customer, parties.c.is_supplier, parties.c.active,
    parties.c.payment_terms_days, parties.c.credit_limit,
).where(parties.c.tenant_id == TENANT)  # fmt: skip

_BY_ID = Statement(_FACTS.where(parties.c.id == bindparam("party_id")), PartyFacts)
_BY_IDS = Statement(_FACTS.where(parties.c.id == any_of("party_ids", Uuid)), PartyFacts)
#: Documents that refer to the party check its key only, so only those wait that count on the limit themselves.
_LIMIT = Statement(
    select(parties.c.id, parties.c.code, parties.c.credit_limit)
    .where(parties.c.tenant_id == TENANT, parties.c.id == bindparam("party_id"))
    .with_for_update(key_share=True),
    LimitRow,
)
_LIMITS = Statement(
    select(parties.c.id)
    .where(parties.c.tenant_id == TENANT, parties.c.id == any_of("party_ids", Uuid))
    .order_by(parties.c.id)
    .with_for_update(key_share=True)
)
_BY_CODE = Statement(_FACTS.where(parties.c.code == bindparam("code")), PartyFacts)


def party_facts(party_id: UUID) -> Bound[PartyFacts]:
    """One row, or none when the tenant has no such party."""
    return _BY_ID(party_id=party_id)


def locked_limit(party_id: UUID) -> Bound[LimitRow]:
    """The party's limit under a lock: of all who count on it, one at a time. Only for parties that have one."""
    return _LIMIT(party_id=party_id)


def locked_limits(party_ids: list[UUID]) -> Bound[Any]:
    """The same lock on several parties, in the order of their ids."""
    return _LIMITS(party_ids=party_ids)


def parties_facts(party_ids: list[UUID]) -> Bound[PartyFacts]:
    """The rows there are, in no order."""
    return _BY_IDS(party_ids=party_ids)


def cash_sales_party() -> Bound[PartyFacts]:
    """The party of sales without a customer."""
    return _BY_CODE(code=CASH_SALES_CODE)


def customer_of(rows: Sequence[PartyFacts], party_id: UUID, *, pointer: str = "/party_id") -> PartyFacts:
    """The party a document sells to. Raises UnknownReference, NotACustomer, PartyInactive."""
    party = _named(rows, party_id, pointer)
    if not party.is_customer:
        raise NotACustomer(f"{party.code} is not a customer.", pointer=pointer, party_id=str(party_id))
    return party


def supplier_of(rows: Sequence[PartyFacts], party_id: UUID, *, pointer: str = "/party_id") -> PartyFacts:
    """The party a document buys from. Raises UnknownReference, NotASupplier, PartyInactive."""
    party = _named(rows, party_id, pointer)
    if not party.is_supplier:
        raise NotASupplier(f"{party.code} is not a supplier.", pointer=pointer, party_id=str(party_id))
    return party


def _named(rows: Sequence[PartyFacts], party_id: UUID, pointer: str) -> PartyFacts:
    for party in rows:
        if party.id == party_id:
            if not party.active:
                raise PartyInactive(f"{party.code} is inactive.", pointer=pointer, party_id=str(party_id))
            return party
    raise UnknownReference("There is no party with this id.", pointer=pointer, party_id=str(party_id))
