"""Workers that run one saga's job each and are killed (SIGKILL, by themselves) at the edge each is told.

All are forked from one that has imported everything. The argument: a list of `Death` as JSON.
"""

import asyncio
import os
import signal
import ssl
import sys
from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

import httpx
import msgspec

from erp.fulfilment.service import JOB_KIND
from erp.runtime import build_runtime
from erp.settings import load_settings
from workers.actors.fulfilment import SAGAS
from workers.context import JobContext
from workers.heart import Heart
from workers.kinds import JobKind
from workers.runner import Runner
from workers.sagas.runner import SagaRunner
from workers.settings import load_worker_settings

#: How many live at the same time.
_AT_ONCE = 4


class Meanwhile(msgspec.Struct, frozen=True):
    """What somebody else does when the saga is past an edge, so that the rest of it becomes impossible."""

    edge: str
    url: str
    key: str
    authority: str
    body: dict[str, str]


class Death(msgspec.Struct, frozen=True):
    tenant: UUID
    job: UUID
    edge: str
    meanwhile: Meanwhile | None = None


def edges_of(death: Death) -> Callable[[str], None]:
    def edge(name: str) -> None:
        if name == death.edge:
            os.kill(os.getpid(), signal.SIGKILL)
        if death.meanwhile is not None and name == death.meanwhile.edge:
            _request(death.meanwhile)

    return edge


def _request(asked: Meanwhile) -> None:
    """Blocks the loop on purpose: nothing else of the process may happen meanwhile."""
    headers = {"Authorization": f"Bearer {asked.key}", "Idempotency-Key": uuid4().hex}
    trust = ssl.create_default_context(cafile=asked.authority)
    with httpx.Client(verify=trust, trust_env=False, headers=headers) as client:
        client.post(asked.url, json=asked.body).raise_for_status()


async def main(death: Death) -> None:
    """The worker's own runner, on the job's own row."""

    async def run(context: JobContext) -> dict[str, Any]:
        runner = SagaRunner(context.step, SAGAS, edges_of(death))
        return {"state": await runner.run(UUID(context.payload["saga_id"]))}

    settings = load_worker_settings()
    runtime = build_runtime(load_settings())
    await runtime.open()
    heart = Heart(runtime.platform, lease=settings.job_lease, interval=settings.job_heartbeat)
    kinds = {JOB_KIND: JobKind(JOB_KIND, run)}
    runner = Runner(runtime.platform, runtime.database, heart, kinds, settings, runtime.metering)
    await runner.run(death.tenant, death.job)
    await runtime.close()


def forked(death: Death) -> int:
    """The process that does it."""
    if (pid := os.fork()) == 0:
        asyncio.run(main(death))
        os._exit(0)
    return pid


def ended(deaths: list[Death]) -> list[int]:
    """Their exit statuses."""
    found: list[int] = []
    for first in range(0, len(deaths), _AT_ONCE):
        pids = [forked(death) for death in deaths[first : first + _AT_ONCE]]
        found += [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]
    return found


if __name__ == "__main__":
    print("ended:", ended(msgspec.json.decode(sys.argv[1], type=list[Death])))
