"""What workers do for the event store: verifying, rebuilding; and whose request it all goes back to."""

import asyncio
from typing import Any

import pytest

from tests.api.whole.conftest import Tenant
from tests.api.whole.trading import stocked_product
from tests.workers.conftest import Processes, Tables

pytestmark = pytest.mark.usefixtures("clean")


async def ended(tenant: Tenant, path: str, state: Any) -> Any:
    for _ in range(400):
        found = await tenant.get(path)
        if state(found):
            return found
        await asyncio.sleep(0.05)
    raise AssertionError(f"not ended: {found}")


async def test_workers_verify_and_rebuild_and_events_name_their_request(
    processes: Processes, tenant: Tenant, tables: Tables
) -> None:
    product = await stocked_product(tenant, "P", "100")
    customer = await tenant.make("parties", code="C", name="Customer", is_customer=True)
    line = {"product_id": product["id"], "quantity": "1"}
    for _ in range(3):
        await tenant.make("direct-sales", party_id=customer["id"], lines=[line])
    processes.coordinator()
    processes.real_worker("low")
    begun = await tenant.client.post(
        "/v1/verifications", json={"kind": "events"}, headers={"x-correlation-id": "who-asked-1"}
    )
    path = f"/v1/verifications/{begun.json()['id']}"
    assert begun.headers["location"] == begun.json()["operation"]
    verified = await ended(tenant, path, lambda one: one["state"] != "running")
    assert (verified["state"], verified["checked"], verified["difference"]) == ("agrees", 4, None)
    followed = await ended(tenant, begun.headers["location"], lambda one: one["state"] == "done")
    assert followed["progress"] == {"done": 4, "total": 4, "unit": "streams"}
    assert (followed["result"]["events"]["checked"], followed["result_location"]) == (4, path)
    told = tables.rows(
        "SELECT e.type, e.correlation_id FROM events e WHERE e.aggregate_id = %(id)s ORDER BY e.version",
        id=begun.json()["id"],
    )
    assert [one["type"] for one in told] == ["verification.started", "verification.finished"]
    assert told[0]["correlation_id"] == told[1]["correlation_id"] == begun.headers["x-correlation-id"]
    build = await tenant.client.post("/v1/projection-rebuilds", json={"projection": "sales"})
    assert (build.status_code, build.headers["location"]) == (202, build.json()["operation"])
    rebuilt = await ended(tenant, "/v1/projections/sales", lambda one: one["as_of"]["generation"] == 2)
    assert rebuilt["as_of"]["complete"]
    done = await ended(tenant, build.headers["location"], lambda one: one["state"] == "done")
    assert done["progress"] == {"done": 3, "total": 3, "unit": "events"}
    assert (done["result"], done["result_location"]) == (
        {"shown": True, "generation": 2, "events": 3},
        "/v1/projections/sales",
    )
    log = await ended(tenant, done["log"], lambda one: len(one["data"]) == done["log_lines"])
    assert [one["message"] for one in log["data"]] == [
        "Reads 3 events of history into generation 2.",
        "Generation 2 is complete.",
    ]
    [day] = (await tenant.get("/v1/reports/sales-by-day"))["data"]
    assert (day["documents"], day["net"]) == (3, "30.00")
    tables.rows("UPDATE sales_by_day SET net = 1 WHERE tenant_id = %(id)s AND generation = 2", id=tenant.id)
    checked = await tenant.post("/v1/verifications", {"kind": "projections"}, 202)
    found = await ended(tenant, f"/v1/verifications/{checked['id']}", lambda one: one["state"] != "running")
    assert (found["state"], found["difference"]["aggregate_type"]) == ("differs", "sales_by_day")
