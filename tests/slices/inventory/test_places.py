"""Warehouses, locations and the default one."""

import pytest

from db.errors import Duplicate, UnknownReference
from erp.inventory.errors import LocationInactive, LocationInUse, NoDefaultLocation
from erp.inventory.facts import chosen_location, locations_facts
from erp.inventory.schemas import (
    AdjustmentLineInput,
    CreateAdjustmentInput,
    CreateLocationInput,
    CreateWarehouseInput,
    LocationView,
    UpdateLocationInput,
    UpdateWarehouseInput,
)
from erp.inventory.service import (
    create_adjustment,
    create_location,
    create_warehouse,
    update_location,
    update_warehouse,
)
from erp.kernel.errors import NotFound
from tests.slices.inventory.shop import MARCH, Shop


async def another(shop: Shop, *, is_default: bool = False) -> LocationView:
    yard = await shop.run(create_warehouse, CreateWarehouseInput(code="YARD", name="Yard"))
    data = CreateLocationInput(warehouse_id=yard.id, code="GATE", name="At the gate", is_default=is_default)
    return await shop.run(create_location, data)


async def test_there_is_one_default_location_and_it_moves(shop: Shop) -> None:
    gate = await another(shop)
    with pytest.raises(LocationInUse):
        await shop.run(update_location, shop.location, UpdateLocationInput(active=False))
    moved = await shop.run(update_location, gate.id, UpdateLocationInput(is_default=True))
    assert (moved.is_default, moved.version) == (True, 2)
    defaults = await shop.column("SELECT id FROM locations WHERE tenant_id = %(tenant_id)s AND is_default")
    assert defaults == [gate.id]
    await shop.run(update_location, shop.location, UpdateLocationInput(active=False))


async def test_a_new_location_may_take_over_as_default(shop: Shop) -> None:
    gate = await another(shop, is_default=True)
    assert await shop.column("SELECT id FROM locations WHERE tenant_id = %(tenant_id)s AND is_default") == [gate.id]


async def test_a_location_with_stock_stays_in_use(shop: Shop) -> None:
    gate = await another(shop)
    await shop.receive(shop.lamp, "1", location_id=gate.id)
    with pytest.raises(LocationInUse):
        await shop.run(update_location, gate.id, UpdateLocationInput(active=False))


async def test_an_inactive_location_takes_no_goods(shop: Shop) -> None:
    gate = await another(shop)
    await shop.run(update_location, gate.id, UpdateLocationInput(active=False))
    line = AdjustmentLineInput(product_id=shop.lamp, quantity="1", unit_cost="1", location_id=gate.id)
    with pytest.raises(LocationInactive):
        await shop.run(create_adjustment, CreateAdjustmentInput(reason="found", lines=[line], date=MARCH))


async def test_locations_are_chosen_by_id_or_by_default(shop: Shop) -> None:
    rows = await shop.rows(locations_facts([]))
    assert chosen_location(rows, None).id == shop.location
    with pytest.raises(UnknownReference):
        chosen_location(rows, shop.lamp)
    with pytest.raises(NoDefaultLocation):
        chosen_location([], None)


async def test_codes_are_unique_and_unknown_ones_not_found(shop: Shop) -> None:
    await another(shop)
    with pytest.raises(Duplicate):
        await shop.run(create_warehouse, CreateWarehouseInput(code="YARD", name="Other"))
    with pytest.raises(UnknownReference):
        await shop.run(create_location, CreateLocationInput(warehouse_id=shop.lamp, code="X", name="X"))
    with pytest.raises(NotFound):
        await shop.run(update_warehouse, shop.lamp, UpdateWarehouseInput(name="Nowhere"))
    with pytest.raises(NotFound):
        await shop.run(update_location, shop.lamp, UpdateLocationInput(name="Nowhere"))


async def test_a_change_that_changes_nothing_makes_no_version(shop: Shop) -> None:
    same = await shop.run(update_location, shop.location, UpdateLocationInput(name="Stock"))
    assert same.version == 1
