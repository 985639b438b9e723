"""From a row to its effect, through real processes: order, retries, ends, schedules of their own."""

import uuid
from datetime import UTC, datetime, timedelta

import pytest

from tenancy.database import TenantDatabase
from tenancy.work import UnitOfWork
from tests.workers.conftest import Enqueue, Newcomer, Processes, Tables

FINISHED = "SELECT state IN ('done', 'failed') FROM jobs WHERE id = %(id)s"


async def test_jobs_end_as_their_handlers_do(
    processes: Processes, tables: Tables, newcomer: Newcomer, enqueue: Enqueue
) -> None:
    """One fleet for several facts: starting processes is what takes the time."""
    caller = newcomer()
    processes.coordinator()
    processes.worker()
    quick = await enqueue(caller, "probe.quick")
    failing = await enqueue(caller, "probe.failing")
    hopeless = await enqueue(caller, "probe.hopeless")
    too_long = await enqueue(caller, "probe.short", {"seconds": 60})
    unknown = await enqueue(caller, "probe.of-a-newer-release")
    later = await enqueue(caller, "probe.quick", run_at=datetime.now(UTC) + timedelta(hours=1))
    resting = await enqueue(newcomer(state="suspended"), "probe.quick")
    orphaned = await enqueue(newcomer(state="closed"), "probe.quick")
    for job in (quick, failing, hopeless, too_long, orphaned):
        await tables.until(FINISHED, id=job)

    _done_once(tables, quick)
    _failed_after_three_attempts(tables, failing)
    row = tables.job(hopeless)
    assert (row["state"], row["attempts"], row["error_code"]) == ("failed", 1, "not-found")
    row = tables.job(too_long)
    assert (row["state"], row["attempts"], row["error_code"]) == ("failed", 3, "job-timeout")
    assert tables.effects(too_long) == tables.effects(orphaned) == []
    assert tables.job(orphaned)["error_code"] == "tenant-closed"
    # A kind of another release stays for a worker that knows it, an early job for its time, a suspended
    # tenant's for better days; none of them loses an attempt.
    for job in (unknown, later, resting):
        row = tables.job(job)
        assert (row["state"], row["attempts"]) == ("queued", 0)


def _done_once(tables: Tables, job: uuid.UUID) -> None:
    row = tables.job(job)
    assert (row["state"], row["attempts"], row["result"], row["lease_until"]) == ("done", 1, {"answer": 42}, None)
    assert len(tables.effects(job)) == 1


def _failed_after_three_attempts(tables: Tables, job: uuid.UUID) -> None:
    """The failed-jobs table has the reason for the tenant and the trace for us, and no host name for the tenant."""
    row = tables.job(job)
    assert (row["state"], row["attempts"]) == ("failed", 3)
    assert (row["error_code"], row["error_detail"]) == ("internal-error", "RuntimeError")
    assert "db-7" in row["traceback"]
    assert [run["attempt"] for run in tables.effects(job, "started")] == [1, 2, 3]


async def test_an_equal_job_is_left_once_while_it_is_unfinished(
    tables: Tables, clean: None, newcomer: Newcomer, enqueue: Enqueue
) -> None:
    caller = newcomer()
    for _ in range(3):
        await enqueue(caller, "probe.quick", unique_key="the-same")
    await enqueue(newcomer(), "probe.quick", unique_key="the-same")
    assert tables.value("SELECT count(*) FROM jobs WHERE unique_key = 'the-same'") == 2
    tables.rows("UPDATE jobs SET state = 'done', finished_at = now()")
    await enqueue(caller, "probe.quick", unique_key="the-same")
    assert tables.value("SELECT count(*) FROM jobs WHERE unique_key = 'the-same' AND state = 'queued'") == 1


class ChangedItsMind(Exception):
    pass


async def test_a_command_that_rolls_back_leaves_no_job(
    tables: Tables, clean: None, database: TenantDatabase, newcomer: Newcomer
) -> None:
    async def command(work: UnitOfWork) -> None:
        work.enqueue("probe.quick", {})
        await work.load()
        raise ChangedItsMind

    with pytest.raises(ChangedItsMind):
        await database.run(newcomer(), command)
    assert tables.value("SELECT count(*) FROM jobs") == 0
