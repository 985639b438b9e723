"""One tenant's day of business through the API: every kind of document exists afterwards."""

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from tests.api.whole.conftest import Tenant
from tests.api.whole.document import document, ids_of_lists


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
    # Found a day too late: what was delivered today has another cost now.
    day_before = (date.fromisoformat(posted["date"]) - timedelta(days=1)).isoformat()
    late = {"product_id": product["id"], "quantity": "10", "unit_cost": "1"}
    await tenant.make("stock-adjustments", reason="found", date=day_before, lines=[late])
    [correction] = (await tenant.get("/v1/cost-corrections"))["data"]
    periods = await tenant.get("/v1/periods")
    key = await tenant.make("api-keys", name="second", role="sales")
    audited = await tenant.get("/v1/audit-entries", limit="1")
    ids = {
        "party_id": customer["id"], "product_id": product["id"], "purchase_order_id": purchase["id"],
        "receipt_id": receipt["id"], "bill_id": bill["id"], "order_id": order["id"], "delivery_id": delivery["id"],
        "invoice_id": invoice["id"], "payment_id": payment["id"], "reservation_id": reservation["id"],
        "entry_id": entry["id"], "period_id": periods["data"][0]["id"], "key_id": key["id"],
        "audit_entry_id": audited["data"][0]["id"], "correction_id": correction["id"],
    }  # fmt: skip
    return Trade(tenant, ids)


async def trade_by_the_clock(tenant: Tenant, ids: dict[str, str]) -> None:
    """A rule when to buy, an order that comes again, and a schedule, the newest one: of no record."""
    line = {"product_id": ids["product_id"], "quantity": "1", "unit_price": "1"}
    [supplier] = (await tenant.get("/v1/parties", code="SUPP"))["data"]
    await tenant.make(
        "reorder-rules", product_id=ids["product_id"], supplier_id=supplier["id"], minimum="1", target="2",
        unit_price="1",
    )  # fmt: skip
    again = {"party_id": ids["party_id"], "lines": [line]}
    await tenant.make("recurring-orders", name="Again", order=again, cron="0 0 1 1 *")
    await tenant.make("schedules", name="Nightly", kind="reorder", cron="0 0 1 1 *")


async def trade_in_everything(tenant: Tenant) -> Trade:
    """The same, with a record of every other kind too; `ids` has one for every parameter of every path."""
    done = await trade(tenant)
    await tenant.make("categories", code="CAT", name="Category")
    prices = await tenant.make("price-lists", code="TRADE", name="Trade")
    item = {"product_id": done.ids["product_id"], "min_quantity": "10", "unit_price": "9", "valid_from": "2020-01-01"}
    await tenant.post(f"/v1/price-lists/{prices['id']}/items", {"items": [item]})
    back = {"reason": "broken", "lines": [{"line_no": 1, "quantity": "1"}]}
    await tenant.post(f"/v1/deliveries/{done.ids['delivery_id']}/returns", back)
    line = {"product_id": done.ids["product_id"], "quantity": "1", "unit_price": "1"}
    credit = await tenant.make("direct-credits", party_id=done.ids["party_id"], lines=[line], reason="rebate")
    sale = await tenant.make("direct-sales", party_id=done.ids["party_id"], lines=[line])
    draft = await tenant.make("invoices", party_id=done.ids["party_id"], lines=[line])
    wish = await tenant.make("sales-orders", party_id=done.ids["party_id"], lines=[line])
    # Paths that take a record of a special kind or in an early state only.
    special = {
        "/v1/invoices/{invoice_id}": draft["id"],
        "/v1/sales-orders/{order_id}": wish["id"],
        "/v1/direct-sales/{order_id}": sale["id"],
        "/v1/invoices/{invoice_id}/allocations": credit["id"],
        "/v1/invoices/{invoice_id}/deallocate": credit["id"],
    }
    draft = await tenant.make("sales-orders", party_id=done.ids["party_id"], lines=[line])
    begun = {"order_id": draft["id"], "payment_source": "card_4242"}
    await tenant.post("/v1/fulfilments", begun, 202)
    await tenant.post("/v1/verifications", {"kind": "events"}, 202)
    await trade_by_the_clock(tenant, done.ids)
    row = {"key": "row", "data": {"code": "IMPORTED", "name": "Imported"}}
    await tenant.client.post("/v1/imports/products", json=row, headers={"Content-Type": "application/x-ndjson"})
    listed = await ids_of_lists(tenant.client, await document(tenant.client))
    own = {"credit_note_id": credit["id"], "stream_id": done.ids["order_id"]}
    return Trade(tenant, {**listed, **done.ids, **special, **own})
