"""Sagas on real workers: killed in the middle of an outside call, choreography by events, all of it one trace."""

import signal
from typing import Any

from tests.api.whole.conftest import Newcomer as NewTenant
from tests.api.whole.conftest import Tenant
from tests.api.whole.trading import stocked_product
from tests.fulfilment.provider import Provider
from tests.workers.conftest import (
    BRISK,
    Processes,
    Tables,
    clean,
    new_tenant,
    processes,
    queue_redis,
    signal_group,
    tables,
)

__all__ = ["clean", "new_tenant", "processes", "queue_redis", "tables"]

ENDED = "SELECT state IN ('completed', 'compensated') FROM saga_runs WHERE id = %(id)s"


def telling(provider: Provider) -> dict[str, str]:
    return {**BRISK, "ERP_PAYMENTS_URL": provider.url, "ERP_PAYMENTS_TIMEOUT": "1"}


async def selling(new_tenant: NewTenant) -> tuple[Tenant, Any]:
    tenant = await new_tenant()
    product = await stocked_product(tenant, "LAMP", "100")
    customer = await tenant.make("parties", code="C", name="Customer", is_customer=True)
    line = {"product_id": product["id"], "quantity": "2"}
    return tenant, await tenant.make("sales-orders", party_id=customer["id"], lines=[line])


async def test_workers_killed_in_the_middle_of_calls_leave_one_effect(
    processes: Processes, tables: Tables, new_tenant: NewTenant, provider: Provider
) -> None:
    """Each outside call kills the worker that made it, before or after the provider did it."""
    provider.behave()
    tenant, order = await selling(new_tenant)
    body = {"order_id": order["id"], "payment_source": "card_4242"}
    saga = (await tenant.post("/v1/fulfilments", body, 202))["id"]
    for operation, mode in (("authorise", "late_effect"), ("capture", "late")):
        provider.tell(mode, operation=operation, payment=f"saga:{saga}", seconds=1.5)
    settings = telling(provider) | {"ERP_PAYMENTS_TIMEOUT": "5"}
    processes.coordinator()
    for step in (2, 3):
        doomed = processes.worker("high", module="workers.main", settings=settings)
        query = "SELECT state = 'intended' FROM saga_steps WHERE saga_id = %(id)s AND n = %(n)s"
        await tables.until(query, id=saga, n=step)
        signal_group(doomed, signal.SIGKILL)
    processes.worker("high", module="workers.main", settings=settings)
    await tables.until(ENDED, id=saga, seconds=40)
    view = await tenant.get(f"/v1/fulfilments/{saga}")
    assert view["state"] == "completed", view
    asked = provider.operations(tenant.id)
    assert [(one["operation"], bool(one["accepted"])) for one in asked] == [("authorise", True), ("capture", True)]
    assert len((await tenant.get("/v1/deliveries", order_id=order["id"]))["data"]) == 1
    order = await tenant.get(f"/v1/sales-orders/{order['id']}")
    assert (order["state"], order["payment_state"]) == ("delivered", "paid")


async def begun(tenant: Tenant, order: Any) -> tuple[str, str]:
    """A fulfilment, and the correlation id of the request that began it."""
    reply = await tenant.client.post(
        "/v1/fulfilments", json={"order_id": order["id"], "payment_source": "card_4242"},
        headers={"Idempotency-Key": f"fulfil-{order['id']}", "X-Correlation-Id": f"trace-{order['id']}"},
    )  # fmt: skip
    assert reply.status_code == 202, reply.text
    return reply.json()["id"], f"trace-{order['id']}"


async def one_tree(tenant: Tenant, correlation: str, root: str) -> set[str]:
    """What the request led to, by type: all of it leads back to the event that the request itself left."""
    shown = (await tenant.get("/v1/causation", correlation_id=correlation, limit="200"))["data"]
    known = {one["id"]: one for one in shown}
    assert [one["type"] for one in shown if one["causation_id"] is None] == [root], shown
    assert {one["causation_id"] for one in shown} - {None} <= known.keys()
    return {one["type"] for one in shown}


async def test_a_fulfilment_is_one_tree_from_the_request_to_its_last_event(
    processes: Processes, tables: Tables, new_tenant: NewTenant, provider: Provider
) -> None:
    """Also where its worker failed to reach the provider, so that it went on in a job of its own."""
    provider.behave()
    tenant, order = await selling(new_tenant)
    saga, correlation = await begun(tenant, order)
    provider.tell("fail", operation="authorise", payment=f"saga:{saga}", times=1)
    processes.coordinator()
    processes.worker("high", module="workers.main", settings=telling(provider))
    processes.worker("default", module="workers.main", settings=telling(provider))
    await tables.until(ENDED, id=saga, seconds=40)
    found = await one_tree(tenant, correlation, "fulfilment.created")
    assert found >= {
        "sales_order.confirmed", "delivery.posted", "invoice.posted", "payment.posted", "fulfilment.completed"
    }  # fmt: skip


async def test_a_saga_whose_job_is_gone_gets_another(
    processes: Processes, tables: Tables, new_tenant: NewTenant, provider: Provider
) -> None:
    provider.behave()
    tenant, order = await selling(new_tenant)
    saga, correlation = await begun(tenant, order)
    tables.rows("DELETE FROM jobs WHERE payload->>'saga_id' = %(id)s", id=saga)
    processes.coordinator()
    processes.worker("high", module="workers.main", settings=telling(provider))
    await tables.until(ENDED, id=saga, seconds=40)
    await one_tree(tenant, correlation, "fulfilment.created")
    [job] = tables.rows("SELECT traceparent, causation_id FROM jobs WHERE payload->>'saga_id' = %(id)s", id=saga)
    [told] = tables.rows(
        "SELECT event_id, traceparent FROM events WHERE aggregate_id = %(id)s AND version = 1", id=saga
    )
    assert (job["causation_id"], job["traceparent"]) == (told["event_id"], told["traceparent"])


async def test_a_delivery_is_followed_by_its_invoice_and_its_reminder_where_the_tenant_wants_it(
    processes: Processes, tables: Tables, new_tenant: NewTenant
) -> None:
    quiet, quiet_order = await selling(new_tenant)
    tenant, order = await selling(new_tenant)
    change = {"settings": [{"key": "sales.automatic_invoicing", "value": True}], "reason": "we want it"}
    await tenant.post("/v1/configuration/changes", change, 200)
    processes.coordinator()
    for queue in ("default", "low"):
        processes.real_worker(queue)
    for one, made in ((quiet, quiet_order), (tenant, order)):
        await one.post(f"/v1/sales-orders/{made['id']}/confirm")
    delivered = await tenant.client.post(
        f"/v1/sales-orders/{order['id']}/deliveries", json={},
        headers={"Idempotency-Key": "choreography-first", "X-Correlation-Id": f"trace-{order['id']}"},
    )  # fmt: skip
    assert delivered.is_success, delivered.text
    await quiet.post(f"/v1/sales-orders/{quiet_order['id']}/deliveries", {})
    await tables.until("SELECT count(*) = 1 FROM reminder_schedules WHERE tenant_id = %(id)s", id=tenant.id)
    shown = await tenant.get("/v1/causation", correlation_id=f"trace-{order['id']}")
    chain = {one["type"]: one for one in shown["data"]}
    assert chain["invoice.posted"]["causation_id"] == chain["delivery.posted"]["id"]
    assert chain["reminder.scheduled"]["causation_id"] == chain["invoice.posted"]["id"]
    assert chain["delivery.posted"]["causation_id"] is None
    [invoice] = (await tenant.get("/v1/invoices", order_id=order["id"]))["data"]
    assert invoice["state"] == "posted"
    await tables.until("SELECT count(*) = 0 FROM outbox WHERE tenant_id = %(id)s", id=quiet.id)
    assert (await quiet.get("/v1/invoices", order_id=quiet_order["id"]))["data"] == []
    assert (await quiet.get("/v1/jobs", kind="delivery_invoice"))["data"] == []
