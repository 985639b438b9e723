"""The failed-jobs table and the steps out of it, over HTTP."""

import uuid
from typing import Any

import pytest

from tests.api.whole.conftest import Newcomer as NewTenant
from tests.api.whole.conftest import Tenant, client_of
from tests.workers.conftest import Processes, Tables

pytestmark = pytest.mark.usefixtures("clean")


def left(tables: Tables, tenant: Tenant, state: str = "failed", **values: Any) -> str:
    """A job in that state."""
    finished = state in ("failed", "done", "discarded")
    row = {"kind": "trial_balance_snapshots", "queue": "low", "unique_key": None, **values}
    tables.rows(
        "INSERT INTO jobs (tenant_id, id, queue, kind, state, attempts, unique_key, lease_until, finished_at,"
        " error_code, error_detail, traceback) VALUES (%(tenant)s, %(id)s, %(queue)s, %(kind)s, %(state)s,"
        " %(attempts)s, %(unique_key)s, CASE WHEN %(state)s = 'running' THEN now() + interval '1 hour' END,"
        " CASE WHEN %(finished)s THEN now() END, %(code)s, %(code)s, 'File x, line 1, in secret')",
        id=(job_id := uuid.uuid4()), tenant=tenant.id, state=state, attempts=3 if state == "failed" else 0,
        finished=finished, code="internal-error" if state == "failed" else None, **row,
    )  # fmt: skip
    return str(job_id)


async def test_failed_jobs_are_listed_with_their_reason_and_without_our_secrets(
    tables: Tables, new_tenant: NewTenant
) -> None:
    tenant, other = await new_tenant(), await new_tenant()
    failed, _, _ = left(tables, tenant), left(tables, tenant, "queued"), left(tables, other)
    page = await tenant.get("/v1/jobs", state="failed")
    [job] = page["data"]
    assert (job["id"], job["attempts"], job["max_attempts"]) == (failed, 3, 3)
    assert job["error"] == {"code": "internal-error", "detail": "internal-error"}
    detail = await tenant.get(f"/v1/jobs/{failed}")
    assert detail["failed_rows"] == []
    assert "secret" not in f"{page}{detail}"
    both = await tenant.client.get("/v1/jobs", params={"state": "failed,queued", "queue": "low", "count": "exact"})
    assert both.json()["count"] == 2


async def test_a_replayed_job_runs_and_a_discarded_one_does_not(
    tables: Tables, processes: Processes, new_tenant: NewTenant
) -> None:
    tenant = await new_tenant()
    wanted, unwanted = left(tables, tenant), left(tables, tenant)
    dropped = await tenant.post(f"/v1/jobs/{unwanted}/discard")
    assert (dropped["state"], dropped["version"]) == ("discarded", 2)
    replayed = await tenant.post(f"/v1/jobs/{wanted}/replay")
    assert (replayed["state"], replayed["attempts"], replayed["error"]) == ("queued", 0, None)
    processes.coordinator()
    processes.real_worker("low")
    await tables.until("SELECT state = 'done' FROM jobs WHERE id = %(id)s", id=wanted)
    assert (await tenant.get(f"/v1/jobs/{wanted}"))["result"] == {"periods": 0}
    assert tables.job(uuid.UUID(unwanted))["attempts"] == 3
    events = tables.rows(
        "SELECT type, version FROM events WHERE aggregate_id = ANY(%(ids)s) ORDER BY type", ids=[wanted, unwanted]
    )
    assert [tuple(row.values()) for row in events] == [("job.discarded", 2), ("job.replayed", 2)]
    query = "SELECT action FROM audit_entries WHERE tenant_id = %(id)s AND target_type = 'job'"
    audited = tables.rows(query, id=tenant.id)
    assert sorted(row["action"] for row in audited) == ["job.discard", "job.replay"]


@pytest.mark.parametrize(
    ("state", "step"),
    [
        ("running", "replay"), ("running", "discard"), ("done", "replay"), ("queued", "replay"),
        ("discarded", "discard"),
    ],
)  # fmt: skip
async def test_other_steps_are_refused(tables: Tables, new_tenant: NewTenant, state: str, step: str) -> None:
    tenant = await new_tenant()
    problem = await tenant.post(f"/v1/jobs/{left(tables, tenant, state)}/{step}", expect=409)
    assert (problem["code"], problem["state"]) == ("invalid-state", state)


async def test_a_job_is_not_replayed_beside_an_equal_one(tables: Tables, new_tenant: NewTenant) -> None:
    tenant = await new_tenant()
    failed = left(tables, tenant, unique_key="same")
    left(tables, tenant, "queued", unique_key="same")
    problem = await tenant.post(f"/v1/jobs/{failed}/replay", expect=409)
    assert problem["code"] == "job-already-queued"


async def test_jobs_of_others_do_not_exist_and_reading_is_not_replaying(
    tables: Tables, new_tenant: NewTenant, gate: Any
) -> None:
    tenant, other = await new_tenant(), await new_tenant()
    job = left(tables, other)
    for path in (f"/v1/jobs/{job}", f"/v1/jobs/{job}/rows"):
        assert (await tenant.client.get(path)).status_code == 404
    for step in ("replay", "discard"):
        await tenant.post(f"/v1/jobs/{job}/{step}", expect=404)
    key = await other.make("api-keys", name="auditor", role="auditor")
    async with client_of(gate, key["secret"]) as auditor:
        assert (await auditor.get(f"/v1/jobs/{job}")).status_code == 200
        assert (await auditor.post(f"/v1/jobs/{job}/replay")).status_code == 403
    assert tables.job(uuid.UUID(job))["state"] == "failed"


async def test_a_job_changed_meanwhile_is_not_discarded_blindly(tables: Tables, new_tenant: NewTenant) -> None:
    tenant = await new_tenant()
    job = left(tables, tenant)
    stale = await tenant.client.post(f"/v1/jobs/{job}/discard", headers={"if-match": '"7"'})
    assert (stale.status_code, stale.json()["current_version"]) == (412, 1)
    fresh = await tenant.client.post(f"/v1/jobs/{job}/discard", headers={"if-match": '"1"'})
    assert (fresh.status_code, fresh.headers["etag"]) == (200, '"2"')
