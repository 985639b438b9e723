"""Kinds of jobs that leave a trace of every run, for tests; and the worker process that knows them.

`python -m dramatiq tests.workers.probe_worker` runs them beside the real ones.
"""

import asyncio
import os
import signal
from typing import Any

from db.statement import Bound
from tenancy.work import UnitOfWork
from workers.context import GiveUp, JobContext
from workers.kinds import JobKind, by_name


def effect(context: JobContext, phase: str) -> Bound[Any]:
    return Bound(
        "INSERT INTO test_effects (tenant_id, id, job_id, phase, attempt, pid) VALUES"
        " (%(tenant_id)s, gen_random_uuid(), %(job_id)s, %(phase)s, %(attempt)s, %(pid)s)",
        {"job_id": context.job.id, "phase": phase, "attempt": context.job.attempts, "pid": os.getpid()},
        None,
        True,
    )


async def note(context: JobContext, phase: str) -> None:
    """Tell the test where the job is, whatever becomes of it: outside the fence."""

    async def command(work: UnitOfWork) -> None:
        work.save(effect(context, phase))

    await context.database.run(context.caller, command)


async def have_effect(context: JobContext) -> None:
    async def command(work: UnitOfWork) -> int:
        work.save(effect(context, "effect"))
        return 42

    await context.run(command, lambda value: {"answer": value})


async def quick(context: JobContext) -> None:
    await have_effect(context)


async def slow(context: JobContext) -> None:
    """Takes `seconds`, on the first attempt only when `once`."""
    await note(context, "started")
    if context.job.attempts == 1 or not context.payload.get("once"):
        await asyncio.sleep(context.payload["seconds"])
    await have_effect(context)


async def poison(context: JobContext) -> None:
    await note(context, "started")
    os.kill(os.getpid(), signal.SIGKILL)


async def failing(context: JobContext) -> None:
    await note(context, "started")
    raise RuntimeError("the secret host db-7 said no")


async def hopeless(context: JobContext) -> None:
    await note(context, "started")
    raise GiveUp("not-found", "There is nothing to work on.")


async def unfenced(context: JobContext) -> None:
    """The planted bug: its effect does not ask whether the job is still its own."""
    await note(context, "started")
    if context.job.attempts == 1:
        await asyncio.sleep(context.payload["seconds"])
    await note(context, "effect")


async def stepping(context: JobContext) -> dict[str, Any]:
    """Counts up to `steps`, one effect a step, from where the last attempt came to; dies at `dies_at`, each once."""
    done = (await progress_of(context)).get("done", 0)
    for number in range(done, context.payload["steps"]):
        if number in context.payload.get("dies_at", ()) and await first_time(context, f"dying at {number}"):
            os.kill(os.getpid(), signal.SIGKILL)

        async def step(work: UnitOfWork) -> None:
            work.save(effect(context, "effect"))

        await context.step(step, lambda _, number=number: {"done": number + 1})  # type: ignore[misc]
    return {"steps": context.payload["steps"]}


async def patient(context: JobContext) -> dict[str, Any]:
    """Goes on in steps of 50 ms, telling how far it is, until `steps` are done or it is told to stop."""
    await note(context, "started")
    for number in range(context.payload["steps"]):
        await context.operation.progress(number, context.payload["steps"], "steps")
        context.operation.stop_if_cancelled({"steps": number})
        await asyncio.sleep(0.05)
    return {"steps": context.payload["steps"]}


async def progress_of(context: JobContext) -> dict[str, Any]:
    sql = "SELECT progress FROM jobs WHERE tenant_id = %(tenant_id)s AND id = %(job_id)s"
    [(progress,)] = await look(context, sql)
    return progress or {}


async def first_time(context: JobContext, phase: str) -> bool:
    sql = "SELECT 1 FROM test_effects WHERE tenant_id = %(tenant_id)s AND job_id = %(job_id)s AND phase = %(phase)s"
    found = await look(context, sql, phase=phase)
    await note(context, phase)
    return not found


async def look(context: JobContext, sql: str, **parameters: Any) -> list[Any]:
    statement: Bound[Any] = Bound(sql, {"job_id": context.job.id, **parameters}, None, True)

    async def command(work: UnitOfWork) -> list[Any]:
        [rows] = await work.load(statement)
        return rows

    return (await context.database.run(context.caller, command)).value


PROBES = by_name(
    [
        JobKind("probe.quick", quick),
        JobKind("probe.slow", slow, time_limit=120.0),
        JobKind("probe.short", slow, time_limit=0.5),
        JobKind("probe.poison", poison),
        JobKind("probe.failing", failing),
        JobKind("probe.hopeless", hopeless),
        JobKind("probe.unfenced", unfenced),
        JobKind("probe.stepping", stepping),
        JobKind("probe.patient", patient, time_limit=120.0),
    ]
)
