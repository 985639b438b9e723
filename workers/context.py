"""What a job's handler works with: its row, its tenant's database, and the fence round its effects."""

from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from typing import Any, TypeVar

from psycopg.types.json import Jsonb

from db.statement import Bound
from erp.jobs.repository import ADVANCE, COMPLETE
from tenancy.caller import Caller
from tenancy.database import TenantDatabase
from tenancy.work import UnitOfWork
from workers.claim import Claim
from workers.fence import Fenced as Fenced
from workers.operation import Operation

T = TypeVar("T")


class GiveUp(Exception):
    """Repeating cannot help: the job fails at once, whatever attempts it has left."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail


class Later(Exception):
    """Nothing is wrong, but it has to wait for something: the job is begun again after `delay`, and this attempt does
    not count. One that was cancelled meanwhile ends instead."""

    def __init__(self, delay: timedelta) -> None:
        super().__init__(f"again in {delay.total_seconds():g} s")
        self.delay = delay


class JobContext:
    """One attempt of one job.

    Effects go through `run` or `step`, whose transactions commit only while this attempt still owns the
    job. A handler that is one command uses `run`: effect and end of the job are one commit. What it has to say
    while it runs goes through `operation`.
    """

    def __init__(self, job: Claim, caller: Caller, database: TenantDatabase) -> None:
        self.job = job
        self.caller = caller
        self.database = database
        self.completed = False
        self.operation = Operation(job, caller, database)

    @property
    def payload(self) -> dict[str, Any]:
        return self.job.payload

    async def run(
        self,
        command: Callable[[UnitOfWork], Awaitable[T]],
        result: Callable[[T], Mapping[str, Any] | None] = lambda value: None,
    ) -> T:
        """The command and the end of the job in one transaction. Raises Fenced, DomainError."""

        def complete(value: T) -> Bound[Any]:
            outcome = result(value)
            return COMPLETE(
                job_id=self.job.id, fence=self.job.fence, outcome=None if outcome is None else Jsonb(dict(outcome))
            )

        value = await self._guarded(command, complete)
        self.completed = True
        return value

    async def step(
        self,
        command: Callable[[UnitOfWork], Awaitable[T]],
        progress: Callable[[T], Mapping[str, Any] | None] = lambda value: None,
    ) -> T:
        """One of several commands, and how far the job is; new progress forgives earlier crashes.

        Raises Fenced, DomainError.
        """

        def advance(value: T) -> Bound[Any]:
            made = progress(value)
            return ADVANCE(
                job_id=self.job.id, fence=self.job.fence, done_so_far=None if made is None else Jsonb(dict(made))
            )

        return await self._guarded(command, advance)

    async def _guarded(self, command: Callable[[UnitOfWork], Awaitable[T]], end: Callable[[T], Bound[Any]]) -> T:
        async def guarded(work: UnitOfWork) -> T:
            value = await command(work)
            # Last, so that the command keeps its own shape. The row stays locked until the commit: nobody
            # can claim the job between this check and the effect.
            [held] = await work.load(end(value))
            if not held:
                raise Fenced(f"job {self.job.id} is no longer at fence {self.job.fence}")
            if held[0][1]:
                self.operation.ask_to_stop()
            return value

        return (await self.database.run(self.caller, guarded)).value
