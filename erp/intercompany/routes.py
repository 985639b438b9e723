"""Trading between tenants over HTTP."""

from typing import Any
from uuid import UUID

from litestar import Router, get, patch, post

from erp.http.answers import Reply
from erp.http.commands import Command, perform, read_one, show
from erp.http.listing import Page, list_page
from erp.http.request import ApiRequest
from erp.intercompany import service
from erp.intercompany.queries import LINK, LINKS, SALE, SALES
from erp.intercompany.schemas import (
    CreateIntercompanySaleInput,
    CreateLinkInput,
    IntercompanySaleView,
    LinkView,
    UpdateLinkInput,
)
from erp.intercompany.views import link_view, sale_view

LINK_UP = Command(
    "intercompany_links.create", service.create_link, "intercompany_links:write", CreateLinkInput, status=201
)
UPDATE = Command(
    "intercompany_links.update", service.update_link, "intercompany_links:write", UpdateLinkInput, target=True,
    match="required",
)  # fmt: skip
SELL = Command(
    "intercompany_sales.create", service.create_sale, "intercompany_sales:write", CreateIntercompanySaleInput,
    status=201, key="required",
)  # fmt: skip
#: A sale ends two tenants' transactions together, so it stands in no batch with other commands.
COMMANDS = (LINK_UP, UPDATE)


@post("/intercompany-links", summary="Agree to trade with another tenant")
async def create_link(request: ApiRequest, data: CreateLinkInput) -> Reply[LinkView]:
    """Your half of the agreement. Trade begins when the other tenant has made a link that names you."""
    return await perform(request, LINK_UP, data)


@patch("/intercompany-links/{link_id:uuid}", summary="Change or end an agreement")
async def update_link(request: ApiRequest, link_id: UUID, data: UpdateLinkInput) -> Reply[LinkView]:
    """From the answer on, nothing is written for you that the link does not allow."""
    return await perform(request, UPDATE, data, link_id)


@get("/intercompany-links/{link_id:uuid}", summary="Read an agreement")
async def get_link(request: ApiRequest, link_id: UUID) -> Reply[LinkView]:
    found = await read_one(request, "intercompany_links:read", LINK(link_id=link_id), link_id=link_id)
    return show(link_view(found))


@get("/intercompany-links", summary="List agreements", opt={"listing": LINKS})
async def list_links(request: ApiRequest) -> Reply[Page[LinkView]]:
    page: Reply[Any] = await list_page(request, "intercompany_links:read", LINKS, link_view)
    return page


@post("/intercompany-sales", summary="Sell to another tenant")
async def create_sale(request: ApiRequest, data: CreateIntercompanySaleInput) -> Reply[IntercompanySaleView]:
    """Your delivery and invoice and the partner's receipt and bill, all of them or none.

    Whichever databases the two tenants live in. Needs `deliveries:write` and `invoices:write` too.
    """
    return await perform(request, SELL, data)


@get("/intercompany-sales/{sale_id:uuid}", summary="Read a sale between tenants")
async def get_sale(request: ApiRequest, sale_id: UUID) -> Reply[IntercompanySaleView]:
    """Your side of it."""
    found = await read_one(request, "intercompany_sales:read", SALE(sale_id=sale_id), sale_id=sale_id)
    return show(sale_view(found))


@get("/intercompany-sales", summary="List sales between tenants", opt={"listing": SALES})
async def list_sales(request: ApiRequest) -> Reply[Page[IntercompanySaleView]]:
    """What you sold to partners and what partners sold to you."""
    page: Reply[Any] = await list_page(request, "intercompany_sales:read", SALES, sale_view)
    return page


router = Router(
    "/v1",
    route_handlers=[create_link, update_link, get_link, list_links, create_sale, get_sale, list_sales],
    tags=["Intercompany"],
)
