"""The lead of the fleet over HTTP, for the platform's operator."""

from dataclasses import replace
from typing import Any

from litestar import Router, get, post

from db.two_phase import MAIN
from erp.http.answers import Reply
from erp.http.commands import Command, encode_json, perform
from erp.http.listing import Page, list_page
from erp.http.request import ApiRequest
from erp.operations.leader import Transfer, leads, term_view
from erp.operations.leader_queries import TERMS
from erp.operations.leader_schemas import LeadsView, TermView, TransferInput, TransferView
from erp.operations.operator_trail import record
from erp.tenants.operator_routes import platform_named, require_operator


async def _never(*_: object) -> None:
    raise AssertionError("the route puts the command in, which needs who lives")


TRANSFER = Command("leader.transfer", _never, "platform:write", TransferInput)

#: None in batches: the lead is the fleet's, not a tenant's.
COMMANDS: tuple[Command, ...] = ()


@get("/leader", summary="Read who leads")
async def get_leader(request: ApiRequest) -> Reply[LeadsView]:
    """Straight from the databases: also while Redis is away."""
    require_operator(request)
    return Reply(encode_json(await leads(request.context.services.platforms)))


@get("/leader/history", summary="List the terms of the lead", opt={"listing": TERMS})
async def list_terms(request: ApiRequest, database: str = MAIN) -> Reply[Page[TermView]]:
    """Newest first: who led the work of one database, from when to when, and why it ended."""
    require_operator(request, parameters=False)
    platform = (database, platform_named(request, database))
    page: Reply[Any] = await list_page(request, "platform:read", TERMS, term_view, platform=platform)
    return page


@post("/leader/transfer", status_code=200, summary="Hand the lead over")
async def transfer_lead(request: ApiRequest, data: TransferInput) -> Reply[TransferView]:
    """The present term ends with the answer; the other coordinator takes over within a second or so.

    Whoever it is offered to has ten seconds to take it, then anybody may, so that the fleet is never left without.
    """
    require_operator(request)
    platform_named(request, data.database, pointer="/database")
    instance = request.context.services.instance

    async def keep(facts: dict[str, Any]) -> None:
        target = ("leader", data.database)
        await record(request.database, request.caller, "leader.transfer", target, facts)

    roll = await instance.registry.roll()
    command = Transfer(roll, instance.bus, None if data.database == MAIN else keep)
    return await perform(request, replace(TRANSFER, run=command), data, database=data.database)


router = Router("/v1", route_handlers=[get_leader, list_terms, transfer_lead], tags=["Fleet (operator)"])
