"""Reservations end while somebody still wants them: the unit goes one way or the other, never both."""

import asyncio

import pytest

from db.errors import DomainError
from erp.inventory.errors import ReservationClosed
from erp.inventory.schemas import CreateReservationInput, ExtendReservationInput
from erp.inventory.service import (
    create_reservation,
    expire_reservations,
    extend_reservation,
    release_reservation,
)
from erp.inventory.stock import level_loads
from erp.sales.schemas import DeliverOrderInput
from erp.sales.service import deliver_order, reserve_order
from tenancy.work import UnitOfWork
from tests.concurrency.stock_clients import Guard, Rush, rush_on
from tests.services import Services
from tests.slices.inventory.shop import MARCH, Shop
from tests.slices.sales.selling import confirmed, line


def all_overdue(shop: Shop) -> None:
    shop.tamper(
        "UPDATE reservations SET expires_at = now() - interval '1 second' WHERE tenant_id = %s AND state = 'active'",
        shop.caller.tenant.id,
    )


async def behind_the_level(rush: Rush, *starting: object) -> list[object]:
    """Start the calls one after the other while the level's row is held, so that they queue in this order."""
    shop = rush.shop
    tasks: list[asyncio.Task[object]] = []

    async def holding(work: UnitOfWork) -> None:
        await work.load(level_loads([(shop.lamp, shop.location)]))
        for waiting, call in enumerate(starting, start=1):
            tasks.append(asyncio.ensure_future(call))  # type: ignore[arg-type]  # coroutines
            await shop.until_blocked(waiting)

    await shop.run(holding)
    return list(await asyncio.gather(*tasks, return_exceptions=True))


async def test_a_delivery_that_came_first_keeps_its_goods(services: Services) -> None:
    async with rush_on(services, "nothing", clients=4) as rush:
        shop = rush.shop
        await shop.receive(shop.lamp, "5")
        made = await confirmed(shop, line(shop.lamp, "5"))
        all_overdue(shop)
        note, freed = await behind_the_level(
            rush,
            shop.run(deliver_order, made.id, DeliverOrderInput(date=MARCH)),
            shop.run(expire_reservations, 10),
        )
        assert not isinstance(note, BaseException)
        assert freed == 0
        assert await shop.level(shop.lamp) == ("0", "0")
        assert await shop.wrong() == {}


async def test_an_expiry_that_came_first_gives_the_goods_to_whoever_is_next(services: Services) -> None:
    async with rush_on(services, "nothing", clients=5) as rush:
        shop = rush.shop
        await shop.receive(shop.lamp, "5")
        slow = await confirmed(shop, line(shop.lamp, "5"))
        all_overdue(shop)
        freed, taken, too_late = await behind_the_level(
            rush,
            shop.run(expire_reservations, 10),
            shop.run(create_reservation, CreateReservationInput(product_id=shop.lamp, quantity="5")),
            shop.run(deliver_order, slow.id, DeliverOrderInput(date=MARCH)),
        )
        assert freed == 1
        assert not isinstance(taken, BaseException)
        assert isinstance(too_late, DomainError)
        assert await shop.level(shop.lamp) == ("5", "5")
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
        calls = [
            *(rush.until_done(deliver_order, made.id, data) for made in orders),
            *(rush.until_done(expire_reservations, 2) for _ in range(4)),
            *(rush.until_done(reserve_order, made.id) for made in orders),
            *(
                rush.until_done(create_reservation, CreateReservationInput(product_id=shop.lamp, quantity="2"))
                for _ in range(4)
            ),
        ]
        await rush.all_at_once(calls)  # type: ignore[arg-type]  # of several kinds
        await rush.until_done(expire_reservations, 100)
        assert await shop.wrong() == {}


async def test_releasing_and_expiring_one_reservation_frees_it_once(services: Services) -> None:
    async with rush_on(services, "nothing", clients=4) as rush:
        shop = rush.shop
        await shop.receive(shop.lamp, "5")
        held = await shop.run(create_reservation, CreateReservationInput(product_id=shop.lamp, quantity="5"))
        all_overdue(shop)
        released, freed = await behind_the_level(
            rush, shop.run(release_reservation, held.id), shop.run(expire_reservations, 10)
        )
        assert not isinstance(released, BaseException)
        assert freed == 0
        with pytest.raises(ReservationClosed):
            await shop.run(release_reservation, held.id)
        assert await shop.level(shop.lamp) == ("5", "0")
        assert await shop.wrong() == {}
