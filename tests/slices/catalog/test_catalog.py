"""Units, categories and products."""

import asyncio
from uuid import UUID, uuid4

import pytest

from db.errors import DomainError, Duplicate, UnknownReference
from erp.catalog.categories import category_view, check_place
from erp.catalog.errors import CategoryCycle
from erp.catalog.products import product_view
from erp.catalog.queries import CATEGORY, PRODUCT, UNIT
from erp.catalog.repository import Place
from erp.catalog.schemas import (
    CategoryView,
    CreateCategoryInput,
    CreateProductInput,
    CreateUnitInput,
    ProductUnit,
    UpdateCategoryInput,
    UpdateProductInput,
    UpdateUnitInput,
)
from erp.catalog.service import (
    create_category,
    create_product,
    create_unit,
    update_category,
    update_product,
    update_unit,
)
from erp.catalog.units import unit_view
from erp.kernel.errors import Invalid, NotFound
from tenancy.database import TenantDatabase
from tests.slices.inventory.shop import Shop

A, B, C = UUID(int=1), UUID(int=2), UUID(int=3)


class TestUnits:
    async def test_a_unit_is_created_and_changed(self, shop: Shop) -> None:
        unit = await shop.run(create_unit, CreateUnitInput(code="pal", name="Pallet", external_id="u:1"))
        changed = await shop.run(update_unit, unit.id, UpdateUnitInput(name="Euro pallet", decimals=2))
        assert (changed.version, changed.name, changed.decimals, changed.code) == (2, "Euro pallet", 2, "pal")
        [row] = await shop.rows(UNIT(unit_id=unit.id))
        assert unit_view(row) == changed

    async def test_codes_come_once(self, shop: Shop) -> None:
        with pytest.raises(Duplicate) as refusal:
            await shop.run(create_unit, CreateUnitInput(code="pcs", name="Piece again"))
        assert refusal.value.pointer == "/code"

    async def test_a_unit_out_of_use_measures_no_new_product(self, shop: Shop) -> None:
        unit = await shop.run(create_unit, CreateUnitInput(code="pal", name="Pallet"))
        await shop.run(update_unit, unit.id, UpdateUnitInput(active=False))
        with pytest.raises(UnknownReference):
            await shop.run(create_product, CreateProductInput(code="P", name="P", unit="pal"))


class TestCategories:
    async def tree(self, shop: Shop) -> tuple[CategoryView, CategoryView, CategoryView]:
        top = await shop.run(create_category, CreateCategoryInput(code="home", name="Home"))
        middle = await shop.run(create_category, CreateCategoryInput(code="light", name="Light", parent_id=top.id))
        leaf = await shop.run(create_category, CreateCategoryInput(code="lamps", name="Lamps", parent_id=middle.id))
        return top, middle, leaf

    async def test_categories_move_with_what_is_below_them(self, shop: Shop) -> None:
        _, middle, leaf = await self.tree(shop)
        moved = await shop.run(update_category, middle.id, UpdateCategoryInput(parent_id=None))
        assert (moved.version, moved.parent_id) == (2, None)
        [row] = await shop.rows(CATEGORY(category_id=leaf.id))
        assert category_view(row) == leaf

    async def test_a_category_does_not_lie_below_itself(self, shop: Shop) -> None:
        top, middle, leaf = await self.tree(shop)
        for parent in (top, middle, leaf):
            with pytest.raises(CategoryCycle):
                await shop.run(update_category, top.id, UpdateCategoryInput(parent_id=parent.id))

    async def test_an_unknown_parent_is_named(self, shop: Shop) -> None:
        with pytest.raises(UnknownReference) as refusal:
            await shop.run(create_category, CreateCategoryInput(code="x", name="X", parent_id=uuid4()))
        assert refusal.value.pointer == "/parent_id"
        top, *_ = await self.tree(shop)
        with pytest.raises(UnknownReference):
            await shop.run(update_category, top.id, UpdateCategoryInput(parent_id=uuid4()))
        with pytest.raises(NotFound):
            await shop.run(update_category, uuid4(), UpdateCategoryInput(name="X"))

    async def test_two_moves_at_once_make_no_circle(self, shop: Shop, unguarded_database: TenantDatabase) -> None:
        one = await shop.run(create_category, CreateCategoryInput(code="1", name="One"))
        two = await shop.run(create_category, CreateCategoryInput(code="2", name="Two"))

        async def move(category: CategoryView, parent: CategoryView) -> bool:
            data = UpdateCategoryInput(parent_id=parent.id)
            try:
                await unguarded_database.run(shop.caller, lambda work: update_category(work, category.id, data))
            except DomainError:
                return False
            return True

        for _ in range(10):
            outcomes = await asyncio.gather(move(one, two), move(two, one))
            assert sum(outcomes) == 1
            for category in (one, two):
                await shop.run(update_category, category.id, UpdateCategoryInput(parent_id=None))

    def test_the_way_up_is_checked(self) -> None:
        tree = [Place(A, None), Place(B, A), Place(C, B)]
        check_place(tree, C, A)
        check_place(tree, B, None)
        with pytest.raises(CategoryCycle):
            check_place(tree, A, C)
        with pytest.raises(UnknownReference):
            check_place(tree, A, UUID(int=9))


class TestProducts:
    async def test_what_is_read_is_what_was_created(self, shop: Shop) -> None:
        category = await shop.run(create_category, CreateCategoryInput(code="home", name="Home"))
        product = await shop.run(
            create_product,
            CreateProductInput(
                code="85123A", name="White hanging heart", category_id=category.id, sale_price="2.55",
                reorder_point="12", barcode="5012345678900", external_id="p:85123A",
                units=[ProductUnit(unit="kg", numerator=3, denominator=7), ProductUnit(unit="box", numerator=12)],
            ),
        )  # fmt: skip
        assert (product.version, product.unit, product.sale_price, product.reorder_point) == (1, "pcs", "2.55", "12")
        assert [(one.unit, one.numerator, one.denominator) for one in product.units] == [
            ("box", 12, 1),
            ("kg", 3, 7),
        ]
        [row] = await shop.rows(PRODUCT(product_id=product.id))
        assert product_view(row) == product

    async def test_codes_are_unique_and_case_sensitive(self, shop: Shop) -> None:
        for code in ("85123a", "85123A"):
            await shop.run(create_product, CreateProductInput(code=code, name="Heart"))
        with pytest.raises(Duplicate) as refusal:
            await shop.run(create_product, CreateProductInput(code="85123A", name="Heart"))
        assert refusal.value.pointer == "/code"

    async def test_bar_codes_come_once(self, shop: Shop) -> None:
        await shop.run(create_product, CreateProductInput(code="1", name="One", barcode="501"))
        other = await shop.run(create_product, CreateProductInput(code="2", name="Two"))
        with pytest.raises(Duplicate) as refusal:
            await shop.run(update_product, other.id, UpdateProductInput(barcode="501"))
        assert refusal.value.pointer == "/barcode"

    async def test_only_what_was_sent_changes(self, shop: Shop) -> None:
        before = await shop.run(
            create_product,
            CreateProductInput(code="1", name="One", sale_price="9.99", units=[ProductUnit(unit="box", numerator=6)]),
        )
        priced = await shop.run(update_product, before.id, UpdateProductInput(sale_price="0.999999", barcode="501"))
        assert (priced.version, priced.sale_price, priced.units) == (2, "0.999999", before.units)
        packed = await shop.run(
            update_product, before.id,
            UpdateProductInput(sale_price=None, units=[ProductUnit(unit="box", numerator=8)]),
        )  # fmt: skip
        assert (packed.version, packed.sale_price, packed.barcode) == (3, None, "501")
        assert [(one.unit, one.numerator) for one in packed.units] == [("box", 8)]
        [row] = await shop.rows(PRODUCT(product_id=before.id))
        assert product_view(row) == packed

    async def test_a_change_of_nothing_is_no_version(self, shop: Shop) -> None:
        product = await shop.run(
            create_product,
            CreateProductInput(
                code="1", name="One", sale_price="1.50",
                units=[ProductUnit(unit="kg", numerator=2), ProductUnit(unit="box", numerator=6)],
            ),
        )  # fmt: skip
        again = UpdateProductInput(sale_price="1.5", units=list(reversed(product.units)))
        assert await shop.run(update_product, product.id, again) == product

    async def test_each_unit_counts_once(self, shop: Shop) -> None:
        box = ProductUnit(unit="box", numerator=6)
        for units in ([box, ProductUnit(unit="box", numerator=12)], [ProductUnit(unit="pcs", numerator=2)]):
            with pytest.raises(Invalid):
                await shop.run(create_product, CreateProductInput(code="1", name="One", units=units))

    async def test_unknown_references_are_named(self, shop: Shop) -> None:
        for pointer, fields in (
            ("/unit", {"unit": "cask"}),
            ("/units", {"units": [ProductUnit(unit="cask", numerator=2)]}),
            ("/category_id", {"category_id": uuid4()}),
            ("/tax_group_id", {"tax_group_id": uuid4()}),
        ):
            with pytest.raises(UnknownReference) as refusal:
                await shop.run(create_product, CreateProductInput(code="1", name="One", **fields))
            assert refusal.value.pointer == pointer
        with pytest.raises(NotFound):
            await shop.run(update_product, uuid4(), UpdateProductInput(name="X"))

    async def test_services_have_no_reorder_point(self, shop: Shop) -> None:
        with pytest.raises(Invalid):
            await shop.run(
                create_product, CreateProductInput(code="1", name="One", kind="service", reorder_point="1")
            )

    async def test_changing_takes_two_round_trips(self, shop: Shop) -> None:
        product, trips = await shop.counted(create_product, CreateProductInput(code="1", name="One"))
        assert trips.postgres == 2
        _, trips = await shop.counted(update_product, product.id, UpdateProductInput(name="Uno"))
        assert trips.postgres == 2
