"""Long jobs as operations: followed, read and cancelled over HTTP while real workers run them."""

import asyncio
import signal
import uuid
from collections.abc import AsyncIterator
from typing import Any

import pytest

from erp.jobs.operations.repository import REPORT
from erp.jobs.operations.service import begin_operation
from tenancy.caller import Caller, TenantFacts
from tenancy.database import TenantDatabase
from tenancy.metering import Metering
from tenancy.placement import Platforms
from tenancy.platform import PlatformDatabase
from tenancy.work import UnitOfWork
from tests.api.whole.conftest import Newcomer as NewTenant
from tests.api.whole.conftest import Tenant, client_of
from tests.workers.conftest import Newcomer, Processes, Tables, signal_group
from tests.workers.probes import PROBES
from tests.workers.test_imports import accepted, lines, party
from workers.context import Fenced, JobContext
from workers.heart import Heart
from workers.kinds import JobKind, by_name
from workers.runner import Runner
from workers.settings import WorkerSettings

STATE = "SELECT state = %(state)s FROM jobs WHERE id = %(id)s"
SETTINGS = WorkerSettings(job_lease=5.0, job_heartbeat=0.1)


async def begun(
    database: TenantDatabase, caller: Caller, kind: str, payload: dict[str, Any] | None = None, **options: Any
) -> uuid.UUID:
    """As a command would leave it."""

    async def begin(work: UnitOfWork) -> uuid.UUID:
        return (await begin_operation(work, kind, payload or {}, **options)).id

    return (await database.run(caller, begin)).value


def owner_of(tenant: Tenant) -> Caller:
    facts = TenantFacts(uuid.UUID(tenant.id), tenant.slug, "Test tenant", "active", "GBP", "GB", "Europe/London")
    return Caller(facts, uuid.uuid4(), "api_key", "owner", "owner", frozenset({"*:*"}), correlation_id="test-run-1")


@pytest.fixture
async def heart(platform: PlatformDatabase) -> AsyncIterator[Heart]:
    heart = Heart(platform, lease=SETTINGS.job_lease, interval=SETTINGS.job_heartbeat)
    beating = asyncio.create_task(heart.beat_forever())
    yield heart
    beating.cancel()


Runners = Any


@pytest.fixture
def runner_of(platform: PlatformDatabase, database: TenantDatabase, heart: Heart) -> Runners:
    """A runner in this process, for handlers a test writes."""

    def build(*kinds: JobKind) -> Runner:
        return Runner(platform, database, heart, PROBES | by_name(kinds), SETTINGS, Metering(Platforms(platform, {})))

    return build


async def test_an_import_is_followed_to_its_end(processes: Processes, tables: Tables, new_tenant: NewTenant) -> None:
    tenant = await new_tenant()
    started = await accepted(tenant, "parties", lines(party(1), party(2), {"key": "party:x"}))
    waiting = await tenant.get(started["operation"])
    assert (waiting["state"], waiting["progress"]) == ("queued", {"done": 0, "total": 3, "unit": "rows"})
    processes.coordinator()
    processes.real_worker("low")
    await tables.until(STATE, id=started["id"], state="done")
    done = await tenant.get(started["operation"])
    assert done["progress"] == {"done": 3, "total": 3, "unit": "rows"}
    assert (done["result"], done["error"]) == ({"rows": 3, "done": 2, "failed": 1}, None)
    rows = await tenant.get(done["result_location"], outcome="failed")
    assert [row["row"] for row in rows["data"]] == [3]
    log = await tenant.get(done["log"], limit="1")
    assert (log["data"][0]["message"], log["has_more"]) == ("Books 3 rows.", True)
    rest = await tenant.get(done["log"], cursor=log["next_cursor"], limit="1")
    assert [(one["line"], one["level"], one["message"]) for one in rest["data"]] == [
        (2, "warning", "Row 3 was refused: missing-field.")
    ]
    listed = await tenant.get("/v1/operations", state="done", kind="bulk_import")
    assert [one["id"] for one in listed["data"]] == [started["id"]]


async def test_a_running_operation_stops_when_it_is_cancelled_and_goes_on_when_it_is_replayed(
    processes: Processes, tables: Tables, new_tenant: NewTenant
) -> None:
    tenant = await new_tenant()
    processes.coordinator()
    processes.real_worker("low")
    started = await accepted(tenant, "parties", lines(*(party(number) for number in range(500))))
    settled = "SELECT count(*) >= 25 FROM job_rows WHERE job_id = %(id)s AND outcome = 'done'"
    await tables.until(settled, id=started["id"])
    asked = await tenant.post(f"{started['operation']}/cancel")
    assert (asked["state"], asked["finished_at"]) == ("running", None)
    assert asked["cancel_requested_at"] is not None
    again = await tenant.post(f"{started['operation']}/cancel")
    assert again["cancel_requested_at"] == asked["cancel_requested_at"]
    took = await tables.until(STATE, id=started["id"], state="cancelled", seconds=10)
    print(f"a running import stopped {took:.2f} s after it was cancelled")
    stopped = await tenant.get(started["operation"])
    booked = tables.value("SELECT count(*) FROM parties WHERE tenant_id = %(id)s AND code LIKE 'IMP%%'", id=tenant.id)
    assert stopped["result"]["done"] == stopped["progress"]["done"] == booked < 500
    await tenant.post(f"/v1/jobs/{started['id']}/replay")
    await tables.until(STATE, id=started["id"], state="done", seconds=60)
    assert (await tenant.get(started["operation"]))["result"] == {"rows": 500, "done": 500, "failed": 0}


async def test_a_queued_operation_is_cancelled_at_once_and_never_runs(
    clean: None, tables: Tables, new_tenant: NewTenant, runner_of: Runners, database: TenantDatabase
) -> None:
    tenant = await new_tenant()
    caller = owner_of(tenant)
    job = await begun(database, caller, "probe.patient", {"steps": 1})
    cancelled = await tenant.post(f"/v1/operations/{job}/cancel")
    assert (cancelled["state"], cancelled["attempts"]) == ("cancelled", 0)
    assert cancelled["finished_at"] is not None
    await runner_of().run(caller.tenant.id, job)  # its message was under way
    assert tables.job(job)["state"] == "cancelled"
    assert tables.effects(job, "started") == []
    assert (await tenant.post(f"/v1/operations/{job}/cancel"))["state"] == "cancelled"
    events = tables.rows("SELECT type, version FROM events WHERE aggregate_id = %(id)s", id=job)
    assert [tuple(row.values()) for row in events] == [("operation.cancelled", cancelled["version"])]
    audited = tables.rows("SELECT action FROM audit_entries WHERE target_id = %(id)s", id=job)
    assert [row["action"] for row in audited] == ["operation.cancel"]


async def test_cancelling_while_a_worker_claims_is_one_or_the_other(
    clean: None, tables: Tables, new_tenant: NewTenant, runner_of: Runners, database: TenantDatabase
) -> None:
    tenant = await new_tenant()
    caller, runner = owner_of(tenant), runner_of()
    jobs = [await begun(database, caller, "probe.patient", {"steps": 200}) for _ in range(8)]
    running = [asyncio.create_task(runner.run(caller.tenant.id, job)) for job in jobs]
    await asyncio.gather(*(tenant.post(f"/v1/operations/{job}/cancel") for job in jobs))
    await asyncio.wait_for(asyncio.gather(*running), 10)
    rows = [tables.job(job) for job in jobs]
    assert {row["state"] for row in rows} == {"cancelled"}
    assert all((row["attempts"] == 0) == (row["result"] is None) for row in rows)


async def test_an_operation_whose_worker_died_is_not_begun_again_once_it_is_cancelled(
    processes: Processes, tables: Tables, new_tenant: NewTenant, database: TenantDatabase
) -> None:
    tenant = await new_tenant()
    processes.coordinator()
    doomed = processes.worker(threads=1)
    job = await begun(database, owner_of(tenant), "probe.slow", {"seconds": 60}, queue="default")
    await tables.until("SELECT count(*) = 1 FROM test_effects WHERE job_id = %(id)s", id=job)
    signal_group(doomed, signal.SIGKILL)
    assert (await tenant.post(f"/v1/operations/{job}/cancel"))["state"] == "running"
    await tables.until(STATE, id=job, state="cancelled")
    assert tables.job(job)["attempts"] == 1


async def test_what_has_ended_is_not_cancelled(
    clean: None, tables: Tables, new_tenant: NewTenant, database: TenantDatabase, gate: Any
) -> None:
    tenant, other = await new_tenant(), await new_tenant()
    job = await begun(database, owner_of(tenant), "probe.patient", unique_key="one")
    assert (await other.client.post(f"/v1/operations/{job}/cancel")).status_code == 404
    for path in (f"/v1/operations/{job}", f"/v1/operations/{job}/log"):
        assert (await other.client.get(path)).status_code == 404
    key = await tenant.make("api-keys", name="auditor", role="auditor")
    async with client_of(gate, key["secret"]) as auditor:
        assert (await auditor.get(f"/v1/operations/{job}")).status_code == 200
        assert (await auditor.post(f"/v1/operations/{job}/cancel")).status_code == 403
    tables.rows(
        "UPDATE jobs SET state = 'failed', attempts = 3, finished_at = now(), error_code = 'worker-lost',"
        " error_detail = 'The worker ended.' WHERE id = %(id)s", id=job,
    )  # fmt: skip
    problem = await tenant.post(f"/v1/operations/{job}/cancel", expect=409)
    assert (problem["code"], problem["state"]) == ("invalid-state", "failed")
    error = (await tenant.get(f"/v1/operations/{job}"))["error"]
    assert error["type"] == "/problems/worker-lost"
    assert (error["status"], error["detail"], error["instance"]) == (
        503,
        "The worker ended.",
        f"/v1/operations/{job}",
    )
    assert (await tenant.client.get(error["type"])).status_code == 200
    plain = uuid.uuid4()  # a job nobody follows is no operation
    tables.rows("INSERT INTO jobs (tenant_id, id, kind) VALUES (%(t)s, %(id)s, 'probe.quick')", t=tenant.id, id=plain)
    await tenant.post(f"/v1/operations/{plain}/cancel", expect=404)
    assert [one["id"] for one in (await tenant.get("/v1/operations"))["data"]] == [str(job)]


async def test_reports_are_few_and_the_last_ones_are_not_lost(
    clean: None, tables: Tables, newcomer: Newcomer, runner_of: Runners, database: TenantDatabase
) -> None:
    """A handler may report with every record it touches; the database hears of it once a second."""
    caller, seen = newcomer(), []

    async def chatty(context: JobContext) -> None:
        for number in range(500):
            await context.operation.progress(number + 1, 500, "records")
            await context.operation.log(f"record {number} \x00 password=hunter2")
            if number in (0, 250):
                seen.append(tables.job(context.job.id)["done"])

    job = await begun(database, caller, "probe.chatty", total=500)
    await runner_of(JobKind("probe.chatty", chatty)).run(caller.tenant.id, job)
    row = tables.job(job)
    assert (row["state"], row["done"], row["total"], row["unit"]) == ("done", 500, 500, "records")
    assert seen[0] == 1
    log = tables.rows("SELECT line, message FROM operation_log WHERE operation_id = %(id)s ORDER BY line", id=job)
    assert [one["line"] for one in log] == list(range(1, 501))
    assert "hunter2" not in str(log)
    assert row["log_lines"] == 500


async def test_a_zombie_reports_nothing(
    clean: None, tables: Tables, newcomer: Newcomer, runner_of: Runners, database: TenantDatabase
) -> None:
    """Its lease ran out while it was stopped, and another worker has the job."""
    caller, refused = newcomer(), []

    async def zombie(context: JobContext) -> None:
        await context.operation.progress(1, 10, "steps")
        tables.rows("UPDATE jobs SET fence = fence + 1, done = 7 WHERE id = %(id)s", id=context.job.id)
        await context.operation.log("still here")
        try:
            await context.operation.progress(2)
            await context.operation.flush()
        except Fenced as error:
            refused.append(error)
            raise

    job = await begun(database, caller, "probe.zombie")
    await runner_of(JobKind("probe.zombie", zombie)).run(caller.tenant.id, job)
    assert len(refused) == 1
    row = tables.job(job)
    assert (row["done"], row["total"], row["log_lines"], row["state"]) == (7, 10, 0, "running")
    assert tables.rows("SELECT FROM operation_log WHERE operation_id = %(id)s", id=job) == []


async def test_without_the_fence_a_zombie_would_overwrite_what_its_successor_reports(
    clean: None, tables: Tables, newcomer: Newcomer, database: TenantDatabase
) -> None:
    """The planted bug: the report of whoever says its name, without asking whose job it is."""
    caller = newcomer()
    job = await begun(database, caller, "probe.zombie")
    tables.rows(
        "UPDATE jobs SET state = 'running', fence = 2, done = 7, lease_until = now() + interval '1 hour'"
        " WHERE id = %(id)s", id=job,
    )  # fmt: skip
    nothing: dict[str, Any] = {"total_now": None, "unit_now": None, "moments": [], "levels": [], "messages": []}

    async def report(work: UnitOfWork, *, fenced: bool) -> int:
        statement = REPORT(operation_id=job, fence=1, done_now=2, **nothing)
        sql = statement.sql if fenced else statement.sql.replace("jobs.fence =", "jobs.fence >=")
        [rows] = await work.load(type(statement)(sql, statement.parameters, None, True))
        return len(rows)

    assert (await database.run(caller, lambda work: report(work, fenced=True))).value == 0
    assert tables.job(job)["done"] == 7
    assert (await database.run(caller, lambda work: report(work, fenced=False))).value == 1
    assert tables.job(job)["done"] == 2


async def test_a_silent_handler_hears_of_the_cancelling_by_its_workers_heart(
    clean: None, tables: Tables, new_tenant: NewTenant, runner_of: Runners, database: TenantDatabase
) -> None:
    tenant = await new_tenant()
    caller, heard = owner_of(tenant), asyncio.Event()

    async def silent(context: JobContext) -> None:
        while not context.operation.cancelled:  # noqa: ASYNC110  # as a handler would that works meanwhile
            await asyncio.sleep(0.01)
        heard.set()
        context.operation.stop_if_cancelled()

    job = await begun(database, caller, "probe.silent")
    running = asyncio.create_task(runner_of(JobKind("probe.silent", silent)).run(caller.tenant.id, job))
    await tables.until(STATE, id=job, state="running")
    await tenant.post(f"/v1/operations/{job}/cancel")
    await asyncio.wait_for(heard.wait(), 5)
    await running
    assert tables.job(job)["state"] == "cancelled"
