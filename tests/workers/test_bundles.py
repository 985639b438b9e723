"""Jobs that share a message, a claim and a commit, and still are each a job of its own."""

import asyncio
import signal
import uuid
from typing import Any

import pytest
from psycopg.errors import UntranslatableCharacter

from db.counting import RoundTrips, round_trips
from tenancy.caller import Caller
from tenancy.database import TenantDatabase
from tenancy.metering import Metering
from tenancy.placement import Platforms
from tenancy.platform import PlatformDatabase
from tests.services import Services
from tests.workers.conftest import Enqueue, Newcomer, Processes, Tables, signal_group
from tests.workers.probes import PROBES, have_effect
from workers.broker import Bundle, JobBroker
from workers.context import JobContext
from workers.heart import Heart
from workers.kinds import Handler, JobKind, by_name
from workers.runner import Runner
from workers.settings import WorkerSettings

pytestmark = pytest.mark.usefixtures("clean")

SETTINGS = WorkerSettings(job_lease=5.0, job_backoff=0.01)
COUNT = "SELECT count(*) = %(jobs)s FROM jobs WHERE state = %(state)s"


class Gate:
    """A kind whose jobs wait until they are let through, all at once."""

    def __init__(self) -> None:
        self.opened = asyncio.Event()
        self.waiting = 0

    async def run(self, context: JobContext) -> Any:
        self.waiting += 1
        await self.opened.wait()
        if context.payload.get("effect"):
            await have_effect(context)
        return context.payload.get("result")

    async def until(self, waiting: int) -> None:
        async with asyncio.timeout(5):
            while self.waiting < waiting:  # noqa: ASYNC110  # nothing tells when the last one has come
                await asyncio.sleep(0.005)


class Bench:
    """A runner that knows the gate, and jobs for it."""

    def __init__(
        self, platform: PlatformDatabase, database: TenantDatabase, caller: Caller, enqueue: Enqueue
    ) -> None:
        self.gate = Gate()
        self.caller = caller
        self._platform, self._database, self._enqueue = platform, database, enqueue
        self.runner = self.another()

    def another(self, handler: Handler | None = None) -> Runner:
        kinds = PROBES | by_name([JobKind("probe.gate", handler or self.gate.run)])
        heart = Heart(self._platform, lease=SETTINGS.job_lease, interval=1.0)
        return Runner(self._platform, self._database, heart, kinds, SETTINGS, Metering(Platforms(self._platform, {})))

    async def jobs(self, count: int, payload: dict[str, Any] | None = None, **options: Any) -> list[uuid.UUID]:
        return [await self._enqueue(self.caller, "probe.gate", payload, **options) for _ in range(count)]

    def begin(self, *jobs: uuid.UUID) -> "asyncio.Task[None]":
        return asyncio.create_task(self.runner.run(self.caller.tenant.id, *jobs))


@pytest.fixture
def bench(platform: PlatformDatabase, database: TenantDatabase, newcomer: Newcomer, enqueue: Enqueue) -> Bench:
    return Bench(platform, database, newcomer(), enqueue)


async def test_eight_jobs_are_two_commits(bench: Bench, tables: Tables) -> None:
    counted = RoundTrips()
    jobs = await bench.jobs(8, {"result": {"quote": '"', "backslash": "\\"}})
    token = round_trips.set(counted)
    running = bench.begin(*jobs)
    round_trips.reset(token)
    await bench.gate.until(waiting=8)
    bench.gate.opened.set()
    await running
    assert counted.statements.count("COMMIT") == 2
    rows = tables.rows("SELECT state, attempts, fence, result FROM jobs")
    assert rows == [{"state": "done", "attempts": 1, "fence": 1, "result": {"quote": '"', "backslash": "\\"}}] * 8


async def test_one_that_lost_its_fence_does_not_end_and_the_others_do(bench: Bench, tables: Tables) -> None:
    """Of those with an effect of their own and of those without."""
    jobs = [*await bench.jobs(4), *await bench.jobs(4, {"effect": True})]
    running = bench.begin(*jobs)
    await bench.gate.until(waiting=8)
    lost = [jobs[1], jobs[6]]
    tables.rows("UPDATE jobs SET fence = fence + 1 WHERE id = ANY(%(ids)s)", ids=lost)
    before = [tables.job(job) for job in lost]
    bench.gate.opened.set()
    await running
    assert [tables.job(job) for job in lost] == before
    assert {tables.job(job)["state"] for job in jobs if job not in lost} == {"done"}
    assert [len(tables.effects(job)) for job in jobs] == [0, 0, 0, 0, 1, 1, 0, 1]


async def test_two_workers_with_the_same_message_run_each_job_once(bench: Bench, tables: Tables) -> None:
    jobs = await bench.jobs(8, {"effect": True})
    bench.gate.opened.set()
    shuffled = [jobs, jobs[::-1], jobs[3:] + jobs[:3]]
    await asyncio.gather(*(bench.another().run(bench.caller.tenant.id, *order) for order in shuffled))
    assert [row["attempts"] for row in tables.rows("SELECT attempts FROM jobs")] == [1] * 8
    assert [len(tables.effects(job)) for job in jobs] == [1] * 8


async def test_a_slow_job_delays_nobody_in_its_message(bench: Bench, tables: Tables, enqueue: Enqueue) -> None:
    slow = await bench.jobs(1)
    quick = [await enqueue(bench.caller, "probe.quick") for _ in range(7)]
    running = bench.begin(*slow, *quick)
    await tables.until(COUNT, jobs=7, state="done")
    assert tables.job(slow[0])["state"] == "running"
    bench.gate.opened.set()
    await running
    assert tables.job(slow[0])["state"] == "done"


async def test_one_whose_result_cannot_be_stored_keeps_no_other_from_its_end(bench: Bench, tables: Tables) -> None:
    jobs = await bench.jobs(4)

    async def end(context: JobContext) -> Any:
        await bench.gate.run(context)
        return {"text": "\0"} if context.job.id == jobs[1] else None

    runner = bench.another(end)
    running = asyncio.create_task(runner.run(bench.caller.tenant.id, *jobs))
    await bench.gate.until(waiting=4)
    bench.gate.opened.set()
    with pytest.raises(UntranslatableCharacter):
        await running
    # Its lease ends; the third time it gives up.
    assert [tables.job(job)["state"] for job in jobs] == ["done", "running", "done", "done"]


async def test_a_locked_row_keeps_no_other_job_of_its_message_from_running(bench: Bench, tables: Tables) -> None:
    """Somebody holds one of the rows: the others begin without it, and it runs when it is free."""
    jobs = await bench.jobs(4)
    bench.gate.opened.set()
    tables.rows("BEGIN")
    tables.rows("SELECT 1 FROM jobs WHERE id = %(id)s FOR UPDATE", id=jobs[2])
    running = bench.begin(*jobs)
    await tables.until(COUNT, jobs=3, state="done")
    tables.rows("ROLLBACK")
    await running
    assert {tables.job(job)["state"] for job in jobs} == {"done"}


async def test_a_worker_killed_in_the_middle_of_a_message(
    processes: Processes, services: Services, tables: Tables, newcomer: Newcomer, enqueue: Enqueue
) -> None:
    """All that had begun run again, each alone, with the attempts counted; what it had not begun has lost none."""
    caller = newcomer()
    doomed = processes.worker(threads=1)
    jobs = [await enqueue(caller, "probe.slow", {"seconds": 60, "once": True}) for _ in range(6)]
    begun, waiting = jobs[:4], jobs[4:]
    broker = JobBroker(services.redis_queue_url, SETTINGS)
    broker.send([Bundle("default", caller.tenant.id, begun), Bundle("default", caller.tenant.id, waiting)])
    tables.rows("UPDATE jobs SET enqueued_at = clock_timestamp()")
    await tables.until("SELECT count(*) = 4 FROM test_effects WHERE phase = 'started'")
    tables.rows("UPDATE jobs SET payload = '{\"seconds\": 0}' WHERE id = ANY(%(ids)s)", ids=waiting)
    signal_group(doomed, signal.SIGKILL)
    processes.coordinator()
    processes.worker()
    await tables.until(COUNT, jobs=6, state="done", seconds=30)
    assert [tables.job(job)["attempts"] for job in jobs] == [2, 2, 2, 2, 1, 1]
    assert [len(tables.effects(job)) for job in jobs] == [1] * 6
