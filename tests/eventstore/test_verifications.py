"""Verifications: in bounded statements, whatever is written meanwhile; one row a run; a difference is heard of."""

import asyncio
import uuid
from typing import Any

import pytest
from sqlalchemy import text

from db.statement import Statement
from erp.eventstore import level_history
from erp.eventstore.verifying import verify_events
from erp.inventory.reservations import create_reservation
from erp.inventory.schemas import CreateReservationInput
from fleet.metrics import event_verifications_differing
from tenancy.database import TenantDatabase
from tenancy.platform import PlatformDatabase
from tests.api.whole.conftest import Tenant
from tests.api.whole.trading import stocked_product
from tests.eventstore.busride import of
from tests.eventstore.test_streams import level_of, sold
from tests.workers.clockwork import Clockwork
from tests.workers.clockwork import clockwork as clockwork
from tests.workers.conftest import Enqueue, Processes, Tables
from tests.workers.conftest import enqueue as enqueue
from workers.gauges import Gauges
from workers.schedule import TASKS

pytestmark = pytest.mark.usefixtures("clean")


@pytest.fixture
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(level_history, "_EVENTS", 2)
    monkeypatch.setattr(level_history, "_LEVELS", 1)


@pytest.mark.usefixtures("small_pages")
async def test_levels_are_added_up_page_by_page(tenant: Tenant, tables: Tables, database: TenantDatabase) -> None:
    await sold(tenant)
    for n in range(3):
        product = await stocked_product(tenant, f"Q{n}", "9")
        await tenant.make("reservations", product_id=product["id"], quantity="2")
    found = await verify_events(database, of(tenant))
    assert (found.checked, found.differing) == (5, 0), found.first
    level = await level_of(tenant)
    tables.rows("UPDATE stock_levels SET on_hand = on_hand + 1 WHERE id = %(id)s", id=level["id"])
    found = await verify_events(database, of(tenant))
    assert (found.checked, found.differing) == (5, 1)
    assert found.first is not None
    assert (found.first.aggregate_id, found.first.field) == (level["id"], "on_hand")


@pytest.mark.usefixtures("small_pages")
@pytest.mark.parametrize("bug", [False, True], ids=["as it is", "what was committed late is taken for read"])
async def test_what_is_committed_while_levels_are_added_up_is_no_difference(
    bug: bool, tenant: Tenant, database: TenantDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A change whose event has a place among the first is committed when the pages behind it have been read."""
    first, second = [await stocked_product(tenant, code, "9") for code in ("A", "B")]
    written, proceed = asyncio.Event(), asyncio.Event()

    async def hold(work: Any) -> None:
        await create_reservation(work, CreateReservationInput(product_id=uuid.UUID(first["id"]), quantity="3"))
        work._leave_trail()
        await work.load()
        written.set()
        await proceed.wait()

    holding = asyncio.create_task(database.run(of(tenant), hold))
    await asyncio.wait_for(written.wait(), 10)
    await tenant.make("reservations", product_id=second["id"], quantity="2")
    real = level_history._add_up

    async def add_up(*arguments: Any) -> Any:
        fixed = await real(*arguments)
        proceed.set()
        await holding
        await tenant.make("reservations", product_id=second["id"], quantity="1")
        return fixed

    monkeypatch.setattr(level_history, "_add_up", add_up)
    if bug:
        newest = Statement(text("SELECT pg_snapshot_xmax(pg_current_snapshot())::text"), register=False)
        monkeypatch.setattr(level_history, "FIXED_BELOW", newest)
    found = await verify_events(database, of(tenant))
    assert (found.checked, found.differing) == (2, 1 if bug else 0), found.first


async def test_what_a_tenant_writes_into_its_own_streams_is_not_taken_for_stock(
    tenant: Tenant, database: TenantDatabase
) -> None:
    product = await stocked_product(tenant, "P", "9")
    level = await level_of(tenant)
    forged = {"product_id": product["id"], "location_id": level["location_id"]}
    forged |= {"version": 3, "on_hand": "5", "reserved": "0"}
    for levels in (5, "all", [forged]):
        body = {"stream_type": "x-own", "stream_id": str(uuid.uuid4()), "expected_version": 0, "type": "x-own.made"}
        await tenant.post("/v1/events", {**body, "data": {"levels": levels}}, 201)
    found = await verify_events(database, of(tenant))
    assert (found.checked, found.differing) == (1, 0), found.first
    assert (await tenant.get(f"/v1/streams/{level['id']}/state"))["agrees"] is True


# Its commits: begun, found and ended, for events and then for read models.
@pytest.mark.parametrize(("commit", "when"), [(1, "after"), (2, "before"), (2, "after"), (3, "after")])
async def test_a_nightly_verification_whose_worker_was_killed_is_one_row_a_kind(
    commit: int, when: str, processes: Processes, clockwork: Clockwork, enqueue: Enqueue, tenant: Tenant,
    tables: Tables,
) -> None:  # fmt: skip
    await sold(tenant)
    await enqueue(of(tenant), "event_verification", queue="low")
    job = await processes.doomed(tables, tenant.id, "event_verification", commit=commit, when=when)
    await clockwork.runner.run(uuid.UUID(tenant.id), job)
    assert tables.job(job)["state"] == "done", tables.job(job)
    kept = tables.rows(
        "SELECT kind, state, version FROM event_verifications WHERE tenant_id = %(id)s ORDER BY kind", id=tenant.id
    )
    assert [tuple(one.values()) for one in kept] == [("events", "agrees", 2), ("projections", "agrees", 2)]
    told = tables.rows(
        "SELECT type FROM events WHERE tenant_id = %(id)s AND aggregate_type = 'verification'", id=tenant.id
    )
    assert sorted(one["type"] for one in told) == [*["verification.finished"] * 2, *["verification.started"] * 2]


async def measured(platform: PlatformDatabase) -> float:
    await Gauges(platform).measure()
    return float(event_verifications_differing.at("events")._value.get())


async def test_a_difference_is_told_to_the_tenant_and_to_whoever_runs_the_service_until_it_is_mended(
    platform: PlatformDatabase, clockwork: Clockwork, tenant: Tenant, tables: Tables
) -> None:
    await stocked_product(tenant, "P", "9")
    level, before = await level_of(tenant), await measured(platform)

    async def verified() -> Any:
        begun = await tenant.post("/v1/verifications", {"kind": "events"}, 202)
        await clockwork.work(tenant)
        return begun["id"]

    await verified()
    assert await measured(platform) == before
    assert (await tenant.get("/v1/notices"))["data"] == []
    tables.rows("UPDATE stock_levels SET on_hand = 7 WHERE tenant_id = %(id)s", id=tenant.id)
    found = await verified()
    [notice] = (await tenant.get("/v1/notices", state="open"))["data"]
    assert (notice["kind"], notice["subject_id"]) == ("verification_differs", found)
    assert notice["title"] == "Orders and stock levels beside their events: 1 of 1 differ"
    assert notice["data"] == {
        "kind": "events", "aggregate_type": "stock_level", "aggregate_id": level["id"], "field": "on_hand",
        "stored": "7", "rebuilt": "9",
    }  # fmt: skip
    assert await measured(platform) == before + 1
    await verified()
    assert await measured(platform) == before + 1, "a tenant counts once"
    tables.rows("UPDATE stock_levels SET on_hand = 9 WHERE tenant_id = %(id)s", id=tenant.id)
    await verified()
    assert await measured(platform) == before


async def test_old_verifications_are_dropped(platform: PlatformDatabase, tenant: Tenant, tables: Tables) -> None:
    old, young = [(await tenant.post("/v1/verifications", {"kind": "events"}, 202))["id"] for _ in range(2)]
    tables.rows("UPDATE event_verifications SET created_at = now() - interval '91 days' WHERE id = %(id)s", id=old)
    [task] = [task for task in TASKS if task.name == "verification_clean_up"]
    assert task.tidy is not None
    assert await task.tidy(platform) >= 1
    left = tables.rows("SELECT id FROM event_verifications WHERE tenant_id = %(id)s", id=tenant.id)
    assert [str(one["id"]) for one in left] == [young]
