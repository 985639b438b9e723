"""A coordinator that ticks every second and, when told, is frozen between "I lead" and what it does as leader.

With NAIVE it has a planted bug: it runs a task because it believes to lead and the clock says so, without
the row of the slot and without looking at its term.
"""

import asyncio
import contextlib
import math
import os
import signal
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import uvloop

import workers.leading
from db.statement import Bound
from fleet.leader.deposed import Deposed
from tenancy.platform import PlatformSession
from workers.coordinator import run_process
from workers.schedule import Schedule, Task
from workers.schedule_repository import SlotTaken

#: While this file exists, whoever ticks next removes it and freezes.
FREEZE = Path(os.environ["PROBE_FREEZE"])


def freeze_when_told() -> bool:
    """Whether it was frozen, and has been woken up."""
    if not FREEZE.exists():
        return False
    FREEZE.unlink()
    os.kill(os.getpid(), signal.SIGSTOP)
    return True


class FreezingSchedule(Schedule):
    async def tick(self) -> None:
        freeze_when_told()
        await super().tick()


class NaiveSchedule(Schedule):
    async def tick(self) -> None:
        # To the end, also when the coordinator has meanwhile found out, and for several slots when it was woken up:
        # the other one may have looked just before and just after one second. The bug is not a matter of luck.
        await asyncio.shield(self._slots(3 if freeze_when_told() else 1))

    async def _slots(self, number: int) -> None:
        for left in reversed(range(number)):
            with contextlib.suppress(Deposed):  # the note of the run asks for the term; the bug is done by then
                await super().tick()
            if left:
                await asyncio.sleep(1.0)

    async def _take(self, session: PlatformSession, task: Task) -> tuple[SlotTaken, int]:
        [[(now,)]] = await session.load(Bound("SELECT clock_timestamp()", {}))
        slot = datetime.fromtimestamp(math.floor(now.timestamp()), UTC)
        taken = SlotTaken(slot, True, (slot + timedelta(seconds=1) - now).total_seconds(), now)
        assert task.fill is not None
        return taken, await task.fill(session, taken)


async def have_effect(session: PlatformSession, slot: SlotTaken) -> int:
    """A row without any uniqueness, so that two are seen as two."""
    add: Bound[Any] = Bound(
        "INSERT INTO jobs (tenant_id, id, kind, run_at, payload) SELECT tenant_id, gen_random_uuid(), 'probe.tick',"
        " now() + interval '1 day', jsonb_build_object('slot', %(slot)s::text, 'pid', %(pid)s::int)"
        " FROM tenants WHERE slug = 'ticking'",
        {"slot": slot.slot.isoformat(), "pid": os.getpid()},
    )
    session.save(add)
    return 1


if __name__ == "__main__":
    schedule = NaiveSchedule if os.environ.get("NAIVE") else FreezingSchedule
    setattr(workers.leading, "Schedule", schedule)  # noqa: B010  # a module does not export what it imports
    uvloop.run(run_process((Task("probe.tick", 1.0, fill=have_effect),)))
