"""Jobs of read models: history read into a generation, which is then shown."""

import asyncio
from datetime import timedelta
from typing import Any

from erp.projections import building
from erp.projections.building import JOB_KIND, extent, purge, read_history, switch
from erp.projections.consumers import CONSUMERS
from erp.projections.definition import Consumer
from workers.context import GiveUp, JobContext, Later
from workers.kinds import JobKind

#: Looks at whether the consumer has confirmed far enough, and the pause between two; then another job has the thread.
_LOOKS, _PAUSE = 40, 0.25
_LATER = timedelta(seconds=5)
_HOUR = 3_600.0


async def build(context: JobContext) -> dict[str, Any]:
    """Read history, wait for the consumer, show the generation, drop the ones before. Every step may come again.

    Cancelled between two batches it leaves the generation as it is: a replay goes on there, the next rebuild gives it
    up.
    """
    consumer = CONSUMERS.get(context.payload["consumer"])
    if consumer is None:
        raise GiveUp("unknown-consumer", "This build has no such consumer.")
    generation: int = context.payload["generation"]
    events = await _read_all(context, consumer, generation)
    if not await _switched(context, consumer, generation, {"shown": False, "events": events}):
        await context.operation.log("The consumer has not confirmed far enough yet; looked at again soon.")
        raise Later(_LATER)
    await context.operation.log(f"Generation {generation} is complete.")
    for older in range(1, generation):
        while await context.step(lambda work, older=older: purge(work, consumer, older)):  # type: ignore[misc]
            pass
    return {"shown": True, "generation": generation, "events": events}


async def _read_all(context: JobContext, consumer: Consumer, generation: int) -> int:
    """Events of history, all of them in the generation now. Raises GiveUp, Cancelled."""
    found = (await context.database.run(context.caller, lambda work: extent(work, consumer, generation))).value
    if found is None:
        raise GiveUp("invalid-state", "The generation was given up for a later one.")
    done, total = found.done, found.total
    if done < total:
        await context.operation.log(f"Reads {total - done} events of history into generation {generation}.")
    more = True
    while more:
        context.operation.stop_if_cancelled({"shown": False, "events": done})
        more = await context.step(lambda work: read_history(work, consumer, generation))
        done = min(done + building.BATCH, total) if more else total
        await context.operation.progress(done, total, "events")
    return total


async def _switched(context: JobContext, consumer: Consumer, generation: int, so_far: dict[str, Any]) -> bool:
    for _ in range(_LOOKS):
        context.operation.stop_if_cancelled(so_far)
        if await context.step(lambda work: switch(work, consumer, generation)):
            return True
        await asyncio.sleep(_PAUSE)
    return False


JOBS = (JobKind(JOB_KIND, build, time_limit=_HOUR),)
