"""Parties over HTTP."""

from typing import Any
from uuid import UUID

from litestar import Router, get, patch, post

from erp.http.answers import Reply
from erp.http.cached import show_cached
from erp.http.commands import Command, perform
from erp.http.listing import Page, list_page
from erp.http.request import ApiRequest
from erp.parties import service
from erp.parties.configuration import CACHE_TTL_PARTY
from erp.parties.queries import PARTIES, PARTY
from erp.parties.schemas import CreatePartyInput, PartyView, UpdatePartyInput
from tenancy.cache.entries import record

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
    return await show_cached(
        request, "parties:read", record("party", party_id), CACHE_TTL_PARTY, PARTY(party_id=party_id),
        service.party_view, party_id=str(party_id),
    )  # fmt: skip


@get("/parties", summary="List parties", opt={"listing": PARTIES})
async def list_parties(request: ApiRequest) -> Reply[Page[PartyView]]:
    """Search by the beginning of the name with `search`, or filter by role, code, country and more."""
    page: Reply[Any] = await list_page(
        request, "parties:read", PARTIES, service.party_view, cached=("party", CACHE_TTL_PARTY)
    )
    return page


router = Router("/v1", route_handlers=[create_party, update_party, get_party, list_parties], tags=["Parties"])
