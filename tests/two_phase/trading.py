"""Two tenants that have agreed to trade, and what the books of both say."""

from dataclasses import dataclass
from typing import Any

from tests.api.whole.conftest import Newcomer, Tenant
from tests.api.whole.trading import stocked_product


@dataclass(frozen=True, slots=True)
class Pair:
    """The seller has 100 of product P-1 at a cost of 4; both have products P-1 and P-2 (a service)."""

    seller: Tenant
    buyer: Tenant
    product: str
    service: str

    def sale(self, quantity: str = "3", **more: Any) -> dict[str, Any]:
        lines = [{"product_id": self.product, "quantity": quantity, "unit_price": "10.15"}]
        return {"partner_id": self.buyer.id, "lines": lines, **more}

    async def sell(self, quantity: str = "3", *, key: str | None = None, expect: int = 201, **more: Any) -> Any:
        return await self.seller.post("/v1/intercompany-sales", self.sale(quantity, **more), expect, key=key)

    async def counts(self) -> dict[str, int]:
        """How many documents of each kind either side has."""
        found = {}
        for tenant, resources in (
            (self.seller, ("sales-orders", "deliveries", "invoices", "intercompany-sales")),
            (self.buyer, ("purchase-orders", "goods-receipts", "supplier-bills", "intercompany-sales")),
        ):
            for resource in resources:
                page = await tenant.get(f"/v1/{resource}", count="exact")
                found[f"{'seller' if tenant is self.seller else 'buyer'} {resource}"] = page["count"]
        return found


async def make_pair(newcomer: Newcomer, *, seller: str = "main", buyer: str = "second", agreed: bool = True) -> Pair:
    selling, buying = await newcomer(database=seller), await newcomer(database=buyer)
    group = (await selling.get("/v1/tax-groups"))["data"][0]["id"]
    product = await stocked_product(selling, "P-1", "100", tax_group_id=group)
    service = await selling.make("products", code="P-2", name="Help", kind="service", sale_price="7")
    await buying.make("products", code="P-1", name="Product P-1")
    await buying.make("products", code="P-2", name="Help", kind="service")
    if agreed:
        await link(selling, buying, customer=True)
        await link(buying, selling, customer=False)
    return Pair(selling, buying, product["id"], service["id"])


async def link(tenant: Tenant, partner: Tenant, *, customer: bool) -> Any:
    role = {"is_customer": True} if customer else {"is_supplier": True}
    party = await tenant.make("parties", code=f"IC-{partner.slug}", name="Partner", **role)
    return await tenant.make(
        "intercompany-links", partner_id=partner.id, party_id=party["id"], sells=customer, buys=not customer
    )


async def assert_proven(*tenants: Tenant) -> None:
    for tenant in tenants:
        proof = await tenant.get("/v1/proof")
        assert proof["holds"], [check for check in proof["checks"] if check.get("wrong")]
