"""Tasks with a cron expression: missed slots by policy, runs by hand, what the operator changes."""

import asyncio
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from tenancy.platform import PlatformDatabase, PlatformSession
from tests.workers.conftest import Newcomer, Tables
from workers.lease import Lease
from workers.schedule import Schedule, Task, dropping, each_tenant
from workers.schedule_repository import DROP_KEYS, SlotTaken

pytestmark = pytest.mark.usefixtures("clean")


@pytest.fixture
async def lease(platform: PlatformDatabase) -> Lease:
    lease = Lease(platform, "coordinator", "me", ttl=60)
    assert await lease.take()
    return lease


class Effects:
    """A task whose effect can be counted: the slots it was done for."""

    def __init__(self) -> None:
        self.slots: list[datetime] = []

    def task(self, name: str, cron: str | None, **fields: Any) -> Task:
        async def fill(session: PlatformSession, taken: SlotTaken) -> int:
            self.slots.append(taken.slot)
            return 1

        return Task(name, 3600.0, fill=fill, cron=cron, **fields)


def settle(tables: Tables, name: str, to: datetime) -> None:
    tables.rows("UPDATE system_schedules SET settled_to = %(to)s WHERE job = %(name)s", to=to, name=name)


def history(tables: Tables, name: str) -> list[tuple[datetime, str, int]]:
    rows = tables.rows("SELECT * FROM cron_runs WHERE job = %(name)s ORDER BY slot", name=name)
    return [(row["slot"], row["trigger"], row["missed"]) for row in rows]


async def ticks(schedule: Schedule, times: int) -> None:
    for _ in range(times):
        await schedule.tick()


#: Every hour, at a minute that was some time ago: half an hour off the present one.
def half_hourly() -> tuple[str, datetime]:
    late = datetime.now(UTC).replace(second=0, microsecond=0) - timedelta(minutes=30)
    return f"{late.minute} * * * *", late


async def test_a_new_task_begins_with_its_next_moment(
    platform: PlatformDatabase, lease: Lease, tables: Tables
) -> None:
    effects = Effects()
    await Schedule(platform, lease, (effects.task("probe.new", "* * * * *", zone="Europe/Berlin"),)).tick()
    assert effects.slots == []
    settle(tables, "probe.new", datetime.now(UTC) - timedelta(seconds=61))
    await Schedule(platform, lease, (effects.task("probe.new", "* * * * *"),)).tick()
    assert len(effects.slots) == 1
    [(slot, trigger, missed)] = history(tables, "probe.new")
    assert (slot, trigger, missed) == (effects.slots[0], "clock", 0)
    assert slot.second == 0


@pytest.mark.parametrize(
    ("policy", "done", "kept"),
    [
        ("skip", [], [("skipped", 3)]),
        ("run_once", [0], [("catch_up", 2)]),
        ("run_all", [2, 1, 0], [("catch_up", 0)] * 3),
    ],
)
async def test_missed_slots_are_treated_as_their_policy_says(
    platform: PlatformDatabase,
    lease: Lease,
    tables: Tables,
    policy: Any,
    done: list[int],
    kept: list[tuple[str, int]],
) -> None:
    effects, (cron, last) = Effects(), half_hourly()
    schedule = Schedule(platform, lease, (effects.task("probe.missed", cron, missed=policy),))
    await schedule.register()
    settle(tables, "probe.missed", last - timedelta(hours=2, minutes=30))
    await ticks(schedule, 4)
    assert effects.slots == [last - timedelta(hours=ago) for ago in done]
    assert [(trigger, missed) for _, trigger, missed in history(tables, "probe.missed")] == kept
    await Schedule(platform, lease, (effects.task("probe.missed", cron, missed=policy),)).tick()
    assert len(effects.slots) == len(done)  # whoever looks again


async def test_eight_leaders_of_one_term_do_every_missed_slot_once(
    platform: PlatformDatabase, lease: Lease, tables: Tables
) -> None:
    effects, (cron, last) = Effects(), half_hourly()
    task = effects.task("probe.many", cron, missed="run_all")
    schedules = [Schedule(platform, lease, (task,)) for _ in range(8)]
    for schedule in schedules:
        await schedule.register()
    settle(tables, "probe.many", last - timedelta(hours=4, minutes=30))
    await asyncio.gather(*(ticks(schedule, 8) for schedule in schedules))
    assert sorted(set(effects.slots)) == [last - timedelta(hours=ago) for ago in (4, 3, 2, 1, 0)]
    assert [slot for slot, _, _ in history(tables, "probe.many")] == sorted(set(effects.slots))
    assert len(effects.slots) == 5


async def test_a_deposed_leader_settles_nothing(platform: PlatformDatabase, lease: Lease, tables: Tables) -> None:
    effects, (cron, last) = Effects(), half_hourly()
    schedule = Schedule(platform, lease, (effects.task("probe.deposed", cron),))
    await schedule.register()
    settle(tables, "probe.deposed", last - timedelta(minutes=30))
    tables.rows("UPDATE leases SET expires_at = now() - interval '1 second'")
    other = Lease(platform, "coordinator", "another", ttl=60)
    assert await other.take()
    await schedule.tick()
    assert effects.slots == []
    await Schedule(platform, other, (effects.task("probe.deposed", cron),)).tick()
    assert effects.slots == [last]  # the slot was still there for the one who leads


async def test_a_run_by_hand_happens_once_however_often_it_is_asked_for(
    platform: PlatformDatabase, lease: Lease, tables: Tables, operator: httpx.AsyncClient
) -> None:
    effects = Effects()
    task = effects.task("probe.manual", "0 0 1 1 *")
    await Schedule(platform, lease, (task,)).register()
    asked = await asyncio.gather(*(operator.post("/v1/system-schedules/probe.manual/run") for _ in range(5)))
    assert {reply.status_code for reply in asked} == {202}
    [moment] = {reply.json()["requested_at"] for reply in asked}
    leaders = [Schedule(platform, lease, (task,)) for _ in range(4)]
    await asyncio.gather(*(ticks(leader, 3) for leader in leaders))
    assert effects.slots == [datetime.fromisoformat(moment)]
    runs = (await operator.get("/v1/system-schedules/probe.manual/runs")).json()["data"]
    assert [(run["trigger"], run["affected"], run["holder"]) for run in runs] == [("manual", 1, "me")]
    shown = (await operator.get("/v1/system-schedules/probe.manual")).json()
    assert shown["requested_at"] is None
    # Asked anew it runs anew.
    await operator.post("/v1/system-schedules/probe.manual/run")
    await Schedule(platform, lease, (task,)).tick()
    assert len(effects.slots) == 2


async def test_a_repeated_request_has_one_effect_and_its_first_answer(
    platform: PlatformDatabase, lease: Lease, tables: Tables, operator: httpx.AsyncClient
) -> None:
    """Also when the task has been run or changed in between, as after an answer that was lost on its way."""
    effects = Effects()
    task, path = effects.task("probe.repeated", "0 0 1 1 *"), "/v1/system-schedules/probe.repeated"
    await Schedule(platform, lease, (task,)).register()
    run = {"Idempotency-Key": uuid.uuid4().hex}
    first = await operator.post(f"{path}/run", headers=run)
    await Schedule(platform, lease, (task,)).tick()
    again = await operator.post(f"{path}/run", headers=run)
    await Schedule(platform, lease, (task,)).tick()
    assert (first.status_code, again.status_code, again.json()) == (202, 202, first.json()), again.text
    assert len(effects.slots) == 1
    headers = {"Idempotency-Key": uuid.uuid4().hex, "If-Match": '"1"'}
    change = {"cron": "0 0 2 1 *", "reason": "The day after"}
    changed = [await operator.patch(path, json=change, headers=headers) for _ in range(2)]
    assert [(one.status_code, one.headers["etag"]) for one in changed] == [(200, '"2"')] * 2, changed[1].text
    assert changed[1].headers["idempotency-replayed"] == "true"
    other = await operator.patch(path, json={**change, "cron": "0 0 3 1 *"}, headers=headers)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency-key-reused")
    assert (await operator.get(path)).json()["version"] == 2
    for action, expect in (("change", 1), ("run", 1)):
        kept = (
            "SELECT count(*) FROM audit_entries WHERE action = %(action)s AND after->>'task' = 'probe.repeated'"
            " AND after->>'reason' IS NOT DISTINCT FROM %(reason)s AND at > now() - interval '1 minute'"
        )
        reason = change["reason"] if action == "change" else None
        assert tables.value(kept, action=f"system_schedule.{action}", reason=reason) == expect


async def test_a_task_for_every_tenant_runs_by_hand_too(
    platform: PlatformDatabase, lease: Lease, tables: Tables, newcomer: Newcomer, operator: httpx.AsyncClient
) -> None:
    caller = newcomer("Asia/Kathmandu")
    task = each_tenant("probe.daily", "probe.quick", "0 0 1 1 *")
    await Schedule(platform, lease, (task,)).register()
    await operator.post("/v1/system-schedules/probe.daily/run", json={"reason": "It was down last night"})
    [entry, *_] = (await operator.get("/v1/audit-entries", params={"action": "system_schedule.run"})).json()["data"]
    assert (entry["after"]["task"], entry["after"]["reason"]) == ("probe.daily", "It was down last night")
    for _ in range(2):
        await Schedule(platform, lease, (task,)).tick()
    [job] = tables.rows("SELECT * FROM jobs WHERE tenant_id = %(id)s", id=caller.tenant.id)
    assert job["slot"].startswith("requested ")


async def test_a_task_by_interval_says_when_it_runs_next(
    platform: PlatformDatabase, lease: Lease, operator: httpx.AsyncClient
) -> None:
    task = Effects().task("probe.often", None)
    await Schedule(platform, lease, (task,)).register()
    before = datetime.now(UTC)
    shown = (await operator.get("/v1/system-schedules/probe.often")).json()
    following = datetime.fromisoformat(shown["next_at"])
    assert following.timestamp() % 3600 == 0
    assert before < following <= datetime.now(UTC) + timedelta(hours=1)


async def test_the_operator_changes_when_a_task_runs_and_the_leader_follows(
    platform: PlatformDatabase, lease: Lease, tables: Tables, operator: httpx.AsyncClient
) -> None:
    effects = Effects()
    task = effects.task("probe.changed", "0 0 1 1 *", zone="Europe/Berlin")
    await Schedule(platform, lease, (task,)).register()
    shown = await operator.get("/v1/system-schedules/probe.changed")
    before = shown.json()
    assert (before["cron"], before["time_zone"], before["changed"]) == ("0 0 1 1 *", "Europe/Berlin", False)
    change = {"cron": "*/1 * * * *", "time_zone": "UTC", "reason": "month end"}
    reply = await operator.patch("/v1/system-schedules/probe.changed", json=change, headers={"If-Match": '"1"'})
    assert reply.status_code == 200, reply.text
    assert (reply.json()["cron"], reply.json()["changed"], reply.headers["etag"]) == ("*/1 * * * *", True, '"2"')
    late = await operator.patch("/v1/system-schedules/probe.changed", json=change, headers={"If-Match": '"1"'})
    assert late.status_code == 412
    # Who changed what and why; what was refused leaves nothing.
    trail = {"action": "system_schedule.change", "limit": "1"}
    [entry] = (await operator.get("/v1/audit-entries", params=trail)).json()["data"]
    assert (entry["principal_kind"], entry["after"]["task"]) == ("operator", "probe.changed")
    assert (entry["before"]["cron"], entry["after"]["cron"], entry["after"]["reason"]) == (
        None, "*/1 * * * *", "month end"
    )  # fmt: skip
    assert (await operator.get("/v1/audit-entries", params={"target_id": entry["target_id"]})).json()["data"] == [
        entry
    ]
    settle(tables, "probe.changed", datetime.now(UTC) - timedelta(seconds=61))
    await Schedule(platform, lease, (task,)).tick()
    assert len(effects.slots) == 1
    # Switched off nothing runs; by hand it does.
    off = {"enabled": False, "cron": None, "reason": "not now"}
    await operator.patch("/v1/system-schedules/probe.changed", json=off, headers={"If-Match": '"2"'})
    settle(tables, "probe.changed", datetime.now(UTC) - timedelta(days=800))
    await Schedule(platform, lease, (task,)).tick()
    assert len(effects.slots) == 1


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"cron": "61 * * * *"}, "/cron"), ({"time_zone": "Mars/Olympus"}, "/time_zone"), ({}, "/reason"),
        ({"missed": "perhaps"}, "/missed"), ({"every": 1}, "/every"), ({"cron": "* * * * * *"}, "/cron"),
    ],
)  # fmt: skip
async def test_what_a_task_cannot_be_changed_to_is_refused(
    platform: PlatformDatabase, lease: Lease, operator: httpx.AsyncClient, change: dict[str, Any], pointer: str
) -> None:
    await Schedule(platform, lease, (Effects().task("probe.refused", "0 0 1 1 *"),)).register()
    body = change if not change else {**change, "reason": "trying"}
    reply = await operator.patch("/v1/system-schedules/probe.refused", json=body, headers={"If-Match": '"1"'})
    assert (reply.status_code, reply.json()["pointer"]) == (422, pointer)


async def test_a_clean_up_by_hand_leaves_its_count(
    platform: PlatformDatabase, lease: Lease, tables: Tables, operator: httpx.AsyncClient
) -> None:
    task = Task("probe.tidy", 3600.0, tidy=dropping(DROP_KEYS, timedelta(hours=72)))
    await Schedule(platform, lease, (task,)).register()
    await operator.post("/v1/system-schedules/probe.tidy/run")
    await Schedule(platform, lease, (task,)).tick()
    runs = (await operator.get("/v1/system-schedules/probe.tidy/runs", params={"limit": "1"})).json()
    assert runs["has_more"] is True
    cursor = {"limit": "1", "cursor": runs["next_cursor"]}
    older = (await operator.get("/v1/system-schedules/probe.tidy/runs", params=cursor)).json()
    assert {run["trigger"] for run in runs["data"] + older["data"]} == {"manual", "clock"}


async def test_a_tenant_sees_nothing_of_the_systems_tasks(gate: Any, new_tenant: Any) -> None:
    tenant = await new_tenant()
    for method, path in (("GET", ""), ("GET", "/x"), ("GET", "/x/runs"), ("POST", "/x/run")):
        reply = await tenant.client.request(method, f"/v1/system-schedules{path}")
        assert (reply.status_code, reply.json()["code"]) == (403, "operator-only"), path
