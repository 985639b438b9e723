"""Each database has a lead of its own: handed over, and its history read, without the others noticing."""

import uuid
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest

from db.pool import Pool
from tenancy.platform import PlatformDatabase
from tests.instances.conftest import Fleet
from tests.services import Services
from tests.two_phase.conftest import Tables
from workers.lease import Lease
from workers.schedule import Schedule, Task


@pytest.fixture
def second(services: Services) -> Iterator[Tables]:
    found = Tables(services.second_superuser_url)
    found.rows("TRUNCATE leases, lease_terms")
    yield found
    found.close()


@pytest.fixture
async def platform(services: Services) -> AsyncIterator[PlatformDatabase]:
    pool = Pool(services.second_platform_url, name="platform", size=2, prepared=services.prepared_statements)
    await pool.open()
    yield PlatformDatabase(pool)
    await pool.close()


@pytest.fixture
async def fleet(services: Services) -> AsyncIterator[Fleet]:
    found = Fleet(services.redis_sessions_url)
    yield found
    await found.end()


async def test_the_lead_of_a_further_database_is_handed_over_there_and_nowhere_else(
    operator: httpx.AsyncClient, platform: PlatformDatabase, second: Tables, fleet: Fleet
) -> None:
    able = await fleet.join("coordinator")
    one, other = (
        Lease(platform, "coordinator", "one:0", ttl=30),
        Lease(platform, "coordinator", able.about.id, ttl=30),
    )
    assert await one.take()
    leads = {lead["database"]: lead for lead in (await operator.get("/v1/leader")).json()["data"]}
    assert (leads["second"]["holder"], leads["second"]["held"]) == ("one:0", True)
    key = {"Idempotency-Key": uuid.uuid4().hex}
    body: dict[str, Any] = {"database": "second", "to": able.about.name, "reason": "Its host is to be mended"}

    reply = await operator.post("/v1/leader/transfer", json=body, headers=key)
    assert reply.status_code == 200, reply.text
    assert (reply.json()["holder"], reply.json()["offered_to"]) == ("one:0", able.about.id)
    assert not await one.renew()
    assert not await one.take()
    assert await other.take()
    # Repeated under its key it is told again, and ends no second term.
    assert (await operator.post("/v1/leader/transfer", json=body, headers=key)).json() == reply.json()
    assert await other.renew()

    history = "/v1/leader/history"
    page = (await operator.get(history, params={"database": "second", "limit": "1"})).json()
    assert [(term["holder"], term["ended"]) for term in page["data"]] == [(able.about.id, None)]
    following = {"database": "second", "cursor": page["next_cursor"]}
    [term] = (await operator.get(history, params=following)).json()["data"]
    assert (term["ended"], term["ended_by"], term["reason"]) == ("transferred", "operator", body["reason"])
    of_main = (await operator.get(history)).json()["data"]
    assert term["id"] not in {one["id"] for one in of_main}
    [entry, *_] = (await operator.get("/v1/audit-entries", params={"action": "leader.transfer"})).json()["data"]
    assert (entry["after"]["database"], entry["after"]["reason"]) == ("second", body["reason"])

    stale = await operator.post("/v1/leader/transfer", json={**body, "term": 1})
    assert stale.json()["code"] == "other-leader-term"
    for refused in (
        await operator.post("/v1/leader/transfer", json={**body, "database": "third"}),
        await operator.get(history, params={"database": "third"}),
    ):
        assert (refused.status_code, refused.json()["known"]) == (422, ["main", "second"])


async def test_a_task_of_a_further_database_is_changed_and_run_there_once_for_each_key(
    operator: httpx.AsyncClient, platform: PlatformDatabase, second: Tables
) -> None:
    lease = Lease(platform, "coordinator", "one:0", ttl=30)
    assert await lease.take()
    tasks = (Task("probe.placed", cron="0 0 1 1 *"),)
    second.rows("DELETE FROM system_schedules WHERE job = 'probe.placed'")
    await Schedule(platform, lease, tasks).register()
    path, there = "/v1/system-schedules/probe.placed", {"database": "second"}
    change, headers = {"enabled": False, "reason": "Its disk is full"}, {"Idempotency-Key": uuid.uuid4().hex}
    changed = [
        await operator.patch(path, params=there, json=change, headers={**headers, "If-Match": '"1"'})
        for _ in range(2)
    ]
    assert [(one.status_code, one.json()["enabled"]) for one in changed] == [(200, False)] * 2, changed[1].text
    headers = {"Idempotency-Key": uuid.uuid4().hex}
    first = await operator.post(f"{path}/run", params=there, headers=headers)
    await Schedule(platform, lease, tasks).tick()
    again = await operator.post(f"{path}/run", params=there, headers=headers)
    assert (again.status_code, again.json()) == (202, first.json()), again.text
    shown = (await operator.get(path, params=there)).json()
    assert (shown["version"], shown["enabled"], shown["requested_at"]) == (2, False, None)
    for action in ("change", "run"):
        trail = {"action": f"system_schedule.{action}", "limit": "1"}
        [entry] = (await operator.get("/v1/audit-entries", params=trail)).json()["data"]
        assert (entry["after"]["database"], entry["after"]["task"]) == ("second", "probe.placed")
    assert (await operator.get(path)).status_code == 404  # of the main database there is none
    second.rows("DELETE FROM system_schedules WHERE job = 'probe.placed'")
