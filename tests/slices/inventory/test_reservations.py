"""Reservations made by hand: held, extended, released, expired."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from db.errors import Duplicate
from erp.inventory.errors import InsufficientStock, ReservationClosed
from erp.inventory.schemas import CreateReservationInput, ExtendReservationInput, ReservationView
from erp.inventory.service import (
    create_reservation,
    expire_reservations,
    extend_reservation,
    release_reservation,
)
from erp.kernel.errors import Invalid, NotFound
from tests.slices.inventory.shop import Shop


async def reserve(shop: Shop, quantity: str, product: UUID | None = None, **more: Any) -> ReservationView:
    data = CreateReservationInput(product_id=product or shop.lamp, quantity=quantity, **more)
    return await shop.run(create_reservation, data)


def pass_time(shop: Shop, *reservations: UUID) -> None:
    """As if their time were over."""
    shop.tamper(
        "UPDATE reservations SET expires_at = now() - interval '1 second' WHERE id = ANY(%s)", list(reservations)
    )


async def test_a_reservation_holds_stock_until_it_is_released(shop: Shop) -> None:
    await shop.receive(shop.lamp, "5")
    held = await reserve(shop, "4", reference="basket 7")
    assert (held.state, held.open_quantity, held.version) == ("active", "4", 1)
    with pytest.raises(InsufficientStock) as refusal:
        await reserve(shop, "2")
    assert refusal.value.pointer == "/quantity"
    freed = await shop.run(release_reservation, held.id)
    assert (freed.state, freed.open_quantity, freed.version) == ("released", "0", 2)
    assert await shop.level(shop.lamp) == ("5", "0")
    assert await shop.wrong() == {}


async def test_a_partial_reservation_holds_what_is_there(shop: Shop) -> None:
    await shop.receive(shop.lamp, "5")
    assert (await reserve(shop, "9", allow_partial=True)).quantity == "5"
    with pytest.raises(InsufficientStock):
        await reserve(shop, "1", allow_partial=True)


async def test_how_long_it_holds_follows_the_request_then_the_setting_then_half_an_hour(shop: Shop) -> None:
    await shop.receive(shop.lamp, "5")
    patient = shop.tuned(inventory__reservation_ttl=7200)

    def minutes(view: ReservationView) -> int:
        return round((view.expires_at - view.created_at).total_seconds() / 60)

    assert minutes(await reserve(shop, "1")) == 30
    assert minutes(await reserve(patient, "1")) == 120
    assert minutes(await reserve(patient, "1", expires_in=60)) == 1


async def test_extending_moves_the_end(shop: Shop) -> None:
    await shop.receive(shop.lamp, "5")
    held = await reserve(shop, "1")
    later = datetime.now(UTC) + timedelta(days=3)
    extended = await shop.run(extend_reservation, held.id, ExtendReservationInput(expires_at=later))
    assert (extended.expires_at, extended.version) == (later, 2)
    with pytest.raises(Invalid):
        await shop.run(extend_reservation, held.id, ExtendReservationInput(expires_at=later - timedelta(days=9)))
    with pytest.raises(Invalid):
        await shop.run(extend_reservation, held.id, ExtendReservationInput(expires_at=later, expires_in=5))
    assert await shop.run(expire_reservations, 100) == 0


async def test_expiry_frees_only_what_is_overdue_and_tells_of_it_once(shop: Shop) -> None:
    await shop.receive(shop.lamp, "5")
    over, kept = await reserve(shop, "2"), await reserve(shop, "1")
    pass_time(shop, over.id)
    assert await shop.run(expire_reservations, 100) == 1
    assert await shop.run(expire_reservations, 100) == 0
    assert await shop.level(shop.lamp) == ("5", "1")
    told = await shop.column("SELECT type FROM events WHERE tenant_id = %(tenant_id)s AND aggregate_id = %(id)s"
                             " ORDER BY version", id=over.id)  # fmt: skip
    assert told == ["reservation.created", "reservation.expired"]
    with pytest.raises(ReservationClosed):
        await shop.run(release_reservation, over.id)
    with pytest.raises(ReservationClosed):
        await shop.run(extend_reservation, over.id, ExtendReservationInput())
    await shop.run(release_reservation, kept.id)
    assert await shop.wrong() == {}


async def test_expiry_works_in_bounded_portions(shop: Shop) -> None:
    await shop.receive(shop.lamp, "5")
    await shop.receive(shop.cup, "5")
    held = [await reserve(shop, "1", product) for product in (shop.lamp, shop.cup, shop.lamp)]
    pass_time(shop, *(one.id for one in held))
    assert [await shop.run(expire_reservations, 2) for _ in range(3)] == [2, 1, 0]


async def test_an_overdue_reservation_that_nobody_freed_yet_can_be_extended(shop: Shop) -> None:
    await shop.receive(shop.lamp, "5")
    held = await reserve(shop, "2")
    pass_time(shop, held.id)
    await shop.run(extend_reservation, held.id, ExtendReservationInput(expires_in=60))
    assert await shop.run(expire_reservations, 100) == 0
    assert await shop.level(shop.lamp) == ("5", "2")


async def test_unknown_reservations_are_not_found_and_external_ids_are_unique(shop: Shop) -> None:
    await shop.receive(shop.lamp, "5")
    with pytest.raises(NotFound):
        await shop.run(release_reservation, shop.lamp)
    await reserve(shop, "1", external_id="basket:1")
    with pytest.raises(Duplicate):
        await reserve(shop, "1", external_id="basket:1")


async def test_reserving_takes_three_round_trips(shop: Shop) -> None:
    await shop.receive(shop.lamp, "5")
    held, counted = await shop.counted(create_reservation, CreateReservationInput(product_id=shop.lamp, quantity="1"))
    assert counted.postgres == 3
    _, counted = await shop.counted(release_reservation, held.id)
    assert counted.postgres == 3
