"""Tenants' schedules: one job a slot whoever looks how often, missed slots by policy, runs by hand."""

import asyncio
import json
import signal
import uuid
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from deploy.local.processes import Running
from fleet.instruments import REGISTRY
from fleet.leader.deposed import Deposed
from tenancy.caller import Caller
from tenancy.platform import PlatformDatabase
from tests.api.whole.conftest import Newcomer as NewTenant
from tests.workers.conftest import Newcomer, Processes, Tables, signal_group
from workers.lease import Lease
from workers.relay import anybody
from workers.tenant_schedules import BATCH, TenantSchedules, decide, fire
from workers.tenant_schedules_repository import DUE

pytestmark = pytest.mark.usefixtures("clean")


def last_slot() -> datetime:
    """Half an hour ago, so that it is late."""
    return datetime.now(UTC).replace(second=0, microsecond=0) - timedelta(minutes=30)


def add(tables: Tables, caller: Caller, missed: str = "run_once", hours: int = 1, **fields: Any) -> uuid.UUID:
    """An hourly schedule that has missed its last `hours` slots."""
    schedule_id, last = uuid.uuid4(), last_slot()
    first = last - timedelta(hours=hours - 1)
    tables.rows(
        "INSERT INTO schedules (tenant_id, id, name, kind, parameters, cron, time_zone, missed, next_at, settled_to)"
        " VALUES (%(tenant)s, %(id)s, %(name)s, %(kind)s, %(parameters)s::jsonb, %(cron)s, 'UTC', %(missed)s,"
        " %(first)s, %(settled)s)",
        tenant=caller.tenant.id, id=schedule_id, name=f"s-{schedule_id}", kind=fields.get("kind", "reorder"),
        parameters=json.dumps(fields.get("parameters", {})), cron=fields.get("cron", f"{last.minute} * * * *"),
        missed=missed, first=first, settled=first - timedelta(minutes=1),
    )  # fmt: skip
    return schedule_id


def jobs_of(tables: Tables, schedule_id: uuid.UUID) -> list[dict[str, Any]]:
    query = "SELECT * FROM jobs WHERE payload->>'schedule_id' = %(id)s ORDER BY payload->>'slot'"
    return tables.rows(query, id=str(schedule_id))


def runs_of(tables: Tables, schedule_id: uuid.UUID) -> list[tuple[datetime, str, int]]:
    rows = tables.rows("SELECT * FROM schedule_runs WHERE schedule_id = %(id)s ORDER BY slot", id=schedule_id)
    return [(row["slot"], row["trigger"], row["missed"]) for row in rows]


@pytest.mark.parametrize(
    ("policy", "done", "kept"),
    [
        ("skip", [], [("skipped", 3)]),
        ("run_once", [0], [("catch_up", 2)]),
        ("run_all", [2, 1, 0], [("catch_up", 0)] * 3),
    ],
)
async def test_missed_slots_are_treated_as_their_policy_says(
    platform: PlatformDatabase, tables: Tables, newcomer: Newcomer, policy: str, done: list[int],
    kept: list[tuple[str, int]],
) -> None:  # fmt: skip
    schedule = add(tables, newcomer(), policy, hours=3, parameters={"warehouse_id": None})
    for _ in range(3):
        await TenantSchedules(platform).tick()
    slots = [last_slot() - timedelta(hours=ago) for ago in done]
    assert [job["payload"]["slot"] for job in jobs_of(tables, schedule)] == [slot.isoformat() for slot in slots]
    assert [(trigger, missed) for _, trigger, missed in runs_of(tables, schedule)] == kept
    [row] = tables.rows("SELECT * FROM schedules WHERE id = %(id)s", id=schedule)
    assert row["next_at"] == last_slot() + timedelta(hours=1)
    for job in jobs_of(tables, schedule):
        assert (job["kind"], job["queue"], job["payload"]["warehouse_id"]) == ("reorder_proposals", "low", None)


async def test_run_all_is_bounded(platform: PlatformDatabase, tables: Tables, newcomer: Newcomer) -> None:
    schedule = add(tables, newcomer(), "run_all", hours=1000)
    await TenantSchedules(platform).tick()
    assert len(jobs_of(tables, schedule)) == 24


async def test_schedules_of_a_resting_tenant_rest(
    platform: PlatformDatabase, tables: Tables, newcomer: Newcomer
) -> None:
    schedule = add(tables, newcomer(state="suspended"))
    await TenantSchedules(platform).tick()
    assert runs_of(tables, schedule) == []


async def test_what_cannot_be_read_keeps_no_other_from_running(
    platform: PlatformDatabase, tables: Tables, newcomer: Newcomer
) -> None:
    """A whole pass full of each, all due before the one that is well: once they are put off it has its turn."""
    caller, looking = newcomer(), TenantSchedules(platform)
    for fields in ({"cron": "every now and then"}, {"kind": "of a later release"}, {"parameters": ["no object"]}):
        for _ in range(BATCH):
            add(tables, caller, hours=3, **fields)
    well = add(tables, caller)
    before = unreadable("unreadable"), unreadable("unknown_kind")
    passes = [await looking.tick() for _ in range(4)]
    # Two passes of rows that make no sense do nothing, so that the loop rests; the third one fires.
    assert passes == [False, False, True, False]
    assert len(jobs_of(tables, well)) == 1
    assert tables.value("SELECT count(*) FROM jobs WHERE tenant_id = %(id)s", id=caller.tenant.id) == 1
    after = unreadable("unreadable"), unreadable("unknown_kind")
    assert (after[0] - before[0], after[1] - before[1]) == (2 * BATCH, BATCH)  # told once each, not in every pass
    # They are where they were: nothing is settled, so that a program that can read them makes up for it.
    kept = (
        "SELECT count(*) FROM schedules WHERE tenant_id = %(id)s AND kind = 'reorder' AND id <> %(well)s"
        " AND next_at > now() + interval '50 minutes' AND settled_to < now() - interval '2 hours'"
    )
    assert tables.value(kept, id=caller.tenant.id, well=well) == 2 * BATCH
    tables.rows("DELETE FROM schedules WHERE tenant_id = %(id)s", id=caller.tenant.id)


def unreadable(reason: str) -> float:
    return REGISTRY.get_sample_value("tenant_schedules_unreadable_total", {"reason": reason}) or 0.0


async def test_a_next_slot_that_is_none_of_its_moments_is_set_right(
    platform: PlatformDatabase, tables: Tables, newcomer: Newcomer
) -> None:
    """As after a change of a zone's rules: nothing runs, and it is not found due again and again."""
    schedule = add(tables, newcomer())
    tables.rows(
        "UPDATE schedules SET next_at = now() - interval '1 minute', settled_to = %(last)s WHERE id = %(id)s",
        id=schedule, last=last_slot(),
    )  # fmt: skip
    assert not await TenantSchedules(platform).tick()
    [row] = tables.rows("SELECT * FROM schedules WHERE id = %(id)s", id=schedule)
    assert (row["next_at"], row["settled_to"]) == (last_slot() + timedelta(hours=1), last_slot())
    assert runs_of(tables, schedule) == []


async def woken_up(platform: PlatformDatabase, tables: Tables, newcomer: Newcomer, *, asked: bool) -> tuple[int, ...]:
    """Jobs, runs and moved schedules of a leader that was paused while another led. `asked`: for its term."""
    caller = newcomer()
    add(tables, caller)
    add(tables, caller, cron="every now and then")
    one, other = (Lease(platform, "coordinator", f"{name}:0", ttl=30) for name in ("one", "other"))
    assert await one.take()
    tables.rows("UPDATE leases SET expires_at = clock_timestamp() - interval '1 second'")
    assert await other.take()
    looking = TenantSchedules(platform, hold=one.hold if asked else anybody)
    if asked:
        with pytest.raises(Deposed):
            await looking.tick()
    else:
        await looking.tick()
    counted = ("FROM jobs WHERE true", "FROM schedule_runs WHERE true", "FROM schedules WHERE next_at > now()")
    return tuple(
        int(tables.value(f"SELECT count(*) {what} AND tenant_id = %(id)s", id=caller.tenant.id)) for what in counted
    )


async def test_a_deposed_leader_fires_no_schedule(
    platform: PlatformDatabase, tables: Tables, newcomer: Newcomer
) -> None:
    assert await woken_up(platform, tables, newcomer, asked=True) == (0, 0, 0)


async def test_without_asking_for_the_term_it_would(
    platform: PlatformDatabase, tables: Tables, newcomer: Newcomer
) -> None:
    """The planted bug of the test above."""
    assert await woken_up(platform, tables, newcomer, asked=False) == (1, 1, 2)


async def test_many_who_look_at_once_leave_one_job_a_slot(
    platform: PlatformDatabase, tables: Tables, newcomer: Newcomer
) -> None:
    caller = newcomer()
    schedules = [add(tables, caller, "run_all", hours=5) for _ in range(10)]
    looking = [TenantSchedules(platform) for _ in range(8)]
    await asyncio.gather(*(one.tick() for one in looking))
    assert [len(jobs_of(tables, one)) for one in schedules] == [5] * 10
    assert [len(runs_of(tables, one)) for one in schedules] == [5] * 10


async def test_what_was_read_before_somebody_changed_it_is_not_done(
    platform: PlatformDatabase, tables: Tables, newcomer: Newcomer
) -> None:
    """By another scheduler, or by its tenant who has just switched it off."""
    fired, off = add(tables, newcomer()), add(tables, newcomer())
    [due] = await platform.ask(DUE(kinds=["reorder"], at_most=10))
    found, _ = decide(due)
    stale = fire(found)
    tables.rows(
        "UPDATE schedules SET enabled = false, next_at = NULL, version = version + 1 WHERE id = %(id)s", id=off
    )
    await TenantSchedules(platform).tick()
    [rows] = await platform.ask(stale)
    assert rows == []
    assert [len(jobs_of(tables, one)) for one in (fired, off)] == [1, 0]


async def test_a_slot_is_not_done_again_when_the_schedule_is_set_back(
    platform: PlatformDatabase, tables: Tables, newcomer: Newcomer
) -> None:
    """By whatever: a restored row, a clock that was wrong. The key of the slot decides."""
    schedule = add(tables, newcomer())
    for _ in range(3):
        await TenantSchedules(platform).tick()
        tables.rows(
            "UPDATE schedules SET next_at = %(slot)s, settled_to = %(before)s WHERE id = %(id)s",
            id=schedule, slot=last_slot(), before=last_slot() - timedelta(minutes=1),
        )  # fmt: skip
    assert len(jobs_of(tables, schedule)) == 1


async def test_without_the_key_of_the_slot_it_is_done_again(
    platform: PlatformDatabase, tables: Tables, newcomer: Newcomer
) -> None:
    """The planted bug of the test above."""
    tables.rows("ALTER TABLE schedule_runs DROP CONSTRAINT schedule_runs_slot_key")
    tables.rows("DROP INDEX jobs_slot_key")
    try:
        with pytest.raises(AssertionError):
            await test_a_slot_is_not_done_again_when_the_schedule_is_set_back(platform, tables, newcomer)
    finally:
        tables.rows("TRUNCATE schedule_runs, jobs, job_rows, operation_log")
        key = "ALTER TABLE schedule_runs ADD CONSTRAINT schedule_runs_slot_key UNIQUE (tenant_id, schedule_id, slot)"
        tables.rows(key)
        tables.rows("CREATE UNIQUE INDEX jobs_slot_key ON jobs (tenant_id, kind, slot) WHERE slot IS NOT NULL")


async def frozen_scheduler(
    processes: Processes, tables: Tables, newcomer: Newcomer, folder: Path, number: int, **environment: str
) -> Counter[tuple[str, str]]:
    """How often each slot was done by several schedulers, one of which froze between reading and writing."""
    freeze = folder / "freeze"
    freeze.touch()
    begun = [scheduler(processes, freeze, **environment) for _ in range(number)]
    async with asyncio.timeout(30):
        while len(list(folder.glob("ready-*"))) < number:  # noqa: ASYNC110, ASYNC240  # they are other processes
            await asyncio.sleep(0.05)
    caller = newcomer()
    for _ in range(5):
        add(tables, caller, "run_all", hours=4)
    asked = "SELECT count(*) >= 20 FROM jobs WHERE tenant_id = %(id)s"
    await tables.until(asked, id=caller.tenant.id)
    [frozen] = [one for one in begun if _stopped(one)]
    for other in begun:
        if other is not frozen:
            other.ask_to_stop()
            assert await asyncio.to_thread(other.process.wait, 10) == 0
    signal_group(frozen, signal.SIGCONT)
    later = add(tables, caller)  # what it does next, so that it has done by then what it had in mind
    await tables.until("SELECT next_at > now() FROM schedules WHERE id = %(id)s", id=later)
    rows = tables.rows("SELECT payload FROM jobs WHERE tenant_id = %(id)s", id=caller.tenant.id)
    return Counter((row["payload"]["schedule_id"], row["payload"]["slot"]) for row in rows)


def scheduler(processes: Processes, freeze: Path, **environment: str) -> Running:
    return processes.coordinator({"PROBE_FREEZE": str(freeze)} | environment, module="tests.workers.probe_scheduler")


def _stopped(running: Running) -> bool:
    return Path(f"/proc/{running.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


async def test_of_three_schedulers_one_that_wakes_up_late_does_no_slot_again(
    processes: Processes, tables: Tables, newcomer: Newcomer, tmp_path: Path
) -> None:
    done = await frozen_scheduler(processes, tables, newcomer, tmp_path, 3)
    assert len(done) == 21
    assert set(done.values()) == {1}


async def test_without_its_guards_the_one_that_wakes_up_late_does_slots_twice(
    processes: Processes, tables: Tables, newcomer: Newcomer, tmp_path: Path
) -> None:
    """The planted bug of the test above."""
    done = await frozen_scheduler(processes, tables, newcomer, tmp_path, 2, NAIVE="1")
    assert max(done.values()) > 1


async def test_a_tenants_schedule_from_its_making_to_its_result(
    new_tenant: NewTenant, processes: Processes, tables: Tables
) -> None:
    """Through the API, a coordinator and a worker, by the clock and by hand."""
    processes.coordinator()
    processes.real_worker("low")
    tenant = await new_tenant(time_zone="Asia/Kathmandu")
    made = await tenant.make("schedules", name="Reminders", kind="overdue_reminders", cron="0 6 * * *")
    assert (made["time_zone"], made["missed"], len(made["next_runs"])) == ("Asia/Kathmandu", "run_once", 5)
    assert {moment[11:16] for moment in made["next_runs"]} == {"00:15"}
    slot = datetime.now(UTC).replace(second=0, microsecond=0) - timedelta(hours=1)
    tables.rows(
        "UPDATE schedules SET cron = %(cron)s, time_zone = 'UTC', next_at = %(slot)s, settled_to = %(before)s"
        " WHERE id = %(id)s",
        id=made["id"], cron=f"{slot.minute} {slot.hour} * * *", slot=slot, before=slot - timedelta(hours=1),
    )  # fmt: skip
    done = "SELECT count(*) = %(n)s FROM jobs WHERE payload->>'schedule_id' = %(id)s AND state = 'done'"
    await tables.until(done, n=1, id=made["id"])
    key = uuid.uuid4().hex
    path = f"/v1/schedules/{made['id']}/run"
    first, again = await tenant.post(path, key=key), await tenant.post(path, key=key)
    assert first == again
    await tables.until(done, n=2, id=made["id"])
    runs = (await tenant.get(f"/v1/schedules/{made['id']}/runs"))["data"]
    assert [(run["trigger"], run["state"], run["result"]) for run in runs] == [
        ("manual", "done", {"noted": 0}),
        ("catch_up", "done", {"noted": 0}),
    ]
