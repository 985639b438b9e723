"""A scheduler of tenants' schedules without a lead: `python -m tests.workers.probe_scheduler`, any number of them.

While PROBE_FREEZE exists, whoever has just read what is due removes it and freezes before writing. With NAIVE it has
a planted bug: it writes what it decided, without asking whether the schedule is as it was read and the slot free.
"""

import asyncio
import contextlib
import os
import signal
from collections.abc import Sequence
from pathlib import Path

import uvloop

import workers.tenant_schedules
from db.pool import Pool
from db.statement import Bound
from erp.settings import load_settings
from tenancy.platform import PlatformDatabase
from workers.tenant_schedules import Decided, TenantSchedules, fire
from workers.tenant_schedules_repository import Due

FREEZE = Path(os.environ["PROBE_FREEZE"])


def freezing(found: Sequence[tuple[Due, Decided]]) -> Bound[tuple[str]]:
    with contextlib.suppress(FileNotFoundError):  # one of them finds it
        FREEZE.unlink()
        os.kill(os.getpid(), signal.SIGSTOP)
    if not os.environ.get("NAIVE"):
        return fire(found)
    runs = [run for _, decided in found for run in decided.runs]
    return Bound(
        "WITH moved AS (UPDATE schedules SET next_at = now() + interval '1 hour' WHERE id = ANY(%(schedules)s))"
        " INSERT INTO jobs (tenant_id, id, kind, run_at, payload) SELECT tenant, gen_random_uuid(), 'probe.naive',"
        " now() + interval '1 day', jsonb_build_object('schedule_id', schedule, 'slot', slot::text)"
        " FROM unnest(%(tenants)s::uuid[], %(schedules)s::uuid[], %(slots)s::timestamptz[]) AS t (tenant, schedule,"
        " slot) RETURNING 'clock'",
        {
            "tenants": [run.tenant for run in runs],
            "schedules": [run.schedule for run in runs],
            "slots": [run.slot for run in runs],
        },
    )


async def run() -> None:
    pool = Pool(load_settings().platform_url, name="platform", size=2)
    await pool.open()
    schedules = TenantSchedules(PlatformDatabase(pool))
    setattr(workers.tenant_schedules, "fire", freezing)  # noqa: B010  # what the module calls
    ending = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ending.set)
    FREEZE.with_name(f"ready-{os.getpid()}").touch()
    while not ending.is_set():
        await schedules.tick()
        await asyncio.sleep(0.05)
    await pool.close()


if __name__ == "__main__":
    uvloop.run(run())
