"""Commands of parties: they are created and changed, and deactivated instead of removed."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import msgspec
from msgspec import UNSET
from psycopg.types.json import Jsonb

from db.identifiers import new_id
from erp.kernel.errors import Invalid, NotFound, UnknownReference
from erp.kernel.money import money
from erp.parties.errors import PriceListInactive
from erp.parties.repository import ADD_PARTY, CHANGING, PRICE_LIST_STATE, READ_PARTY, SET_PARTY, PartyRow
from erp.parties.schemas import Address, Contact, CreatePartyInput, PartyView, UpdatePartyInput
from tenancy.concurrency import optimistic_save
from tenancy.trail import Event
from tenancy.work import UnitOfWork

#: Personal data: events travel further than the record, so they carry none of it.
_PRIVATE = frozenset({"email", "phone", "addresses", "contacts"})


async def create_party(work: UnitOfWork, data: CreatePartyInput) -> PartyView:
    """Raises Invalid when it is neither customer nor supplier, Duplicate for a taken code or external id, and
    UnknownReference or PriceListInactive for a price list that cannot be given to it.
    """
    values = _stored(msgspec.structs.asdict(data), work.tenant.base_currency)
    row = PartyRow(id=new_id(), version=1, active=True, created_at=work.now, **values)
    await _check_price_list(work, row.price_list_id)
    _check_role(row)
    work.save(ADD_PARTY(id=row.id, created_at=row.created_at, **_parameters(row)))
    work.publish(Event("party", row.id, 1, "party.created", _told(_shown(row, CHANGING))))
    work.audit("party.create", "party", row.id, after=_shown(row, CHANGING))
    return party_view(row)


async def update_party(work: UnitOfWork, party_id: UUID, data: UpdatePartyInput) -> PartyView:
    """Change the fields that were sent. Raises NotFound, VersionConflict and what creating raises."""
    [found] = await work.load(READ_PARTY(party_id=party_id))
    if not found:
        raise NotFound(party_id=str(party_id))
    [before] = found
    work.check_version(before.version)
    sent = {name: value for name, value in msgspec.structs.asdict(data).items() if value is not UNSET}
    after = before._replace(**_stored(sent, work.tenant.base_currency))
    changed = [name for name in CHANGING if getattr(after, name) != getattr(before, name)]
    if not changed:
        return party_view(before)
    _check_role(after)
    if "price_list_id" in changed:
        await _check_price_list(work, after.price_list_id)
    after = after._replace(version=before.version + 1)
    optimistic_save(work, SET_PARTY(party_id=party_id, seen=before.version, **_parameters(after)))
    work.publish(Event("party", party_id, after.version, "party.updated", _told(_shown(after, changed))))
    work.audit("party.update", "party", party_id, before=_shown(before, changed), after=_shown(after, changed))
    return party_view(after)


def party_view(row: PartyRow) -> PartyView:
    return PartyView(
        **{
            **row._asdict(),
            "credit_limit": None if row.credit_limit is None else format(row.credit_limit, "f"),
            "addresses": msgspec.convert(row.addresses, list[Address]),
            "contacts": msgspec.convert(row.contacts, list[Contact]),
        }
    )


def _stored(sent: Mapping[str, Any], currency: str) -> dict[str, Any]:
    """Wire values as columns hold them."""
    values = dict(sent)
    if (limit := values.get("credit_limit")) is not None:
        values["credit_limit"] = money(limit, currency, pointer="/credit_limit")
    for name in ("addresses", "contacts"):
        if name in values:
            values[name] = msgspec.to_builtins(values[name])
    return values


def _parameters(row: PartyRow) -> dict[str, Any]:
    values = {name: getattr(row, name) for name in CHANGING}
    return {**values, "addresses": Jsonb(row.addresses), "contacts": Jsonb(row.contacts)}


def _check_role(row: PartyRow) -> None:
    if not (row.is_customer or row.is_supplier):
        raise Invalid("A party is a customer, a supplier or both.", pointer="/is_customer")


async def _check_price_list(work: UnitOfWork, price_list_id: UUID | None) -> None:
    """Raises UnknownReference, PriceListInactive. One that is deactivated later stays, and prices nothing."""
    if price_list_id is None:
        return
    [found] = await work.load(PRICE_LIST_STATE(price_list_id=price_list_id))
    if not found:
        raise UnknownReference(
            "There is no price list with this id.", pointer="/price_list_id", price_list_id=str(price_list_id)
        )
    [(active,)] = found
    if not active:
        raise PriceListInactive(pointer="/price_list_id", price_list_id=str(price_list_id))


def _shown(row: PartyRow, names: tuple[str, ...] | list[str]) -> dict[str, Any]:
    view = msgspec.to_builtins(party_view(row))
    return {name: view[name] for name in names}


def _told(facts: Mapping[str, Any]) -> dict[str, Any]:
    """What an event says; of personal data only that it changed."""
    told = {name: value for name, value in facts.items() if name not in _PRIVATE}
    if private := sorted(_PRIVATE & facts.keys()):
        told["changed"] = private
    return told
