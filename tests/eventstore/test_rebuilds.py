"""Rebuilding: whoever dies on the way, what is shown in the end is what a rebuild without a fault makes."""

import asyncio
from typing import Any
from uuid import UUID

import pytest

from erp.projections import building
from erp.projections.repository import SET_REACHED
from tenancy.database import TenantDatabase
from tenancy.platform import PlatformDatabase
from tests.api.whole.conftest import Tenant
from tests.eventstore.busride import Ride, of
from tests.eventstore.test_bus import Shop
from tests.services import Services
from tests.workers.clockwork import Clockwork
from tests.workers.clockwork import clockwork as clockwork
from tests.workers.conftest import Processes, Tables

pytestmark = pytest.mark.usefixtures("clean")

_JOB = "projection_build"


@pytest.fixture
def ride(services: Services, platform: PlatformDatabase, database: TenantDatabase) -> Ride:
    return Ride(services, platform, database)


def shown(tables: Tables, tenant: Tenant, generation: int) -> list[Any]:
    """All rows of sales of one generation, but for its number."""
    found = []
    for table in ("sales_by_day", "sales_by_product", "sales_by_customer"):
        rows = tables.rows(
            f"SELECT to_jsonb(t) - 'generation' AS row FROM {table} t WHERE tenant_id = %(id)s"
            " AND generation = %(generation)s ORDER BY 1", id=tenant.id, generation=generation,
        )  # fmt: skip
        found.append((table, [row["row"] for row in rows]))
    return found


async def rebuilt(ride: Ride, clockwork: Clockwork, tenant: Tenant, tables: Tables) -> int:
    """A rebuild without a fault; the generation that is shown then."""
    asked = await tenant.post("/v1/projection-rebuilds", {"projection": "sales"}, 202)
    await ride.settle(tables)
    [job] = [one for one in await clockwork.work(tenant) if one["kind"] == _JOB]
    assert job["result"]["shown"] is True
    return int(asked["generation"])


# Four sales and batches of two: history is commits 1 and 2 (and 3, which finds nothing more), then it is shown.
@pytest.mark.parametrize(
    ("commit", "when"), [(1, "before"), (1, "after"), (2, "before"), (2, "after"), (4, "before")]
)
async def test_a_worker_killed_in_the_middle_of_a_rebuild_leaves_what_another_ends(
    commit: int, when: str, processes: Processes, ride: Ride, clockwork: Clockwork, tenant: Tenant, tables: Tables
) -> None:
    shop = await Shop.of(tenant)
    for _ in range(4):
        await shop.sell()
    await ride.follow()
    asked = await tenant.post("/v1/projection-rebuilds", {"projection": "sales"}, 202)
    await ride.settle(tables)
    job = await processes.doomed(tables, tenant.id, _JOB, commit=commit, when=when, batch=2)
    await shop.sell()  # between the two workers: into the shown generation and the one that is building
    await ride.follow()
    await ride.settle(tables)
    await clockwork.runner.run(UUID(tenant.id), job)
    assert tables.job(job)["state"] == "done", tables.job(job)
    state = await tenant.get("/v1/projections/sales")
    assert (state["as_of"]["generation"], state["building"]) == (asked["generation"], None)
    assert await ride.deviations(tenant) == []
    after_the_fault = shown(tables, tenant, asked["generation"])
    fresh = await rebuilt(ride, clockwork, tenant, tables)
    assert after_the_fault == shown(tables, tenant, fresh)
    assert shown(tables, tenant, asked["generation"])[0][1] == [], "the older one is gone"


async def test_how_far_history_is_in_a_transaction_of_its_own_would_be_seen(
    ride: Ride, tenant: Tenant, tables: Tables, database: TenantDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The planted bug: a batch of history is applied, how far it is is written later, the worker dies in between."""
    shop = await Shop.of(tenant)
    await shop.sell()
    await ride.follow()
    await tenant.post("/v1/projection-rebuilds", {"projection": "sales"}, 202)
    sales = ride.consumers["sales"]

    def forgetting(**told: Any) -> Any:
        return SET_REACHED(**{**told, "reached": 0, "read_all": False})

    monkeypatch.setattr(building, "SET_REACHED", forgetting)
    await database.run(of(tenant), lambda work: building.read_history(work, sales, 2))
    monkeypatch.undo()
    while (await database.run(of(tenant), lambda work: building.read_history(work, sales, 2))).value:
        pass
    await ride.settle(tables)
    await database.run(of(tenant), lambda work: building.switch(work, sales, 2))
    assert await ride.deviations(tenant) != []


async def test_of_rebuilds_asked_for_at_once_one_begins(
    ride: Ride, clockwork: Clockwork, tenant: Tenant, tables: Tables
) -> None:
    await (await Shop.of(tenant)).sell()
    await ride.follow()
    body = {"projection": "sales"}
    keys = [{"Idempotency-Key": f"rebuild-{tenant.id}-{n}"} for n in range(4)]
    asked = await asyncio.gather(
        *(tenant.client.post("/v1/projection-rebuilds", json=body, headers=key) for key in keys)
    )
    assert sorted(one.status_code for one in asked) == [202, 409, 409, 409]
    assert {one.json()["code"] for one in asked if one.status_code == 409} == {"build-under-way"}
    await ride.settle(tables)
    jobs = [one for one in await clockwork.work(tenant) if one["kind"] == _JOB]
    assert [one["result"]["shown"] for one in jobs] == [True]
    assert (await tenant.get("/v1/projections/sales"))["as_of"]["generation"] == 2
    assert await ride.deviations(tenant) == []
    await rebuilt(ride, clockwork, tenant, tables)
