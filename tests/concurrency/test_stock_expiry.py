"""Reservations end while somebody still wants them: the unit goes one way or the other, never both."""

import asyncio
from collections.abc import Awaitable
from decimal import Decimal
from typing import Any

import pytest

from db.errors import DomainError
from erp.inventory.errors import ReservationClosed
from erp.inventory.reservations import reservations_of
from erp.inventory.schemas import CreateReservationInput, ExtendReservationInput
from erp.inventory.service import (
    create_reservation,
    expire_reservations,
    extend_reservation,
    release_reservation,
)
from erp.inventory.stock import LevelRow, Stock, level_loads, stock_loads
from erp.sales.schemas import DeliverOrderInput
from erp.sales.service import deliver_order, reserve_order
from tenancy.work import UnitOfWork
from tests.concurrency.stock_clients import Guard, rush_on
from tests.services import Services
from tests.slices.inventory.shop import MARCH, Shop
from tests.slices.sales.selling import confirmed, line


def all_overdue(shop: Shop) -> None:
    shop.tamper(
        "UPDATE reservations SET expires_at = now() - interval '1 second' WHERE tenant_id = %s AND state = 'active'",
        shop.caller.tenant.id,
    )


async def test_a_delivery_that_came_first_keeps_its_goods(services: Services) -> None:
    async with rush_on(services, "nothing", clients=4) as rush:
        shop = rush.shop
        await shop.receive(shop.lamp, "5")
        made = await confirmed(shop, line(shop.lamp, "5"))
        all_overdue(shop)
        note, freed = await rush.behind_the_level(
            (shop.lamp, shop.location),
            shop.run(deliver_order, made.id, DeliverOrderInput(date=MARCH)),
            shop.run(expire_reservations, 10),
        )
        assert not isinstance(note, BaseException)
        assert freed == 0
        assert await shop.level(shop.lamp) == ("0", "0")
        assert await shop.wrong() == {}


async def test_an_expiry_that_came_first_gives_the_goods_to_one_of_those_behind_it(services: Services) -> None:
    """To which of them is PostgreSQL's choice: who waits behind a row that was changed queues anew."""
    async with rush_on(services, "nothing", clients=5) as rush:
        shop = rush.shop
        await shop.receive(shop.lamp, "5")
        slow = await confirmed(shop, line(shop.lamp, "5"))
        all_overdue(shop)
        freed, *others = await rush.behind_the_level(
            (shop.lamp, shop.location),
            shop.run(expire_reservations, 10),
            shop.run(create_reservation, CreateReservationInput(product_id=shop.lamp, quantity="5")),
            shop.run(deliver_order, slow.id, DeliverOrderInput(date=MARCH)),
        )
        assert freed == 1
        [refused] = [one for one in others if isinstance(one, BaseException)]
        assert isinstance(refused, DomainError)
        assert await shop.level(shop.lamp) == (("5", "5") if refused is others[1] else ("0", "0"))
        assert await shop.wrong() == {}


async def test_extending_in_time_saves_a_reservation_from_an_expiry_under_way(services: Services) -> None:
    async with rush_on(services, "nothing", clients=4) as rush:
        shop = rush.shop
        await shop.receive(shop.lamp, "5")
        held = await shop.run(create_reservation, CreateReservationInput(product_id=shop.lamp, quantity="5"))
        all_overdue(shop)

        async def extended_meanwhile(work: UnitOfWork) -> None:
            await work.load(level_loads([(shop.lamp, shop.location)]))
            expiring = asyncio.create_task(shop.run(expire_reservations, 10))
            await shop.until_blocked()
            await shop.run(extend_reservation, held.id, ExtendReservationInput(expires_in=600))
            found.append(expiring)

        found: list[asyncio.Task[int]] = []
        await shop.run(extended_meanwhile)
        assert await found[0] == 0
        assert await shop.level(shop.lamp) == ("5", "5")


@pytest.mark.parametrize("guard", ["redis", "forgetful redis", "nothing"])
async def test_expiry_delivery_and_new_reservations_in_a_crowd(services: Services, guard: Guard) -> None:
    async with rush_on(services, guard, clients=20) as rush:
        shop = rush.shop
        await shop.receive(shop.lamp, "12")
        orders = [await confirmed(shop, line(shop.lamp, "3")) for _ in range(4)]
        all_overdue(shop)
        data = DeliverOrderInput(date=MARCH)
        calls: list[Awaitable[Any]] = [
            *(rush.until_done(deliver_order, made.id, data) for made in orders),
            *(rush.until_done(expire_reservations, 2) for _ in range(4)),
            *(rush.until_done(reserve_order, made.id) for made in orders),
            *(
                rush.until_done(create_reservation, CreateReservationInput(product_id=shop.lamp, quantity="2"))
                for _ in range(4)
            ),
        ]
        await rush.all_at_once(calls)
        await rush.until_done(expire_reservations, 100)
        assert await shop.wrong() == {}


async def test_releasing_and_expiring_one_reservation_frees_it_once(services: Services) -> None:
    async with rush_on(services, "nothing", clients=4) as rush:
        shop = rush.shop
        await shop.receive(shop.lamp, "5")
        held = await shop.run(create_reservation, CreateReservationInput(product_id=shop.lamp, quantity="5"))
        all_overdue(shop)
        released, freed = await rush.behind_the_level(
            (shop.lamp, shop.location), shop.run(release_reservation, held.id), shop.run(expire_reservations, 10)
        )
        assert not isinstance(released, BaseException)
        assert freed == 0
        with pytest.raises(ReservationClosed):
            await shop.run(release_reservation, held.id)
        assert await shop.level(shop.lamp) == ("5", "0")
        assert await shop.wrong() == {}


async def test_an_expiry_that_trusts_what_it_read_before_the_lock_is_refused_by_the_table(services: Services) -> None:
    async with rush_on(services, "nothing", clients=4) as rush:
        shop = rush.shop
        await shop.receive(shop.lamp, "5")
        made = await confirmed(shop, line(shop.lamp, "5"))
        pair = (shop.lamp, shop.location)

        async def careless(work: UnitOfWork) -> None:
            [rows] = await work.load(reservations_of(made.id))
            delivered.set()
            await gone.wait()
            levels = [LevelRow(*pair, pair[0], Decimal(5), Decimal(5), 1)]
            stock = Stock(levels, [], "GBP")
            stock.release(*pair, rows[0].open_quantity)
            stock.save_levels(work)

        async def without_the_reservation(work: UnitOfWork) -> None:
            await delivered.wait()
            levels, costs = await work.load(*stock_loads([pair]))
            stock = Stock(levels, costs, "GBP")
            stock.release(*pair, Decimal(5))
            stock.save_levels(work)
            await work.load(level_loads([pair]))
            gone.set()

        delivered, gone = asyncio.Event(), asyncio.Event()
        outcomes = await asyncio.gather(shop.run(careless), shop.run(without_the_reservation), return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [ReservationClosed, type(None)]
        assert await shop.level(shop.lamp) == ("5", "0")
