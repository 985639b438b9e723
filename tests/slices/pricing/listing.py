"""Short ways to keep price lists, for the tests."""

from datetime import date
from typing import Any
from uuid import UUID

from erp.parties.schemas import UpdatePartyInput
from erp.parties.service import update_party
from erp.pricing.price_list_schemas import (
    CreatePriceListInput,
    PriceListItemInput,
    PriceListItemsView,
    PriceListView,
    SetPriceListItemsInput,
)
from erp.pricing.price_lists import create_price_list, set_items
from tests.slices.inventory.shop import Shop


def day(text: str | None) -> date | None:
    return date.fromisoformat(text) if text else None


def priced(
    product: UUID, unit_price: str, start: str = "2026-01-01", end: str | None = None, *, from_: str = "1"
) -> PriceListItemInput:
    """What one costs from a quantity on, in a span of days."""
    return PriceListItemInput(
        product_id=product, min_quantity=from_, unit_price=unit_price, valid_from=date.fromisoformat(start),
        valid_to=day(end),
    )  # fmt: skip


async def put(shop: Shop, price_list: UUID, *items: PriceListItemInput) -> PriceListItemsView:
    return await shop.run(set_items, price_list, SetPriceListItemsInput(items=list(items)))


async def price_list(shop: Shop, *items: PriceListItemInput, code: str = "TRADE", **more: Any) -> PriceListView:
    """A list with these prices."""
    made = await shop.run(create_price_list, CreatePriceListInput(code=code, name=code.title(), **more))
    if items:
        await put(shop, made.id, *items)
    return made


async def give(shop: Shop, price_list_id: UUID | None, party: UUID | None = None) -> None:
    """The party has the list; the customer unless another one is named."""
    await shop.run(update_party, party or shop.customer, UpdatePartyInput(price_list_id=price_list_id))
