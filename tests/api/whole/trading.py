"""One tenant's day of business through the API: every kind of document exists afterwards."""

from dataclasses import dataclass
from typing import Any

from tests.api.whole.conftest import Tenant


@dataclass(frozen=True, slots=True)
class Trade:
    """`ids`: path parameter -> id of a real record."""

    tenant: Tenant
    ids: dict[str, str]


async def stocked_product(tenant: Tenant, code: str, quantity: str, *, cost: str = "4", **fields: Any) -> Any:
    """A product with so much on hand."""
    product = await tenant.make("products", code=code, name=f"Product {code}", sale_price="10", **fields)
    line = {"product_id": product["id"], "quantity": quantity, "unit_cost": cost}
    await tenant.make("stock-adjustments", reason="opening", lines=[line])
    return product


async def trade(tenant: Tenant) -> Trade:
    customer = await tenant.make("parties", code="CUST", name="Customer", is_customer=True)
    supplier = await tenant.make("parties", code="SUPP", name="Supplier", is_supplier=True)
    product = await stocked_product(tenant, "P-1", "100")
    line = {"product_id": product["id"], "quantity": "5"}
    purchase = await tenant.make(
        "purchase-orders", party_id=supplier["id"], lines=[{**line, "unit_price": "4.50"}], confirm=True
    )
    receipt = await tenant.post(f"/v1/purchase-orders/{purchase['id']}/receipts", {})
    bill = await tenant.post(f"/v1/purchase-orders/{purchase['id']}/bills", {"supplier_number": "S-1"})
    order = await tenant.make("sales-orders", party_id=customer["id"], lines=[line], confirm=True)
    delivery = await tenant.post(f"/v1/sales-orders/{order['id']}/deliveries", {})
    invoice = await tenant.post(f"/v1/sales-orders/{order['id']}/invoices", {})
    posted = await tenant.post(f"/v1/invoices/{invoice['id']}/post", {})
    payment = await tenant.make(
        "payments", direction="in", party_id=customer["id"], amount=posted["gross"],
        allocations=[{"invoice_id": invoice["id"], "amount": posted["gross"]}],
    )  # fmt: skip
    reservation = await tenant.make("reservations", product_id=product["id"], quantity="1")
    entry = await tenant.make(
        "journal-entries", date=posted["date"],
        lines=[{"account": "@expense", "debit": "1.00"}, {"account": "@bank", "credit": "1.00"}],
    )  # fmt: skip
    periods = await tenant.get("/v1/periods")
    key = await tenant.make("api-keys", name="second", role="sales")
    ids = {
        "party_id": customer["id"], "product_id": product["id"], "purchase_order_id": purchase["id"],
        "receipt_id": receipt["id"], "bill_id": bill["id"], "order_id": order["id"], "delivery_id": delivery["id"],
        "invoice_id": invoice["id"], "payment_id": payment["id"], "reservation_id": reservation["id"],
        "entry_id": entry["id"], "period_id": periods["data"][0]["id"], "key_id": key["id"],
    }  # fmt: skip
    return Trade(tenant, ids)
