"""One attempt, in this process: its trace, its metrics, its lease."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from fleet.metrics import jobs_total
from fleet.scope import current_scope
from fleet.tracing import configure_tracing
from tenancy.database import TenantDatabase
from tenancy.metering import Metering
from tenancy.placement import Platforms
from tenancy.platform import PlatformDatabase
from tests.services import Services
from tests.workers.conftest import Enqueue, Newcomer, Tables, feeding
from tests.workers.probes import PROBES, effect
from workers.broker import JobBroker
from workers.context import JobContext
from workers.dispatch import Dispatcher
from workers.heart import Heart
from workers.kinds import JobKind, by_name
from workers.repository import CLAIM
from workers.runner import Runner
from workers.settings import WorkerSettings

pytestmark = pytest.mark.usefixtures("clean")

SETTINGS = WorkerSettings(job_lease=1.0, job_heartbeat=0.2, job_backoff=0.01)


class Machine:
    """A runner with its heart beating, and kinds of its own beside the probes."""

    def __init__(self, platform: PlatformDatabase, database: TenantDatabase) -> None:
        self.heart = Heart(platform, lease=SETTINGS.job_lease, interval=SETTINGS.job_heartbeat)
        self._platform = platform
        self._database = database
        self.metering = Metering(Platforms(platform, {}))

    def runner(self, *kinds: JobKind) -> Runner:
        known = PROBES | by_name(kinds)
        return Runner(self._platform, self._database, self.heart, known, SETTINGS, self.metering)


@pytest.fixture
async def machine(platform: PlatformDatabase, database: TenantDatabase) -> AsyncIterator[Machine]:
    machine = Machine(platform, database)
    beating = asyncio.create_task(machine.heart.beat_forever())
    yield machine
    beating.cancel()


async def test_a_job_is_a_part_of_the_trace_that_left_it(
    machine: Machine, tables: Tables, newcomer: Newcomer, enqueue: Enqueue
) -> None:
    exporter, seen = InMemorySpanExporter(), []

    async def look(context: JobContext) -> None:
        seen.append((current_scope(), context.caller.kind, context.caller.correlation_id))

    tracing = configure_tracing(None, "erp-worker", "test", exporter=exporter)
    try:
        caller = newcomer()
        job = await enqueue(caller, "probe.look")
        trace = "0af7651916cd43dd8448eb211c80319c"
        tables.rows("UPDATE jobs SET traceparent = %(it)s", it=f"00-{trace}-b7ad6b7169203331-01")
        await machine.runner(JobKind("probe.look", look)).run(caller.tenant.id, job)
    finally:
        tracing.close()
    [span] = [one for one in exporter.get_finished_spans() if one.name == "job probe.look"]
    assert span.context is not None
    assert span.parent is not None
    assert (format(span.context.trace_id, "032x"), format(span.parent.span_id, "016x")) == (trace, "b7ad6b7169203331")
    [(scope, kind, correlation)] = seen
    assert (scope.tenant, scope.trace_id, kind) == (str(caller.tenant.id), trace, "system")
    assert scope.correlation_id == correlation == "test-run-1"
    assert tables.job(job)["state"] == "done"


async def test_outcomes_are_counted(machine: Machine, newcomer: Newcomer, enqueue: Enqueue, tables: Tables) -> None:
    def count(kind: str, outcome: str) -> float:
        return float(jobs_total.at("default", kind, outcome)._value.get())

    before = {outcome: count("probe.failing", outcome) for outcome in ("failed", "dead")}
    caller, runner = newcomer(), machine.runner()
    job = await enqueue(caller, "probe.failing")
    for _ in range(3):
        tables.rows("UPDATE jobs SET run_at = now()")
        await runner.run(caller.tenant.id, job)
    assert count("probe.failing", "failed") == before["failed"] + 2
    assert count("probe.failing", "dead") == before["dead"] + 1


async def test_one_of_many_messages_for_a_job_runs_it(
    machine: Machine, newcomer: Newcomer, enqueue: Enqueue, tables: Tables
) -> None:
    caller, runner = newcomer(), machine.runner()
    job = await enqueue(caller, "probe.quick")
    await asyncio.gather(*(runner.run(caller.tenant.id, job) for _ in range(10)))
    await runner.run(caller.tenant.id, uuid.uuid4())  # and one for no job at all
    assert len(tables.effects(job)) == 1
    assert tables.job(job)["attempts"] == 1


async def test_a_job_longer_than_its_lease_keeps_it(
    machine: Machine, newcomer: Newcomer, enqueue: Enqueue, tables: Tables
) -> None:
    caller, runner = newcomer(), machine.runner()
    job = await enqueue(caller, "probe.slow", {"seconds": 2.5})
    running = asyncio.create_task(runner.run(caller.tenant.id, job))
    while not running.done():
        await runner.run(caller.tenant.id, job)  # whoever asks for it meanwhile does not get it
        await asyncio.sleep(0.1)
    assert [one["attempt"] for one in tables.effects(job)] == [1]


async def test_a_handler_is_stopped_when_its_job_is_taken_away(
    machine: Machine, newcomer: Newcomer, enqueue: Enqueue, tables: Tables
) -> None:
    """The heart notices, before the handler has an effect to be refused."""
    caller, runner = newcomer(), machine.runner()
    job = await enqueue(caller, "probe.slow", {"seconds": 60})
    running = asyncio.create_task(runner.run(caller.tenant.id, job))
    await tables.until("SELECT count(*) = 1 FROM test_effects WHERE job_id = %(id)s", id=job)
    tables.rows("UPDATE jobs SET fence = fence + 1")
    before = tables.job(job)
    await asyncio.wait_for(running, 5)
    assert tables.job(job) == before
    assert tables.effects(job) == []


async def test_an_effect_and_the_end_of_its_job_are_one_commit(
    machine: Machine, newcomer: Newcomer, enqueue: Enqueue, tables: Tables
) -> None:
    """A job discarded or taken while its command runs keeps the command from committing."""

    async def late(context: JobContext) -> None:
        async def command(work: Any) -> None:
            work.save(effect(context, "effect"))
            await work.load()
            tables.rows("UPDATE jobs SET fence = fence + 1 WHERE id = %(id)s", id=context.job.id)

        await context.run(command)

    caller = newcomer()
    job = await enqueue(caller, "probe.late")
    await machine.runner(JobKind("probe.late", late)).run(caller.tenant.id, job)
    assert tables.effects(job) == []
    assert tables.job(job)["state"] == "running"  # it is another worker's to end


async def test_a_job_whose_message_came_after_it_was_given_up_is_still_rescued(
    services: Services, platform: PlatformDatabase, newcomer: Newcomer, enqueue: Enqueue, tables: Tables
) -> None:
    """It is claimed while no message counts for it, and its worker dies."""
    caller = newcomer()
    job = await enqueue(caller, "probe.quick")
    assert tables.job(job)["enqueued_at"] is None
    lease = timedelta(milliseconds=1)
    claim = CLAIM(tenant=caller.tenant.id, job_id=job, kinds=["probe.quick"], lease=lease)
    [[(claimed, _)]] = await platform.ask(claim)
    await tables.until("SELECT lease_until < clock_timestamp() FROM jobs WHERE id = %(id)s", id=job)
    dispatcher = Dispatcher(platform, JobBroker(services.redis_queue_url, SETTINGS), SETTINGS)
    assert await dispatcher.sweep() == 1
    row = tables.job(job)
    assert (row["state"], row["attempts"], row["fence"]) == ("queued", 1, claimed.fence + 1)
    assert await dispatcher.sweep() == 0


async def test_messages_go_out_in_the_order_of_urgency(
    services: Services, platform: PlatformDatabase, newcomer: Newcomer, enqueue: Enqueue, tables: Tables
) -> None:
    """The more urgent first, then the older; what there is no room for waits, queue by queue."""
    caller = newcomer()
    jobs = [await enqueue(caller, "probe.quick", queue=queue) for queue in ("low", "low", "low", "high")]
    tables.rows("UPDATE jobs SET priority = 1 WHERE id = %(id)s", id=jobs[2])
    room = {"high": 5, "low": 2}
    [tickets] = await platform.ask(feeding(room))
    assert [ticket.id for ticket in tickets if ticket.queue == "low"] == [jobs[2], jobs[0]]
    assert [ticket.id for ticket in tickets if ticket.queue == "high"] == [jobs[3]]
    marked = tables.rows("SELECT id FROM jobs WHERE enqueued_at IS NOT NULL")
    assert {row["id"] for row in marked} == {jobs[0], jobs[2], jobs[3]}
    [left] = await platform.ask(feeding(room))
    assert [ticket.id for ticket in left] == [jobs[1]]
