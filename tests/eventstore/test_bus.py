"""The bus: read models follow the documents, once for each event, whatever happens on the way."""

from typing import Any

import pytest

from tenancy.database import TenantDatabase
from tenancy.platform import PlatformDatabase
from tests.api.whole.conftest import Tenant
from tests.api.whole.trading import stocked_product
from tests.eventstore.busride import Ride
from tests.services import Services
from tests.workers.conftest import Tables

pytestmark = pytest.mark.usefixtures("clean")


@pytest.fixture
def ride(services: Services, platform: PlatformDatabase, database: TenantDatabase) -> Ride:
    return Ride(services, platform, database)


class Shop:
    """Sells at a counter; every sale is an order, a delivery and a posted invoice."""

    def __init__(self, tenant: Tenant, product: Any, customer: Any) -> None:
        self.tenant, self.product, self.customer = tenant, product, customer

    @classmethod
    async def of(cls, tenant: Tenant) -> "Shop":
        product = await stocked_product(tenant, "P", "1000")
        return cls(tenant, product, await tenant.make("parties", code="C", name="Customer", is_customer=True))

    async def sell(self, quantity: str = "1") -> Any:
        line = {"product_id": self.product["id"], "quantity": quantity}
        return await self.tenant.make("direct-sales", party_id=self.customer["id"], lines=[line])

    async def pay(self, sale: Any) -> None:
        share = {"invoice_id": sale["invoice_id"], "amount": sale["gross"]}
        await self.tenant.make(
            "payments", direction="in", party_id=self.customer["id"], amount=sale["gross"], allocations=[share]
        )


async def sums(tables: Tables, tenant: Tenant) -> tuple[int, Any, Any]:
    """Documents, net and what is owed, as the read models show them."""
    live = "g.consumer = %(name)s AND g.tenant_id = t.tenant_id AND g.state = 'live' AND g.generation = t.generation"
    [sold] = tables.rows(
        "SELECT coalesce(sum(documents), 0) AS documents, coalesce(sum(net), 0) AS net FROM sales_by_day t"
        f" JOIN event_generations g ON {live} WHERE t.tenant_id = %(id)s", name="sales", id=tenant.id,
    )  # fmt: skip
    owed = tables.value(
        f"SELECT coalesce(sum(open_amount), 0) FROM receivables t JOIN event_generations g ON {live}"
        " WHERE t.tenant_id = %(id)s", name="receivables", id=tenant.id,
    )  # fmt: skip
    return sold["documents"], sold["net"], owed


async def test_read_models_follow_the_documents(ride: Ride, tenant: Tenant, tables: Tables) -> None:
    shop = await Shop.of(tenant)
    sales = [await shop.sell("2") for _ in range(3)]
    await shop.pay(sales[0])
    await ride.follow()
    assert await sums(tables, tenant) == (3, 60, 40)
    assert await ride.deviations(tenant) == []
    await ride.settle(tables)
    assert tables.value("SELECT count(*) FROM event_receipts WHERE tenant_id = %(id)s", id=tenant.id) == 0
    await ride.redis.xgroup_destroy("events", "sales")
    await ride.follow()
    assert await sums(tables, tenant) == (3, 60, 40), "the whole stream again changes nothing"
