"""Price lists over HTTP."""

from typing import Any
from uuid import UUID

from litestar import get, patch, post

from erp.http.answers import Reply
from erp.http.cached import cached_record, show_cached
from erp.http.commands import Command, perform
from erp.http.listing import Page, list_page
from erp.http.request import ApiRequest
from erp.pricing import price_lists
from erp.pricing.configuration import CACHE_TTL_PRICE
from erp.pricing.price_list_schemas import (
    CreatePriceListInput,
    PriceListItemsView,
    PriceListItemView,
    PriceListView,
    RemovePriceListItemsInput,
    SetPriceListItemsInput,
    UpdatePriceListInput,
)
from erp.pricing.queries import PRICE_LIST, PRICE_LIST_ITEMS, PRICE_LISTS
from tenancy.cache.entries import record

READ, WRITE = "products:read", "products:write"
_TAGS = ["Price lists"]

CREATE = Command("price_lists.create", price_lists.create_price_list, WRITE, CreatePriceListInput, status=201)
UPDATE = Command(
    "price_lists.update", price_lists.update_price_list, WRITE, UpdatePriceListInput, target=True, match="required"
)
SET_ITEMS = Command(
    "price_lists.set_items", price_lists.set_items, WRITE, SetPriceListItemsInput, target=True, match="accepted"
)
REMOVE_ITEMS = Command(
    "price_lists.remove_items", price_lists.remove_items, WRITE, RemovePriceListItemsInput, target=True,
    match="accepted",
)  # fmt: skip
COMMANDS = (CREATE, UPDATE, SET_ITEMS, REMOVE_ITEMS)


@post("/price-lists", summary="Create a price list", tags=_TAGS)
async def create_price_list(request: ApiRequest, data: CreatePriceListInput) -> Reply[PriceListView]:
    """Empty at first. It counts for the parties whose `price_list_id` names it."""
    return await perform(request, CREATE, data)


@patch("/price-lists/{price_list_id:uuid}", summary="Change a price list", tags=_TAGS)
async def update_price_list(
    request: ApiRequest, price_list_id: UUID, data: UpdatePriceListInput
) -> Reply[PriceListView]:
    """Only the fields that are sent change. Price lists are never removed: deactivate them with `active: false`."""
    return await perform(request, UPDATE, data, price_list_id)


@get("/price-lists/{price_list_id:uuid}", summary="Read a price list", tags=_TAGS)
async def get_price_list(request: ApiRequest, price_list_id: UUID) -> Reply[PriceListView]:
    return await show_cached(
        request, READ, record("price_list", price_list_id), CACHE_TTL_PRICE,
        PRICE_LIST(price_list_id=price_list_id), price_lists.price_list_view, price_list_id=str(price_list_id),
    )  # fmt: skip


@get("/price-lists", summary="List price lists", tags=_TAGS, opt={"listing": PRICE_LISTS})
async def list_price_lists(request: ApiRequest) -> Reply[Page[PriceListView]]:
    page: Reply[Any] = await list_page(
        request, READ, PRICE_LISTS, price_lists.price_list_view, cached=("price_list", CACHE_TTL_PRICE)
    )
    return page


@post("/price-lists/{price_list_id:uuid}/items", status_code=200, summary="Set prices of a price list", tags=_TAGS)
async def set_price_list_items(
    request: ApiRequest, price_list_id: UUID, data: SetPriceListItemsInput
) -> Reply[PriceListItemsView]:
    """Adds prices, or replaces those of the same product, quantity and first day; the others stay.

    A new price: send the present one with its last day, and the new one, in one request. Documents keep their prices.
    """
    return await perform(request, SET_ITEMS, data, price_list_id)


@post(
    "/price-lists/{price_list_id:uuid}/items/remove", status_code=200, summary="Remove prices of a price list",
    tags=_TAGS,
)  # fmt: skip
async def remove_price_list_items(
    request: ApiRequest, price_list_id: UUID, data: RemovePriceListItemsInput
) -> Reply[PriceListItemsView]:
    """Takes prices out as if they had never been; one that was charged is better ended by its last day."""
    return await perform(request, REMOVE_ITEMS, data, price_list_id)


@get(
    "/price-lists/{price_list_id:uuid}/items", summary="List the prices of a price list", tags=_TAGS,
    opt={"listing": PRICE_LIST_ITEMS},
)  # fmt: skip
async def list_price_list_items(request: ApiRequest, price_list_id: UUID) -> Reply[Page[PriceListItemView]]:
    """By product; past and future ones too."""
    request.caller.require(READ)
    await cached_record(
        request, record("price_list", price_list_id), CACHE_TTL_PRICE, PRICE_LIST(price_list_id=price_list_id),
        price_lists.price_list_view, price_list_id=str(price_list_id),
    )  # fmt: skip
    page: Reply[Any] = await list_page(
        request, READ, PRICE_LIST_ITEMS, price_lists.item_view, cached=("price_list", CACHE_TTL_PRICE),
        price_list_id=price_list_id,
    )  # fmt: skip
    return page


HANDLERS = (
    create_price_list, update_price_list, get_price_list, list_price_lists, set_price_list_items,
    remove_price_list_items, list_price_list_items,
)  # fmt: skip
