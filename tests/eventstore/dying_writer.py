"""A writer that appends to streams for ever, several at once, until it is killed; it says what was acknowledged.

The argument: {"tenant", "slug", "streams", "after"} as JSON. With `after` it kills itself (SIGKILL) in the middle of
the append behind so many: everything of it is written, nothing is committed.
"""

import asyncio
import os
import signal
import sys
from uuid import UUID

import msgspec

from erp.eventstore.schemas import AppendInput
from erp.eventstore.service import append_event
from erp.runtime import build_runtime
from erp.settings import load_settings
from tenancy.caller import TenantFacts, system_caller
from tenancy.work import UnitOfWork

#: Events of one transaction of the writer, each on the next version.
TOGETHER = 3


class Task(msgspec.Struct, frozen=True):
    tenant: UUID
    slug: str
    streams: list[UUID]
    after: int | None = None


async def append(work: UnitOfWork, stream: UUID, version: int) -> None:
    """Several events of the stream in one transaction."""
    for behind in range(TOGETHER):
        data = {"n": version + behind + 1}
        await append_event(
            work, AppendInput(stream_type="x-log", stream_id=stream, expected_version=version + behind,
                              type="x-log.written", data=data),
        )  # fmt: skip
        work._leave_trail()
        await work.load()


async def main(task: Task) -> None:
    runtime = build_runtime(load_settings())
    await runtime.open()
    facts = TenantFacts(task.tenant, task.slug, "Test tenant", "active", "GBP", "GB", "Europe/London")
    caller, done = system_caller(facts, name="writer", correlation_id="test-writer"), [0]

    async def write(stream: UUID) -> None:
        version = 0
        while True:

            async def command(work: UnitOfWork, version: int = version) -> None:
                await append(work, stream, version)
                if task.after is not None and done[0] >= task.after:
                    os.kill(os.getpid(), signal.SIGKILL)

            await runtime.database.run(caller, command)
            version += TOGETHER
            done[0] += 1
            print(f"acknowledged {stream} {version}", flush=True)

    await asyncio.gather(*(write(stream) for stream in task.streams))


if __name__ == "__main__":
    asyncio.run(main(msgspec.json.decode(sys.argv[1], type=Task)))
