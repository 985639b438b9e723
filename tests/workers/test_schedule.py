"""What the clock asks for: once a slot, once a tenant's day, and only where something is due."""

import asyncio
import contextlib
import itertools
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from fleet.leader.deposed import Deposed
from tenancy.platform import PlatformDatabase, PlatformSession
from tests.workers.conftest import Newcomer, Tables
from workers.lease import Lease
from workers.relay import Hold, anybody
from workers.schedule import TASKS, Schedule, Task, dropping, each_tenant
from workers.schedule_repository import DROP_JOBS, DROP_KEYS
from workers.tenant_tasks import due_slots

pytestmark = pytest.mark.usefixtures("clean")

EARLY = each_tenant("probe.daily", "probe.quick", "0 0 * * *")


@pytest.fixture
async def lease(platform: PlatformDatabase) -> Lease:
    lease = Lease(platform, "coordinator", "me", ttl=30)
    assert await lease.take()
    return lease


async def run_slot(platform: PlatformDatabase, lease: Lease, tables: Tables, *tasks: Task) -> None:
    """As if the next slot had come, a day after the last look."""
    tables.rows("DELETE FROM cron_runs")
    schedule = Schedule(platform, lease, tasks)
    await schedule.register()
    tables.rows("UPDATE system_schedules SET settled_to = now() - interval '1 day', requested_at = NULL")
    await schedule.tick()


def asked_for(tables: Tables, caller: Any) -> list[dict[str, Any]]:
    return tables.rows("SELECT * FROM jobs WHERE tenant_id = %(id)s ORDER BY created_at", id=caller.tenant.id)


async def test_a_daily_job_is_asked_for_once_a_day_whoever_looks_how_often(
    platform: PlatformDatabase, lease: Lease, tables: Tables, newcomer: Newcomer
) -> None:
    caller, resting = newcomer(), newcomer(state="suspended")
    for _ in range(3):
        await run_slot(platform, lease, tables, EARLY)
    [job] = asked_for(tables, caller)
    midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    assert (job["kind"], job["queue"], job["slot"]) == ("probe.quick", "low", midnight.isoformat())
    assert asked_for(tables, resting) == []
    # Done or not: the day has had its job. Another day gets another.
    tables.rows("UPDATE jobs SET state = 'done', finished_at = now()")
    await run_slot(platform, lease, tables, EARLY)
    assert len(asked_for(tables, caller)) == 1
    tables.rows("UPDATE jobs SET slot = '2020-01-01'")
    await run_slot(platform, lease, tables, EARLY)
    assert len(asked_for(tables, caller)) == 2


async def test_a_slot_whose_work_fails_is_not_taken(
    platform: PlatformDatabase, lease: Lease, tables: Tables, newcomer: Newcomer
) -> None:
    async def broken(session: Any, slot: Any) -> int:
        raise LookupError("nothing there")

    schedule = Schedule(platform, lease, (Task("probe.broken", 3600.0, fill=broken), EARLY))
    await schedule.register()
    tables.rows("UPDATE system_schedules SET settled_to = now() - interval '1 day'")
    caller = newcomer()
    with pytest.raises(LookupError):
        await schedule.tick()
    assert tables.value("SELECT count(*) FROM cron_runs WHERE job = 'probe.broken'") == 0
    assert len(asked_for(tables, caller)) == 1  # the others have had their turn


async def test_a_deposed_leader_takes_no_slot(
    platform: PlatformDatabase, lease: Lease, tables: Tables, newcomer: Newcomer
) -> None:
    caller, schedule = newcomer(), Schedule(platform, lease, (EARLY,))
    await schedule.register()
    tables.rows("UPDATE system_schedules SET settled_to = now() - interval '1 day'")
    await depose(platform, tables)
    assert lease.held  # as far as it knows
    await schedule.tick()
    assert tables.value("SELECT count(*) FROM cron_runs") == 0
    assert asked_for(tables, caller) == []
    # One that was paused before it had begun declares nothing either: it may be of an earlier release.
    tables.rows("UPDATE system_schedules SET declared_cron = '1 2 3 * *'")
    with pytest.raises(Deposed):
        await Schedule(platform, lease, (EARLY,)).register()
    assert tables.value("SELECT declared_cron FROM system_schedules") == "1 2 3 * *"


async def depose(platform: PlatformDatabase, tables: Tables) -> None:
    tables.rows("UPDATE leases SET expires_at = clock_timestamp() - interval '1 second'")
    assert await Lease(platform, "coordinator", "another", ttl=30).take()


def old_keys(tables: Tables, caller: Any, number: int) -> None:
    tables.rows(
        "INSERT INTO idempotency_keys (tenant_id, principal_id, key, fingerprint, status, body, headers, created_at)"
        " SELECT %(id)s, %(id)s, 'old-key-' || n, '', 200, '', '{}', now() - interval '100 hours'"
        " FROM generate_series(1, %(number)s) AS n",
        id=caller.tenant.id, number=number,
    )  # fmt: skip


async def clean_up(
    platform: PlatformDatabase, lease: Lease, tables: Tables, caller: Any, *, asking: bool
) -> tuple[int, bool]:
    """How much a clean-up leaves of 2,500 whose leader freezes in its second batch and wakes up when another leads,
    and whether its run is noted as over. Not `asking`: it does not ask for the term.
    """
    old_keys(tables, caller, 2_500)
    tidy, batches = dropping(DROP_KEYS, timedelta(hours=72)), itertools.count()

    async def frozen(platform: PlatformDatabase, hold: Hold) -> int:
        async def woken(session: PlatformSession) -> None:
            if next(batches) == 1:
                await depose(platform, tables)
            if asking:
                await hold(session)

        return await tidy(platform, woken)

    with contextlib.suppress(Deposed):
        await Schedule(platform, lease, (Task("probe.frozen", 3600.0, tidy=frozen),)).tick()
    left = tables.value("SELECT count(*) FROM idempotency_keys WHERE tenant_id = %(id)s", id=caller.tenant.id)
    tables.rows("DELETE FROM idempotency_keys WHERE tenant_id = %(id)s", id=caller.tenant.id)
    noted = tables.value("SELECT finished_at IS NOT NULL FROM cron_runs WHERE job = 'probe.frozen'")
    return int(left), bool(noted)


async def test_a_clean_up_ends_with_the_lead(
    platform: PlatformDatabase, lease: Lease, tables: Tables, newcomer: Newcomer
) -> None:
    assert await clean_up(platform, lease, tables, newcomer(), asking=True) == (1_500, False)


async def test_a_clean_up_that_does_not_ask_for_the_term_goes_on(
    platform: PlatformDatabase, lease: Lease, tables: Tables, newcomer: Newcomer
) -> None:
    """The planted bug of the test above. The note asks for itself."""
    assert await clean_up(platform, lease, tables, newcomer(), asking=False) == (0, False)


async def test_a_reservation_that_is_due_makes_one_job_for_its_tenant(
    platform: PlatformDatabase, lease: Lease, tables: Tables, newcomer: Newcomer
) -> None:
    due, not_due, done = newcomer(), newcomer(), newcomer()
    tables.rows("SET session_replication_role = replica")  # rows without the products they would need
    for caller, expires, state in ((due, -60, "active"), (not_due, 60, "active"), (done, -60, "expired")):
        for _ in range(3):
            tables.rows(
                "INSERT INTO reservations (tenant_id, id, product_id, location_id, state, quantity, open_quantity,"
                " expires_at, source_type, closed_at) VALUES (%(id)s, gen_random_uuid(), gen_random_uuid(),"
                " gen_random_uuid(), %(state)s, 1, %(open)s, now() + %(expires)s * interval '1 second', 'manual',"
                " %(closed)s)",
                id=caller.tenant.id, state=state, expires=expires, open=int(state == "active"),
                closed=None if state == "active" else datetime.now(UTC),
            )  # fmt: skip
    tables.rows("SET session_replication_role = origin")
    for _ in range(2):  # the second time the first one's job is still unfinished
        await run_slot(platform, lease, tables, TASKS[0])
    assert [job["kind"] for job in asked_for(tables, due)] == ["reservation_expiry"]
    assert asked_for(tables, not_due) == asked_for(tables, done) == []
    tables.rows("DELETE FROM reservations WHERE source_type = 'manual' AND reference = ''")


async def test_old_answers_and_finished_jobs_are_cleaned_up_and_nothing_else(
    platform: PlatformDatabase, tables: Tables, newcomer: Newcomer
) -> None:
    caller = newcomer()
    for number in range(4):
        tables.rows(
            "INSERT INTO idempotency_keys"
            " (tenant_id, principal_id, key, fingerprint, status, body, headers, created_at)"
            " VALUES (%(id)s, %(id)s, %(key)s, '', 200, '', '{}', now() - %(age)s * interval '1 hour')",
            id=caller.tenant.id, key=f"key-number-{number:05}", age=70 + number,
        )  # fmt: skip
    assert await dropping(DROP_KEYS, timedelta(hours=72))(platform, anybody) == 2
    kept = tables.rows("SELECT key FROM idempotency_keys WHERE tenant_id = %(id)s", id=caller.tenant.id)
    assert sorted(row["key"] for row in kept) == ["key-number-00000", "key-number-00001"]
    for state in ("done", "discarded", "failed"):
        for days in (1, 40):
            tables.rows(
                "INSERT INTO jobs (tenant_id, id, kind, state, finished_at)"
                " VALUES (%(id)s, gen_random_uuid(), 'probe.quick', %(state)s, now() - %(days)s * interval '1 day')",
                id=caller.tenant.id, state=state, days=days,
            )  # fmt: skip
    tables.rows(
        "INSERT INTO job_rows (tenant_id, job_id, row_no, body)"
        " SELECT tenant_id, id, 1, '' FROM jobs WHERE state = 'done'"
    )
    assert await dropping(DROP_JOBS, timedelta(days=30))(platform, anybody) == 2
    left = sorted(row["state"] for row in asked_for(tables, caller))
    assert left == ["discarded", "done", "failed", "failed"]
    assert tables.value("SELECT count(*) FROM job_rows") == 1


async def test_eight_schedules_of_one_term_do_each_slot_once(
    platform: PlatformDatabase, lease: Lease, tables: Tables, newcomer: Newcomer
) -> None:
    caller = newcomer()
    tasks = tuple(each_tenant(f"probe.task-{n}", f"probe.kind-{n}", "0 0 * * *") for n in range(5))
    await Schedule(platform, lease, tasks).register()
    tables.rows("UPDATE system_schedules SET settled_to = now() - interval '1 day'")
    await asyncio.gather(*(Schedule(platform, lease, tasks).tick() for _ in range(8)))
    assert tables.value("SELECT count(*) FROM cron_runs") == 5
    assert len(asked_for(tables, caller)) == 5


def test_a_zone_has_its_moment_when_its_own_clock_shows_it() -> None:
    since = datetime(2026, 3, 28, 12, 30, tzinfo=UTC)
    now = datetime(2026, 3, 29, 0, 30, tzinfo=UTC)  # summer time begins in Berlin half an hour later
    zones = ["UTC", "Europe/Berlin", "Asia/Kathmandu", "America/New_York", "Pacific/Auckland", "Mars/Olympus"]
    assert due_slots(zones, "0 4 * * *", since, now) == {
        "Asia/Kathmandu": "2026-03-28T22:15:00+00:00",
        "Pacific/Auckland": "2026-03-28T15:00:00+00:00",
    }
    assert due_slots(zones, "0 4 * * *", since, now, "skip") == {}
