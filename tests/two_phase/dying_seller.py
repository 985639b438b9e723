"""Processes that sell to another tenant and are killed (SIGKILL, by themselves) at the edge each is told.

All are forked from one that has imported everything: a list of [key, body, edge] as JSON says what they do.

With a planted bug of PLANTED: `no-log`, the participants are told to commit before the decision is in the log.
"""

import asyncio
import json
import os
import signal
import sys
import uuid
from uuid import UUID

import db.two_phase
from db.two_phase import Gid, Observers, TwoPhase
from erp.http.commands import view_answer
from erp.intercompany.routes import SELL
from erp.runtime import build_runtime
from erp.settings import load_settings
from tenancy.database import Idempotency


def die_at(wanted: str) -> Observers:
    def edge(name: str) -> None:
        if name == wanted:
            os.kill(os.getpid(), signal.SIGKILL)

    return Observers(edge=edge)


async def forgotten(self: TwoPhase, gid: Gid, participants: list[str]) -> None:
    """The planted bug: no decision is written."""


async def main(key: str, body: bytes, edge: str) -> None:
    if os.environ.get("PLANTED") == "no-log":
        setattr(db.two_phase.TwoPhase, "log_commit", forgotten)  # noqa: B010  # replaced on purpose
    runtime = build_runtime(load_settings())
    runtime.two_phase.observers = die_at(edge)
    await runtime.open()
    caller = (await runtime.identity.authenticate(key)).caller
    idempotency = Idempotency(uuid.uuid4().hex, b"request")
    command = SELL.bind(None, SELL.decode(body))
    answer = await runtime.database.answer(caller, command, lambda view: view_answer(view, 201, None), idempotency)
    print(UUID(int=0) if answer.status != 201 else "sold")
    await runtime.close()


def forked(key: str, body: str, edge: str) -> int:
    """The exit status of one that does it."""
    if (pid := os.fork()) == 0:
        asyncio.run(main(key, body.encode(), edge))
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


if __name__ == "__main__":
    print("ended:", [forked(*told) for told in json.loads(sys.argv[1])])
