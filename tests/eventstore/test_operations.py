"""Rebuilds and verifications as operations: followed, cancelled between two batches, gone on with or given up."""

import asyncio
from typing import Any
from uuid import UUID

import psycopg
import pytest

from erp.eventstore.service import JOB_KIND as VERIFICATION
from erp.projections import building
from erp.projections.building import JOB_KIND, read_history
from erp.projections.consumers import CONSUMERS
from tenancy.database import TenantDatabase
from tenancy.platform import PlatformDatabase
from tests.api.whole.conftest import Tenant
from tests.eventstore.busride import Ride
from tests.eventstore.test_bus import Shop, sums
from tests.services import Services
from tests.standbys import catch_up
from tests.workers.conftest import Tables
from tests.workers.test_operations import heart as heart
from tests.workers.test_operations import runner_of as runner_of
from workers.actors import events, projections
from workers.context import JobContext
from workers.kinds import JobKind

pytestmark = pytest.mark.usefixtures("clean")

STATE = "SELECT state FROM jobs WHERE id = %(id)s"
ASKED_BY_NOW = "SELECT count(*) > 0 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE %(query)s"


@pytest.fixture
def ride(services: Services, platform: PlatformDatabase, database: TenantDatabase) -> Ride:
    return Ride(services, platform, database)


async def shop_with_history(ride: Ride, tenant: Tenant, sales: int = 3) -> Shop:
    """Sold so many times, each sale one event of history, and all of it shown."""
    shop = await Shop.of(tenant)
    for _ in range(sales):
        await shop.sell()
    await ride.follow()
    return shop


async def cancelled_in_its_first_batch(
    services: Services, tenant: Tenant, tables: Tables, runner: Any, operation: str
) -> Any:
    """The operation as its job left it. The batch waits for a row that the test holds, until it is cancelled."""
    with psycopg.connect(services.superuser_url) as held:
        held.execute("SELECT FROM event_generations WHERE tenant_id = %s FOR UPDATE", [tenant.id])
        running = asyncio.create_task(runner.run(UUID(tenant.id), UUID(operation.rsplit("/", 1)[1])))
        await tables.until(ASKED_BY_NOW, query="%FROM event_generations%FOR UPDATE%")
        asked = await tenant.post(f"{operation}/cancel")
        assert asked["state"] == "running"
    await asyncio.wait_for(running, 10)
    await asyncio.to_thread(catch_up, services)
    return await tenant.get(operation)


@pytest.fixture
def one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches of one event."""
    monkeypatch.setattr(building, "BATCH", 1)


async def test_a_rebuild_stops_between_two_batches_and_goes_on_when_it_is_replayed(
    ride: Ride, services: Services, tenant: Tenant, tables: Tables, runner_of: Any, one_by_one: None
) -> None:
    await shop_with_history(ride, tenant)
    operation = (await tenant.post("/v1/projection-rebuilds", {"projection": "sales"}, 202))["operation"]
    runner = runner_of(*projections.JOBS)
    stopped = await cancelled_in_its_first_batch(services, tenant, tables, runner, operation)
    assert stopped["state"] == "cancelled"
    assert stopped["result"] == {"shown": False, "events": 1}
    assert stopped["progress"] == {"done": 1, "total": 3, "unit": "events"}
    assert (await sums(tables, tenant))[:2] == (3, 30), "what is shown stays"

    await tenant.post(f"/v1/jobs/{stopped['id']}/replay")
    running = asyncio.create_task(runner.run(UUID(tenant.id), UUID(stopped["id"])))
    await ride.follow()
    await ride.settle(tables)
    await asyncio.wait_for(running, 10)
    await asyncio.to_thread(catch_up, services)
    done = await tenant.get(operation)
    assert (done["state"], done["result"]) == ("done", {"shown": True, "generation": 2, "events": 3})
    assert (await sums(tables, tenant))[:2] == (3, 30)
    assert await ride.deviations(tenant) == []


async def test_a_rebuild_that_does_not_ask_would_not_stop(
    ride: Ride, services: Services, tenant: Tenant, tables: Tables, runner_of: Any, one_by_one: None
) -> None:
    """The planted bug: all of history at a stretch, whatever was asked meanwhile."""

    async def deaf(context: JobContext) -> None:
        while await context.step(lambda work: read_history(work, CONSUMERS["sales"], 2)):
            pass

    await shop_with_history(ride, tenant)
    operation = (await tenant.post("/v1/projection-rebuilds", {"projection": "sales"}, 202))["operation"]
    runner = runner_of(JobKind(JOB_KIND, deaf))
    assert (await cancelled_in_its_first_batch(services, tenant, tables, runner, operation))["state"] == "done"


async def test_a_cancelled_rebuild_is_given_up_for_the_next_one(
    ride: Ride, services: Services, tenant: Tenant, tables: Tables, runner_of: Any
) -> None:
    shop = await shop_with_history(ride, tenant)
    first = await tenant.post("/v1/projection-rebuilds", {"projection": "sales"}, 202)
    refused = await tenant.post("/v1/projection-rebuilds", {"projection": "sales"}, 409)
    assert (refused["code"], refused["operation"]) == ("build-under-way", first["operation"])
    assert (await tenant.post(f"{first['operation']}/cancel"))["state"] == "cancelled"
    second = await tenant.post("/v1/projection-rebuilds", {"projection": "sales"}, 202)
    assert (first["generation"], second["generation"]) == (2, 3)

    runner = runner_of(*projections.JOBS)
    running = asyncio.create_task(runner.run(UUID(tenant.id), UUID(second["id"])))
    await shop.sell()
    await ride.follow()
    await ride.settle(tables)
    await asyncio.wait_for(running, 10)
    assert tables.value(STATE, id=second["id"]) == "done"
    left = "SELECT generation, state FROM event_generations WHERE tenant_id = %(id)s AND consumer = 'sales'"
    assert [tuple(row.values()) for row in tables.rows(left, id=tenant.id)] == [(3, "live")]
    assert (await sums(tables, tenant))[:2] == (4, 40)
    assert await ride.deviations(tenant) == []

    await tenant.post(f"/v1/jobs/{first['id']}/replay")
    await runner.run(UUID(tenant.id), UUID(first["id"]))
    assert tables.rows("SELECT state, error_code FROM jobs WHERE id = %(id)s", id=first["id"]) == [
        {"state": "failed", "error_code": "invalid-state"}
    ]


async def test_a_rebuild_waits_for_its_consumer_without_an_attempt(
    ride: Ride, tenant: Tenant, tables: Tables, runner_of: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing follows the events: the job gives its thread back and is looked at again."""
    await shop_with_history(ride, tenant)
    monkeypatch.setattr(projections, "_LOOKS", 2)
    build = await tenant.post("/v1/projection-rebuilds", {"projection": "sales"}, 202)
    runner = runner_of(*projections.JOBS)
    await runner.run(UUID(tenant.id), UUID(build["id"]))
    waits = "SELECT state, attempts, run_at > now() AS later, done FROM jobs WHERE id = %(id)s"
    assert tables.rows(waits, id=build["id"]) == [{"state": "queued", "attempts": 0, "later": True, "done": 3}]
    await ride.follow()
    await ride.settle(tables)
    tables.rows("UPDATE jobs SET run_at = now() WHERE id = %(id)s", id=build["id"])
    await runner.run(UUID(tenant.id), UUID(build["id"]))
    assert tables.value(STATE, id=build["id"]) == "done"


async def test_a_verification_shows_what_became_of_its_operation(
    services: Services, tenant: Tenant, tables: Tables, runner_of: Any
) -> None:
    kinds = ("events", "projections", "events")
    begun = [await tenant.post("/v1/verifications", {"kind": kind}, 202) for kind in kinds]
    assert [one["operation"] for one in begun] == [f"/v1/operations/{one['id']}" for one in begun]
    assert (await tenant.post(f"{begun[0]['operation']}/cancel"))["state"] == "cancelled"

    async def broken(context: JobContext) -> None:
        raise RuntimeError

    tables.rows("UPDATE jobs SET max_attempts = 1 WHERE id = %(id)s", id=begun[1]["id"])
    await runner_of(JobKind(VERIFICATION, broken)).run(UUID(tenant.id), UUID(begun[1]["id"]))
    await asyncio.to_thread(catch_up, services)
    shown = [(await tenant.get(f"/v1/verifications/{one['id']}"))["state"] for one in begun]
    assert shown == ["cancelled", "failed", "running"]
    listed = (await tenant.get("/v1/verifications", state="cancelled"))["data"]
    assert [one["id"] for one in listed] == [begun[0]["id"]]
    # A replay finds out after all.
    await tenant.post(f"/v1/jobs/{begun[1]['id']}/replay")
    await runner_of(*events.JOBS).run(UUID(tenant.id), UUID(begun[1]["id"]))
    await asyncio.to_thread(catch_up, services)
    assert (await tenant.get(f"/v1/verifications/{begun[1]['id']}"))["state"] == "agrees"
