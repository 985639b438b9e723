"""The last units go to as many clients as there are units, whoever asks at once and whatever Redis does."""

import asyncio
from decimal import Decimal
from typing import Any

import psycopg
import pytest
from sqlalchemy import select

from db.statement import TENANT, Statement
from erp.inventory.errors import InsufficientStock
from erp.inventory.models import stock_levels
from erp.inventory.repository import LevelRow
from erp.inventory.schemas import AdjustmentLineInput, CreateAdjustmentInput, CreateReservationInput
from erp.inventory.service import create_adjustment, create_reservation
from erp.inventory.stock import Stock, level_loads
from erp.sales.schemas import CreateOrderInput, DirectSaleInput
from erp.sales.service import create_direct_sale, create_order
from tenancy.work import UnitOfWork
from tests.concurrency.stock_clients import GUARDS, Guard, Rush, rush_on
from tests.services import Services
from tests.slices.inventory.shop import MARCH
from tests.slices.sales.selling import line

CLIENTS, LEFT = 50, 20


@pytest.mark.parametrize("guard", GUARDS)
async def test_fifty_clients_on_the_last_twenty_units_sell_exactly_twenty(services: Services, guard: Guard) -> None:
    async with rush_on(services, guard, clients=CLIENTS) as rush:
        shop = rush.shop
        await shop.receive(shop.lamp, str(LEFT))
        data = CreateOrderInput(party_id=shop.customer, lines=[line(shop.lamp)], date=MARCH, confirm=True)
        sold, refused = await rush.all_at_once(rush.until_done(create_order, data) for _ in range(CLIENTS))
        assert len(sold) == LEFT
        assert {type(refusal) for refusal in refused} == {InsufficientStock}
        assert await shop.level(shop.lamp) == (str(LEFT), str(LEFT))
        assert await shop.count("sales_orders") == LEFT
        assert await shop.wrong() == {}


@pytest.mark.parametrize("guard", ["redis", "nothing"])
async def test_direct_sales_of_the_last_units_sell_what_is_there(services: Services, guard: Guard) -> None:
    async with rush_on(services, guard, clients=30) as rush:
        shop = rush.shop
        await shop.receive(shop.lamp, "20")
        data = DirectSaleInput(party_id=shop.customer, lines=[line(shop.lamp), line(shop.lamp)], date=MARCH)
        sold, refused = await rush.all_at_once(rush.until_done(create_direct_sale, data) for _ in range(30))
        assert (len(sold), len(refused)) == (10, 20)
        assert await shop.level(shop.lamp) == ("0", "0")
        assert await shop.wrong() == {}


async def test_reserving_selling_and_writing_off_share_the_same_units(services: Services) -> None:
    async with rush_on(services, "nothing", clients=30) as rush:
        shop = rush.shop
        await shop.receive(shop.lamp, "20")
        reserve = CreateReservationInput(product_id=shop.lamp, quantity="1")
        lose = CreateAdjustmentInput(
            reason="broken", lines=[AdjustmentLineInput(product_id=shop.lamp, quantity="-1")], date=MARCH
        )
        sell = DirectSaleInput(party_id=shop.customer, lines=[line(shop.lamp)], date=MARCH)
        wishes: list[tuple[Any, Any]] = [
            (create_reservation, reserve), (create_adjustment, lose), (create_direct_sale, sell),
        ]  # fmt: skip
        done, refused = await rush.all_at_once(
            rush.until_done(command, data) for _ in range(10) for command, data in wishes
        )
        assert (len(done), len(refused)) == (20, 10)
        on_hand, reserved = await shop.level(shop.lamp)
        assert on_hand == reserved
        assert await shop.wrong() == {}


# -- each guard by itself: planted bugs ------------------------------------------------------------------------

_UNLOCKED: Statement[LevelRow] = Statement(
    select(
        stock_levels.c.product_id, stock_levels.c.location_id, stock_levels.c.id, stock_levels.c.on_hand,
        stock_levels.c.reserved, stock_levels.c.version,
    ).where(stock_levels.c.tenant_id == TENANT),
    LevelRow,
)  # fmt: skip


async def two_read_before_either_writes(rush: Rush, *, locked: bool) -> list[Any]:
    """Two clients want the last unit; without the row lock both have read it before one of them writes."""
    shop = rush.shop
    pair = (shop.lamp, shop.location)
    both_have_read = asyncio.Barrier(2)

    async def careless(work: UnitOfWork) -> None:
        [levels] = await work.load(level_loads([pair]) if locked else _UNLOCKED())
        if not locked:
            await both_have_read.wait()
        stock = Stock(levels, [], "GBP")
        stock.reserve(*pair, Decimal(1))
        stock.save_levels(work)

    outcomes = await asyncio.gather(shop.run(careless), shop.run(careless), return_exceptions=True)
    return [outcome for outcome in outcomes if isinstance(outcome, BaseException)]


async def test_the_row_lock_lets_the_second_one_see_what_the_first_took(services: Services) -> None:
    async with rush_on(services, "nothing", clients=3) as rush:
        await rush.shop.receive(rush.shop.lamp, "1")
        [refusal] = await two_read_before_either_writes(rush, locked=True)
        assert isinstance(refusal, InsufficientStock)
        assert refusal.facts["shortages"], "refused when deciding, not by the table"
        assert await rush.shop.level(rush.shop.lamp) == ("1", "1")


async def test_without_the_row_lock_the_check_of_the_table_refuses_the_second(services: Services) -> None:
    async with rush_on(services, "nothing", clients=3) as rush:
        await rush.shop.receive(rush.shop.lamp, "1")
        [refusal] = await two_read_before_either_writes(rush, locked=False)
        assert isinstance(refusal, InsufficientStock)
        assert await rush.shop.level(rush.shop.lamp) == ("1", "1")


async def test_without_row_lock_and_check_the_unit_is_sold_twice_and_the_proof_says_so(services: Services) -> None:
    async with rush_on(services, "nothing", clients=3) as rush:
        shop = rush.shop
        await shop.receive(shop.lamp, "1")
        with psycopg.connect(services.owner_url, autocommit=True) as connection:
            connection.execute("ALTER TABLE stock_levels DROP CONSTRAINT stock_levels_reserved_on_hand")
            try:
                assert await two_read_before_either_writes(rush, locked=False) == []
                assert await shop.level(shop.lamp) == ("1", "2")
                assert [row.found for row in (await shop.wrong())["reserved"]] == ["2"]
            finally:
                shop.tamper("UPDATE stock_levels SET reserved = 0 WHERE product_id = %s", shop.lamp)
                connection.execute(
                    "ALTER TABLE stock_levels"
                    " ADD CONSTRAINT stock_levels_reserved_on_hand CHECK (reserved <= on_hand)"
                )
