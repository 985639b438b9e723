"""A worker that runs one job with the product's own handlers and kills itself (SIGKILL) at one of its commits.

The argument: a `Doom` as JSON.
"""

import asyncio
import os
import signal
import sys
from typing import Literal
from uuid import UUID

import msgspec

from erp.projections import building
from erp.runtime import build_runtime
from erp.settings import load_settings
from tenancy.work import UnitOfWork
from workers.actors import KINDS
from workers.heart import Heart
from workers.runner import Runner
from workers.settings import load_worker_settings


class Doom(msgspec.Struct, frozen=True):
    """It dies at its `commit`-th commit: `before` it, with everything written, or `after` it. `batch`: events of one
    step of a rebuild."""

    tenant: UUID
    job: UUID
    commit: int
    when: Literal["before", "after"]
    batch: int = building.BATCH


def condemn(doom: Doom) -> None:
    real, made = UnitOfWork.commit, [0]

    async def commit(work: UnitOfWork) -> int | None:
        made[0] += 1
        if made[0] == doom.commit and doom.when == "before":
            work._leave_trail()
            await work.load()
            os.kill(os.getpid(), signal.SIGKILL)
        position = await real(work)
        if made[0] == doom.commit:
            os.kill(os.getpid(), signal.SIGKILL)
        return position

    setattr(UnitOfWork, "commit", commit)  # noqa: B010  # nothing of it outlives the process
    building.BATCH = doom.batch


async def main(doom: Doom) -> None:
    condemn(doom)
    settings = load_worker_settings()
    runtime = build_runtime(load_settings())
    await runtime.open()
    heart = Heart(runtime.platform, lease=settings.job_lease, interval=settings.job_heartbeat)
    runner = Runner(runtime.platform, runtime.database, heart, KINDS, settings, runtime.metering)
    await runner.run(doom.tenant, doom.job)


if __name__ == "__main__":
    asyncio.run(main(msgspec.json.decode(sys.argv[1], type=Doom)))
