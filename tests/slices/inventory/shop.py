"""A tenant with books, a warehouse, products and customers: what the tests of stock and selling start from."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from datetime import date
from typing import Any
from uuid import UUID

import pytest

from db.statement import Bound
from erp.accounting.proof import CHECKS as LEDGER_CHECKS
from erp.catalog import seed as catalog
from erp.catalog.schemas import CreateProductInput, ProductUnit
from erp.catalog.service import create_product
from erp.inventory import seed as inventory
from erp.inventory.facts import default_location
from erp.inventory.proof import CHECKS as STOCK_CHECKS
from erp.inventory.schemas import AdjustmentLineInput, AdjustmentView, CreateAdjustmentInput
from erp.inventory.service import create_adjustment
from erp.pricing.schemas import CreateTaxGroupInput, TaxRate
from erp.pricing.service import create_tax_group
from erp.sales.proof import CHECKS as SALES_CHECKS
from tenancy.database import TenantDatabase
from tenancy.work import UnitOfWork
from tests.services import Services
from tests.slices.accounting.books import Books, new_books

NOBODY = UUID(int=0)
#: A day with an open period, past whenever the tests run.
MARCH = date(2026, 3, 10)
_DEFAULT = "(SELECT id FROM locations WHERE tenant_id = %(tenant_id)s AND is_default)"
_LEVEL = (
    "SELECT on_hand, reserved FROM stock_levels WHERE tenant_id = %(tenant_id)s AND product_id = %(product)s"
    f" AND location_id = coalesce(%(location)s::uuid, {_DEFAULT})"
)

__all__ = ["MARCH", "NOBODY", "Shop", "new_shop", "shop"]


@dataclass
class Shop(Books):
    """Books plus one warehouse, an empty default location, goods and a service, all taxed at 20 %."""

    location: UUID = NOBODY
    lamp: UUID = NOBODY
    cup: UUID = NOBODY
    rope: UUID = NOBODY
    carriage: UUID = NOBODY

    async def receive(
        self, product: UUID, quantity: str, unit_cost: str = "4.00", *, on: date = MARCH, **more: Any
    ) -> AdjustmentView:
        """Goods found: the shortest way to stock."""
        line = AdjustmentLineInput(product_id=product, quantity=quantity, unit_cost=unit_cost, **more)
        return await self.run(create_adjustment, CreateAdjustmentInput(reason="opening_stock", lines=[line], date=on))

    async def level(self, product: UUID, location: UUID | None = None) -> tuple[str, str]:
        """(on hand, reserved) as text."""
        rows = await self.rows(Bound(_LEVEL, {"product": product, "location": location}, None, True))
        return (format(rows[0][0], "f"), format(rows[0][1], "f")) if rows else ("0", "0")

    def tuned(self, **settings: Any) -> "Shop":
        """The same shop under other settings, as `sales__reservation_ttl=60`."""
        named = {name.replace("__", "."): value for name, value in settings.items()}
        tenant = replace(self.caller.tenant, settings={**self.caller.tenant.settings, **named})
        return replace(self, caller=replace(self.caller, tenant=tenant))

    async def count(self, table: str) -> int:
        [[found]] = await self.rows(
            Bound(f"SELECT count(*) FROM {table} WHERE tenant_id = %(tenant_id)s", {}, None, True)
        )
        return int(found)

    async def column(self, sql: str, **parameters: Any) -> list[Any]:
        """The first column of a statement on this tenant's rows."""
        return [row[0] for row in await self.rows(Bound(sql, parameters, None, True))]

    async def wrong(self) -> dict[str, Sequence[Any]]:
        """Everything the proof finds wrong with ledger, stock and sales."""
        return dict(await self.evidence(*LEDGER_CHECKS, *STOCK_CHECKS, *SALES_CHECKS))


async def new_shop(database: TenantDatabase, services: Services) -> Shop:
    books = await new_books(database, services)
    shop = Shop(**{field.name: getattr(books, field.name) for field in fields(Books)})
    # The tests' days are fixed, however late they run.
    shop = shop.tuned(inventory__max_backdate_days=3650)

    async def provision(work: UnitOfWork) -> None:
        catalog.seed(work)
        inventory.seed(work)

    await shop.run(provision)
    tax = await shop.run(
        create_tax_group,
        CreateTaxGroupInput(code="VAT", name="VAT", rates=[TaxRate(rate="20", valid_from=date(2020, 1, 1))]),
    )

    async def product(code: str, **more: Any) -> UUID:
        data = CreateProductInput(code=code, name=code.title(), tax_group_id=tax.id, **more)
        return (await shop.run(create_product, data)).id

    [place] = await shop.rows(default_location())
    return replace(
        shop,
        location=place.id,
        lamp=await product("LAMP", sale_price="10.00", units=[ProductUnit(unit="box", numerator=12)]),
        cup=await product("CUP", sale_price="2.50"),
        rope=await product("ROPE", sale_price="1.00", unit="m"),
        carriage=await product("CARRIAGE", sale_price="5.00", kind="service", unit="h"),
    )


@pytest.fixture
async def shop(books_database: TenantDatabase, services: Services) -> Shop:
    """A fresh shop for every test."""
    return await new_shop(books_database, services)
