"""Who sets prices at once: spans of one price never come to overlap, whichever client is first."""

import asyncio
from datetime import date, timedelta
from typing import Any

from erp.pricing.errors import PricesOverlap
from erp.pricing.price_list_schemas import SetPriceListItemsInput
from erp.pricing.price_lists import set_items
from erp.pricing.price_lists_repository import LOCK_PRICE_LIST
from tenancy.work import UnitOfWork
from tests.concurrency.stock_clients import Rush, rush_on
from tests.services import Services
from tests.slices.pricing.listing import price_list, priced

CLIENTS = 12
OVERLAPPING = (
    "SELECT count(*) FROM price_list_items a JOIN price_list_items b USING (tenant_id, price_list_id, product_id,"
    " min_quantity) WHERE tenant_id = %(tenant_id)s AND a.valid_from < b.valid_from"
    " AND (a.valid_to IS NULL OR a.valid_to >= b.valid_from)"
)


def overlapping(rush: Rush, number: int) -> SetPriceListItemsInput:
    """For ever from a day of its own on, so that there can be one of them."""
    start = date(2026, 1, 1) + timedelta(days=number)
    return SetPriceListItemsInput(items=[priced(rush.shop.lamp, str(number + 1), start.isoformat())])


async def test_of_clients_whose_prices_overlap_one_sets_its_price(services: Services) -> None:
    async with rush_on(services, "nothing", clients=CLIENTS + 2) as rush:
        made = await price_list(rush.shop)
        rivals: list[asyncio.Task[Any]] = []

        async def holding(work: UnitOfWork) -> None:
            """All of them have begun before the first one can decide."""
            await work.load(LOCK_PRICE_LIST(price_list_id=made.id))
            rivals.extend(
                asyncio.create_task(rush.shop.run(set_items, made.id, overlapping(rush, number)))
                for number in range(CLIENTS)
            )
            await rush.shop.until_blocked(CLIENTS)

        await rush.shop.run(holding)
        done, refused = await rush.all_at_once(rivals)
        assert ([one.version for one in done], len(refused)) == ([2], CLIENTS - 1)
        assert {type(refusal) for refusal in refused} == {PricesOverlap}
        assert await rush.shop.column(OVERLAPPING) == [0]
        assert rush.collisions == []


async def test_clients_that_set_prices_of_different_products_lose_none(services: Services) -> None:
    async with rush_on(services, "nothing", clients=CLIENTS) as rush:
        made = await price_list(rush.shop)
        products = [rush.shop.lamp, rush.shop.cup, rush.shop.rope, rush.shop.carriage]
        wanted = [SetPriceListItemsInput(items=[priced(product, "3")]) for product in products]
        done, refused = await rush.all_at_once([rush.until_done(set_items, made.id, data) for data in wanted])
        assert (sorted(one.version for one in done), refused) == ([2, 3, 4, 5], [])
        assert await rush.shop.count("price_list_items") == len(products)
