"""What would hinder the closing of a period, found before somebody tries."""

from datetime import UTC, datetime
from typing import Any

from tests.api.whole.conftest import Newcomer as NewTenant
from tests.api.whole.conftest import Tenant
from tests.workers.clockwork import Clockwork
from tests.workers.clockwork import clockwork as clockwork
from tests.workers.conftest import Tables


async def check(tenant: Tenant, clockwork: Clockwork, period: Any) -> dict[str, Any]:
    """What is found: rule -> (count, the first number)."""
    first, again = [await tenant.post(f"/v1/periods/{period['id']}/check", expect=202) for _ in range(2)]
    assert first == again
    [job] = await clockwork.work(tenant)
    assert job["state"] == "done", job["error_detail"]
    found = await tenant.get(f"/v1/period-checks/{job['result']['check_id']}")
    assert found["hinders"] == any(one["hinders"] and one["count"] for one in found["findings"])
    return {one["rule"]: (one["count"], one["examples"][0]["number"]) for one in found["findings"] if one["count"]}


async def present(tenant: Tenant) -> Any:
    today = datetime.now(UTC).date().isoformat()
    periods = (await tenant.get("/v1/periods", limit="200"))["data"]
    return next(one for one in periods if one["start_date"] <= today <= one["end_date"])


async def test_everything_unfinished_is_found_and_nothing_when_it_is_finished(
    new_tenant: NewTenant, clockwork: Clockwork, tables: Tables
) -> None:
    tenant = await new_tenant(time_zone="UTC")
    period = await present(tenant)
    assert await check(tenant, clockwork, period) == {}
    customer = await tenant.make("parties", code="C", name="Customer", is_customer=True)
    supplier = await tenant.make("parties", code="S", name="Supplier", is_supplier=True)
    product = await tenant.make("products", code="P", name="Product", sale_price="10")
    line = {"product_id": product["id"], "quantity": "5"}
    bought = await tenant.make(
        "purchase-orders", party_id=supplier["id"], lines=[{**line, "unit_price": "4"}], confirm=True
    )
    await tenant.post(f"/v1/purchase-orders/{bought['id']}/receipts")
    sold = await tenant.make("sales-orders", party_id=customer["id"], lines=[line], confirm=True)
    await tenant.post(f"/v1/sales-orders/{sold['id']}/deliveries")
    wish = await tenant.make("sales-orders", party_id=customer["id"], lines=[line])
    payment = await tenant.make("payments", direction="in", party_id=customer["id"], amount="50.00")
    assert await check(tenant, clockwork, period) == {
        "receipts_not_billed": (1, bought["number"]),
        "deliveries_not_invoiced": (1, sold["number"]),
        "draft_sales_orders": (1, wish["number"]),
        "unallocated_payments": (1, payment["number"]),
    }
    invoice = await tenant.post(f"/v1/sales-orders/{sold['id']}/invoices")
    found = await check(tenant, clockwork, period)
    assert found["draft_invoices"] == (1, "")
    assert "deliveries_not_invoiced" not in found
    await tenant.post(f"/v1/invoices/{invoice['id']}/post")
    await tenant.post(f"/v1/purchase-orders/{bought['id']}/bills", {"supplier_number": "B-1"})
    given = [{"invoice_id": invoice["id"], "amount": "50.00"}]
    await tenant.post(f"/v1/payments/{payment['id']}/allocations", {"allocations": given})
    assert await check(tenant, clockwork, period) == {"draft_sales_orders": (1, wish["number"])}
    tables.rows("UPDATE stock_levels SET on_hand = on_hand + 1 WHERE tenant_id = %(id)s", id=tenant.id)
    count, name = (await check(tenant, clockwork, period))["proof"]
    assert (count >= 1, "stock" in name or "hand" in name) == (True, True)
    assert len((await tenant.get("/v1/period-checks", period_id=period["id"]))["data"]) == 5


async def test_a_schedule_looks_at_the_month_that_has_ended(new_tenant: NewTenant, clockwork: Clockwork) -> None:
    tenant = await new_tenant(time_zone="UTC")
    nightly = await tenant.make("schedules", name="Close", kind="period_pre_close", cron="0 5 1 * *",
                                parameters={"months_back": 0})  # fmt: skip
    await clockwork.strike(nightly["id"])
    [job] = await clockwork.work(tenant)
    assert job["result"]["hinders"] is False
    [found] = (await tenant.get("/v1/period-checks"))["data"]
    assert found["period_id"] == (await present(tenant))["id"]
