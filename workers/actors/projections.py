"""Jobs of read models: history read into a generation, which is then shown."""

import asyncio
from datetime import timedelta
from typing import Any

from erp.projections.building import JOB_KIND, purge, read_history, switch
from erp.projections.consumers import CONSUMERS
from erp.projections.definition import Consumer
from tenancy.work import UnitOfWork
from workers.context import GiveUp, JobContext
from workers.kinds import JobKind

#: Looks at whether the consumer has confirmed far enough, and the pause between two; then another job goes on.
_LOOKS, _PAUSE = 40, 0.25
_LATER = timedelta(seconds=5)
_HOUR = 3_600.0


async def build(context: JobContext) -> dict[str, Any]:
    """Read history, wait for the consumer, show the generation, drop the one before. Every step may come again."""
    consumer = CONSUMERS.get(context.payload["consumer"])
    if consumer is None:
        raise GiveUp("unknown-consumer", "This build has no such consumer.")
    generation: int = context.payload["generation"]
    while await context.step(lambda work: read_history(work, consumer, generation)):
        pass
    if not await _switched(context, consumer, generation):
        await context.step(lambda work: _again(work, context.payload))
        return {"shown": False}
    for older in range(1, generation):
        while await context.step(lambda work, older=older: purge(work, consumer, older)):  # type: ignore[misc]
            pass
    return {"shown": True}


async def _switched(context: JobContext, consumer: Consumer, generation: int) -> bool:
    for _ in range(_LOOKS):
        if await context.step(lambda work: switch(work, consumer, generation)):
            return True
        await asyncio.sleep(_PAUSE)
    return False


async def _again(work: UnitOfWork, payload: dict[str, Any]) -> None:
    work.enqueue(JOB_KIND, payload, queue="low", run_at=work.now + _LATER)


JOBS = (JobKind(JOB_KIND, build, time_limit=_HOUR),)
