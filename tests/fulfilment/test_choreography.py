"""Selling by events alone, when several workers get the same event and when one is killed before the invoice."""

from typing import Any

import pytest

from erp.sales import billing
from tests.api.whole.conftest import Newcomer as NewTenant
from tests.api.whole.conftest import Tenant
from tests.eventstore.busride import of
from tests.fulfilment.test_workers import one_tree, selling
from tests.workers.clockwork import Clockwork, clockwork
from tests.workers.conftest import (
    Enqueue,
    Processes,
    Tables,
    clean,
    database,
    enqueue,
    new_tenant,
    platform,
    processes,
    queue_redis,
    tables,
)

__all__ = [
    "clean", "clockwork", "database", "enqueue", "new_tenant", "platform", "processes", "queue_redis", "tables",
]  # fmt: skip

_JOB = "delivery_invoice"


async def delivered(tenant: Tenant, order: Any) -> Any:
    """The order's delivery, under a correlation id of its own."""
    await tenant.post(f"/v1/sales-orders/{order['id']}/confirm")
    reply = await tenant.client.post(
        f"/v1/sales-orders/{order['id']}/deliveries", json={},
        headers={"Idempotency-Key": f"deliver-{order['id']}", "X-Correlation-Id": f"trace-{order['id']}"},
    )  # fmt: skip
    assert reply.is_success, reply.text
    return reply.json()


@pytest.mark.parametrize("bug", [False, True], ids=["as it is", "what is on invoices is not looked at"])
async def test_workers_that_get_the_same_event_make_one_invoice(
    bug: bool, clockwork: Clockwork, enqueue: Enqueue, tables: Tables, new_tenant: NewTenant,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    if bug:
        monkeypatch.setattr(billing, "still_invoiced", lambda lines: {})
    tenant, order = await selling(new_tenant)
    delivery = await delivered(tenant, order)
    for _ in range(4):
        await enqueue(of(tenant), _JOB, {"order_id": order["id"], "delivery_id": delivery["id"]})
    jobs = [job for job in await clockwork.work(tenant) if job["kind"] == _JOB]
    assert {job["state"] for job in jobs} == {"done"}, jobs
    made = [job["result"]["invoice_id"] for job in jobs if job["result"]["invoice_id"]]
    invoices = (await tenant.get("/v1/invoices", order_id=order["id"]))["data"]
    assert sorted(made) == sorted(one["id"] for one in invoices)
    assert {one["state"] for one in invoices} == {"posted"}
    assert len(invoices) == (4 if bug else 1)


async def test_a_worker_killed_between_delivery_and_invoice_leaves_one_of_each(
    processes: Processes, tables: Tables, new_tenant: NewTenant
) -> None:
    """Its invoice was written and posted, and not committed."""
    tenant, order = await selling(new_tenant)
    change = {"settings": [{"key": "sales.automatic_invoicing", "value": True}], "reason": "we want it"}
    await tenant.post("/v1/configuration/changes", change, 200)
    await delivered(tenant, order)
    processes.coordinator()
    await tables.until(
        "SELECT count(*) = 1 FROM jobs WHERE tenant_id = %(id)s AND kind = %(kind)s", id=tenant.id, kind=_JOB
    )
    job = await processes.doomed(tables, tenant.id, _JOB, commit=1, when="before")
    assert tables.value("SELECT count(*) FROM invoices WHERE tenant_id = %(id)s", id=tenant.id) == 0
    for queue in ("default", "low"):
        processes.real_worker(queue)
    await tables.until("SELECT count(*) = 1 FROM reminder_schedules WHERE tenant_id = %(id)s", id=tenant.id)
    assert tables.job(job)["attempts"] == 2
    [invoice] = (await tenant.get("/v1/invoices", order_id=order["id"]))["data"]
    assert (invoice["state"], invoice["gross"]) == ("posted", "20.00")
    assert len((await tenant.get("/v1/deliveries", order_id=order["id"]))["data"]) == 1
    assert await one_tree(tenant, f"trace-{order['id']}", "delivery.posted") >= {
        "delivery.posted", "invoice.posted", "reminder.scheduled"
    }  # fmt: skip
    assert (await tenant.get("/v1/proof"))["holds"] is True
