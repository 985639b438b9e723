"""Tax groups over HTTP. Price lists have their own module."""

from typing import Any
from uuid import UUID

from litestar import Router, get, patch, post

from erp.http.answers import Reply
from erp.http.cached import show_cached
from erp.http.commands import Command, perform
from erp.http.listing import Page, list_page
from erp.http.request import ApiRequest
from erp.pricing import price_list_routes, service
from erp.pricing.configuration import CACHE_TTL_PRICE
from erp.pricing.queries import TAX_GROUP, TAX_GROUPS
from erp.pricing.schemas import CreateTaxGroupInput, TaxGroupView, UpdateTaxGroupInput
from tenancy.cache.entries import record

CREATE = Command("tax_groups.create", service.create_tax_group, "taxes:write", CreateTaxGroupInput, status=201)
UPDATE = Command(
    "tax_groups.update", service.update_tax_group, "taxes:write", UpdateTaxGroupInput, target=True,
    match="required",
)  # fmt: skip
COMMANDS = (CREATE, UPDATE, *price_list_routes.COMMANDS)


_TAGS = ["Tax groups"]


@post("/tax-groups", summary="Create a tax group", tags=_TAGS)
async def create_tax_group(request: ApiRequest, data: CreateTaxGroupInput) -> Reply[TaxGroupView]:
    """Products of the group are taxed at the rate that is valid on the date of the document."""
    return await perform(request, CREATE, data)


@patch("/tax-groups/{tax_group_id:uuid}", summary="Change a tax group", tags=_TAGS)
async def update_tax_group(request: ApiRequest, tax_group_id: UUID, data: UpdateTaxGroupInput) -> Reply[TaxGroupView]:
    """A new rate: send `rates` with the present one ended on the day before. Documents keep their rate."""
    return await perform(request, UPDATE, data, tax_group_id)


@get("/tax-groups/{tax_group_id:uuid}", summary="Read a tax group", tags=_TAGS)
async def get_tax_group(request: ApiRequest, tax_group_id: UUID) -> Reply[TaxGroupView]:
    return await show_cached(
        request, "taxes:read", record("tax_group", tax_group_id), CACHE_TTL_PRICE,
        TAX_GROUP(tax_group_id=tax_group_id), service.tax_group_view, tax_group_id=str(tax_group_id),
    )  # fmt: skip


@get("/tax-groups", summary="List tax groups", tags=_TAGS, opt={"listing": TAX_GROUPS})
async def list_tax_groups(request: ApiRequest) -> Reply[Page[TaxGroupView]]:
    page: Reply[Any] = await list_page(
        request, "taxes:read", TAX_GROUPS, service.tax_group_view, cached=("tax_group", CACHE_TTL_PRICE)
    )
    return page


router = Router(
    "/v1",
    route_handlers=[
        create_tax_group, update_tax_group, get_tax_group, list_tax_groups, *price_list_routes.HANDLERS,
    ],
)  # fmt: skip
