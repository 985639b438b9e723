"""The product's own jobs, from what a tenant does through the API to what it finds afterwards."""

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from tests.api.whole.conftest import Newcomer as NewTenant
from tests.api.whole.conftest import Tenant
from tests.workers.conftest import Processes, Tables


def awake_zone() -> str:
    """A zone where it is after four in the morning now, and stays so for a while: the daily tasks are due."""
    zones = ("Europe/London", "America/New_York", "Asia/Tokyo", "Pacific/Auckland")
    return next(zone for zone in zones if 5 <= datetime.now(ZoneInfo(zone)).hour < 22)


async def stocked(tenant: Tenant, code: str, quantity: str, **fields: Any) -> Any:
    product = await tenant.make("products", code=code, name=f"Product {code}", sale_price="10", **fields)
    line = {"product_id": product["id"], "quantity": quantity, "unit_cost": "4"}
    await tenant.make("stock-adjustments", reason="opening", lines=[line])
    return product


async def test_the_products_jobs_do_their_work(processes: Processes, tables: Tables, new_tenant: NewTenant) -> None:
    """Reservations that ran out, an overdue invoice, a closed period, a product that runs low."""
    tenant = await new_tenant(time_zone=awake_zone())
    product = await stocked(tenant, "LOW-1", "10", reorder_point="8")
    reservation = await tenant.make("reservations", product_id=product["id"], quantity="4")
    past = "UPDATE reservations SET expires_at = now() - interval '1 minute' WHERE id = %(id)s"
    tables.rows(past, id=reservation["id"])
    invoice = await overdue_invoice(tenant)
    period = (await tenant.get("/v1/periods"))["data"][0]
    reply = await tenant.client.post(
        f"/v1/periods/{period['id']}/close", json={"state": "soft_closed", "reason": "month end"},
        headers={"if-match": f'"{period["version"]}"', "idempotency-key": f"close-{period['id']}"},
    )  # fmt: skip
    assert reply.is_success, reply.text
    processes.coordinator()
    processes.real_worker("default")
    processes.real_worker("low")

    await tables.until("SELECT state = 'expired' FROM reservations WHERE id = %(id)s", id=reservation["id"])
    await tables.until("SELECT snapshot_at IS NOT NULL FROM periods WHERE id = %(id)s", id=period["id"])
    await tables.until("SELECT count(*) = 1 FROM invoice_reminders WHERE invoice_id = %(id)s", id=invoice["id"])
    await tables.until("SELECT count(*) = 1 FROM notices WHERE tenant_id = %(id)s", id=tenant.id)
    unfinished = "SELECT count(*) = 0 FROM jobs WHERE tenant_id = %(id)s AND state IN ('queued', 'running')"
    await tables.until(unfinished, id=tenant.id)
    jobs = tables.rows("SELECT kind, state, attempts FROM jobs WHERE tenant_id = %(id)s", id=tenant.id)
    # The month that has ended is looked at too, when its first day is not long past.
    assert {job["kind"] for job in jobs} - {"monthly_period_check"} == {
        "reservation_expiry", "overdue_invoices", "trial_balance_snapshot", "trial_balance_snapshots",
        "low_stock_notice", "usage_measurement", "event_verification", "nightly_reorder",
    }  # fmt: skip
    assert {(job["state"], job["attempts"]) for job in jobs} == {("done", 1)}
    assert [job["kind"] for job in jobs].count("trial_balance_snapshot") == 1, "one job for one closing"
    await _notice(tenant, product)


async def overdue_invoice(tenant: Tenant) -> Any:
    """Posted, its date and its due date in the past."""
    customer = await tenant.make("parties", code="LATE", name="Late payer", is_customer=True)
    past = (datetime.now(UTC) - timedelta(days=3)).date().isoformat()
    service = await tenant.make("products", code="SRV", name="Advice", kind="service", sale_price="10")
    invoice = await tenant.make(
        "invoices", party_id=customer["id"], date=past, due_date=past,
        lines=[{"product_id": service["id"], "quantity": "1", "unit_price": "10"}],
    )  # fmt: skip
    return await tenant.post(f"/v1/invoices/{invoice['id']}/post", {})


async def _notice(tenant: Tenant, product: Any) -> None:
    [notice] = (await tenant.get("/v1/notices", state="open"))["data"]
    assert (notice["kind"], notice["subject_type"], notice["subject_id"]) == ("low_stock", "product", product["id"])
    assert (notice["data"]["available"], notice["data"]["reorder_point"]) == ("6", "8")
    seen = await tenant.post(f"/v1/notices/{notice['id']}/acknowledge")
    assert (seen["state"], seen["version"]) == ("acknowledged", 2)
    assert (await tenant.get("/v1/notices", state="open"))["data"] == []
    again = await tenant.post(f"/v1/notices/{notice['id']}/acknowledge", expect=409)
    assert again["code"] == "invalid-state"
