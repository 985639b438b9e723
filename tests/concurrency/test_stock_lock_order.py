"""Why levels are locked sorted, and made before they are locked: the bugs that would be there otherwise."""

import asyncio
from decimal import Decimal

from erp.inventory.stock import Pair, Stock, ensure_levels, level_loads, stock_loads
from tenancy.work import UnitOfWork
from tests.concurrency.stock_clients import rush_on
from tests.services import Services


async def test_locking_in_the_order_of_the_lines_deadlocks_and_is_repeated(services: Services) -> None:
    async with rush_on(services, "nothing", clients=4) as rush:
        shop = rush.shop
        for product in (shop.lamp, shop.cup):
            await shop.receive(product, "10")
        lamp, cup = (shop.lamp, shop.location), (shop.cup, shop.location)
        both_hold_one = asyncio.Barrier(2)
        met = {lamp: False, cup: False}

        async def one_after_the_other(work: UnitOfWork, first: Pair, second: Pair) -> None:
            await work.load(level_loads([first]))
            if not met[first]:  # not again when the transaction is repeated
                met[first] = True
                await both_hold_one.wait()
            await work.load(level_loads([second]))

        await asyncio.gather(shop.run(one_after_the_other, lamp, cup), shop.run(one_after_the_other, cup, lamp))
        # More than once where the one that is repeated comes back before the other was woken.
        assert set(rush.collisions) == {"DeadlockDetected"}


async def test_one_statement_locks_in_one_order_whatever_the_order_of_the_lines(services: Services) -> None:
    async with rush_on(services, "nothing", clients=12) as rush:
        shop = rush.shop
        pairs = [(product, shop.location) for product in (shop.lamp, shop.cup, shop.rope)]
        for product, _ in pairs:
            await shop.receive(product, "10")

        async def all_in_one(work: UnitOfWork, wanted: list[Pair]) -> list[Pair]:
            levels, costs = await work.load(*stock_loads(wanted))
            assert [row.product_id for row in costs] == sorted(row.product_id for row in costs)
            return [(row.product_id, row.location_id) for row in levels]

        orders = await asyncio.gather(
            *(shop.run(all_in_one, wanted) for _ in range(20) for wanted in (pairs, pairs[::-1]))
        )
        assert {tuple(found) for found in orders} == {tuple(sorted(pairs))}
        assert rush.collisions == []


async def test_two_first_receipts_of_a_product_both_count(services: Services) -> None:
    async with rush_on(services, "nothing", clients=10) as rush:
        shop = rush.shop
        pair = (shop.lamp, shop.location)

        async def put_one(work: UnitOfWork) -> Decimal:
            ensure_levels(work, [pair])
            levels, costs = await work.load(*stock_loads([pair]))
            assert len(levels) == len(costs) == 1, "the row is there once the lock is held"
            stock = Stock(levels, costs, "GBP")
            stock.receive(None, *pair, Decimal(1), Decimal(0))
            stock.save_levels(work)
            return levels[0].on_hand

        seen = await asyncio.gather(*(shop.run(put_one) for _ in range(10)))
        assert sorted(seen) == [Decimal(number) for number in range(10)]
        assert await shop.level(shop.lamp) == ("10", "0")
        assert rush.collisions == []
