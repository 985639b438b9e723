"""Jobs that do nothing, as ours and as Dramatiq's own: how many a second one worker process of four threads does."""

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import dramatiq
import psycopg
from dramatiq.brokers.redis import RedisBroker

from deploy.local.descendants import children_of
from deploy.local.processes import Program, start
from deploy.local.status import read_status
from loadtests.agreement.bench import Bench, environment_of
from loadtests.agreement.figures import Figure
from loadtests.figures import latency
from tenancy.work import UnitOfWork

JOBS, BATCH = 2_000, 500
#: Runs of both, in turns: one alone depends on what the machine did meanwhile.
SAMPLES = 5
KIND, QUEUE = "bench.no_op", "low"
NAMESPACE, COUNT = "bench-bare", "bench-bare:done"
ROOT = Path(__file__).parents[2]
_PATIENCE = 120.0


async def no_op_jobs(bench: Bench) -> list[Figure]:
    """Both begin with all their jobs waiting; counted from the first that is done to the last. The latencies are the
    time for each job, of one run each."""
    samples = [(await _ours(bench), await _bare(bench)) for _ in range(SAMPLES)]
    return [figure_of(samples)]


def figure_of(samples: Sequence[tuple[float, float]]) -> Figure:
    """Of jobs a second, ours and bare: medians, and from the lowest to the highest."""
    shares = [ours / bare for ours, bare in samples]
    rates, bares = [ours for ours, _ in samples], [bare for _, bare in samples]
    share = median(shares)
    value = (
        f"{median(rates):,.0f}/s ({min(rates):,.0f}-{max(rates):,.0f}),"
        f" {share:.0%} of bare ({min(shares):.0%}-{max(shares):.0%}), {len(samples)} runs"
    )
    each, plain = latency(1 / rate for rate in rates), latency(1 / rate for rate in bares)
    return Figure("no-op jobs", each, plain, value, ">= 70 % of bare", share >= 0.7)


async def _ours(bench: Bench) -> float:
    """The fleet's own worker of the queue rests meanwhile: it does not know this kind."""

    async def enqueue(work: UnitOfWork) -> None:
        for _ in range(BATCH):
            work.enqueue(KIND, {}, queue=QUEUE)

    with _resting(bench, f"worker-{QUEUE}"), psycopg.connect(bench.fleet.superuser_url, autocommit=True) as session:
        [(begun,)] = session.execute("SELECT clock_timestamp()").fetchall()
        for _ in range(JOBS // BATCH):
            await bench.runtime.database.run(bench.caller, enqueue)

        async def done() -> int:
            sql = (
                "SELECT count(*) FROM jobs WHERE tenant_id = %s AND kind = %s AND state = 'done' AND created_at >= %s"
            )
            [(count,)] = session.execute(sql, [bench.tenant_id, KIND, begun]).fetchall()
            return int(count)

        with _worker(bench, "loadtests.agreement.no_op_worker", QUEUE):
            return await _rate(done)


async def _bare(bench: Bench) -> float:
    broker = RedisBroker(  # type: ignore[no-untyped-call]  # its own
        url=bench.fleet.plan.endpoints.redis_queue_url, namespace=NAMESPACE
    )
    broker.declare_queue("bare")
    for _ in range(JOBS):
        broker.enqueue(dramatiq.Message(queue_name="bare", actor_name="nothing", args=(), kwargs={}, options={}))

    async def done() -> int:
        return int(await bench.redis.get(COUNT) or 0)

    with _worker(bench, "loadtests.agreement.bare_worker", "bare"):
        found = await _rate(done)
    await bench.redis.delete(COUNT)
    broker.close()
    return found


async def _rate(done: Callable[[], Awaitable[int]]) -> float:
    """Jobs a second, without the time the process takes to start."""
    async with asyncio.timeout(_PATIENCE):
        while not (first := await done()):  # noqa: ASYNC110  # it is another process that works
            await asyncio.sleep(0.005)
        begun = time.perf_counter()
        while await done() < JOBS:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    return (JOBS - first) / (time.perf_counter() - begun)


@contextlib.contextmanager
def _worker(bench: Bench, module: str, queue: str) -> Iterator[None]:
    command = (
        *(sys.executable, "-m", "dramatiq", module, "--queues", queue, "--processes", "1", "--threads", "4"),
        *("--worker-shutdown-timeout", "5000", "--skip-logging"),
    )
    log = bench.fleet.plan.layout.log("bench-worker")
    running = start(
        Program("bench-worker", command, log, ROOT, environment_of(bench.fleet, "bench-worker", "worker"))
    )
    try:
        yield
    finally:
        running.stop()


@contextlib.contextmanager
def _resting(bench: Bench, name: str) -> Iterator[None]:
    found: Any = read_status(bench.fleet.plan.layout)
    pid = next(child.pid for child in found.children if child.name == name)
    pids = [pid, *children_of(pid)]
    for one in pids:
        os.kill(one, signal.SIGSTOP)
    try:
        yield
    finally:
        for one in pids:
            os.kill(one, signal.SIGCONT)
