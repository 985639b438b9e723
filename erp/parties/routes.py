"""Parties over HTTP."""

from typing import Any
from uuid import UUID

from litestar import Router, get, patch, post

from erp.http.answers import Reply
from erp.http.commands import Command, perform, read, show
from erp.http.listing import Page, list_page
from erp.http.request import ApiRequest
from erp.kernel.errors import NotFound
from erp.parties import service
from erp.parties.queries import PARTIES, PARTY
from erp.parties.schemas import CreatePartyInput, PartyView, UpdatePartyInput

CREATE = Command("parties.create", service.create_party, "parties:write", CreatePartyInput, status=201)
UPDATE = Command(
    "parties.update", service.update_party, "parties:write", UpdatePartyInput, target=True, match="required"
)
COMMANDS = (CREATE, UPDATE)


@post("/parties", summary="Create a party")
async def create_party(request: ApiRequest, data: CreatePartyInput) -> Reply[PartyView]:
    """A customer, a supplier or both. The code is unique and case-sensitive."""
    return await perform(request, CREATE, data)


@patch("/parties/{party_id:uuid}", summary="Change a party")
async def update_party(request: ApiRequest, party_id: UUID, data: UpdatePartyInput) -> Reply[PartyView]:
    """Only the fields that are sent change. Parties are never removed: deactivate them with `active: false`."""
    return await perform(request, UPDATE, data, party_id)


@get("/parties/{party_id:uuid}", summary="Read a party")
async def get_party(request: ApiRequest, party_id: UUID) -> Reply[PartyView]:
    [found] = await read(request, "parties:read", PARTY(party_id=party_id))
    if not found:
        raise NotFound(party_id=str(party_id))
    return show(service.party_view(found[0]))


@get("/parties", summary="List parties", opt={"listing": PARTIES})
async def list_parties(request: ApiRequest) -> Reply[Page[PartyView]]:
    """Search by the beginning of the name with `search`, or filter by role, code, country and more."""
    page: Reply[Any] = await list_page(request, "parties:read", PARTIES, service.party_view)
    return page


router = Router("/v1", route_handlers=[create_party, update_party, get_party, list_parties], tags=["Parties"])
