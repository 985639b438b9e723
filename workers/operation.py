"""What a handler says of a long job while it runs, and how it hears that it should stop."""

import asyncio
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

import psycopg

from db.clock import clock
from db.errors import DomainError
from erp.jobs.operations.repository import REPORT
from erp.jobs.operations.schemas import LogLevel
from fleet.logging import get_logger
from fleet.redaction import redact_text
from tenancy.caller import Caller
from tenancy.database import TenantDatabase
from tenancy.work import UnitOfWork
from workers.claim import Claim
from workers.fence import Fenced

log = get_logger("workers.operation")

#: Seconds between two reports of one job; what is said meanwhile goes with the next.
_PAUSE: Final = 1.0
#: Lines held back at most: with more to say a handler waits for the database, and while that is away the oldest go.
_HELD: Final = 200
_MESSAGE: Final = 1_000
#: Seconds the last report may take when the job has ended.
_LAST: Final = 5.0
_OUTAGES = (psycopg.OperationalError, DomainError, OSError, TimeoutError)


class Cancelled(Exception):
    """Somebody asked for it: the job ends as cancelled. `result`: what it had come to."""

    def __init__(self, result: Mapping[str, Any] | None = None) -> None:
        super().__init__("cancelled")
        self.result = result


class Operation:
    """Of one attempt. Reports are transactions of their own, once a second at most, and refused (Fenced) when the job
    belongs to another worker. A database that is away delays them; it does not fail the job.

    `cancelled` is true once the operation was asked to stop: learned with every report and step, and with every
    heartbeat of the worker. Handlers ask between two batches, best with `stop_if_cancelled`.
    """

    def __init__(self, job: Claim, caller: Caller, database: TenantDatabase) -> None:
        self.cancelled = False
        self._job = job
        self._caller = caller
        self._database = database
        self._progress: tuple[int, int | None, str | None] | None = None
        self._lines: list[tuple[datetime, str, str]] = []
        self._reported_at = float("-inf")

    async def progress(self, done: int, total: int | None = None, unit: str | None = None) -> None:
        """How far it is; a `total` or `unit` left out stays as it was. Raises Fenced."""
        self._progress = (max(0, done), total, unit)
        await self._report_in_time()

    async def log(self, message: str, level: LogLevel = "info") -> None:
        """A line for whoever follows the operation: without secrets, cut at 1,000 characters. Raises Fenced."""
        text = redact_text(message).encode(errors="replace").decode().replace("\x00", "")
        self._lines.append((clock.now(), level, text[:_MESSAGE]))
        await self._report_in_time()

    def stop_if_cancelled(self, result: Mapping[str, Any] | None = None) -> None:
        """Raises Cancelled, which ends the job with this result, when the operation was asked to stop."""
        if self.cancelled:
            raise Cancelled(result)

    def ask_to_stop(self) -> None:
        """The worker has learned that the operation is to be cancelled."""
        self.cancelled = True

    async def flush(self) -> None:
        """Report what has not been reported, whatever the time. Raises Fenced."""
        if self._progress is None and not self._lines:
            return
        self._reported_at = asyncio.get_running_loop().time()
        progress, lines = self._progress, self._lines[:]
        try:
            await self._report(progress or (None, None, None), lines)
        except _OUTAGES as error:
            log.warning("an operation's report is late", job=str(self._job.id), reason=type(error).__name__)
            self._lines = self._lines[-_HELD:]
            return
        self._lines = self._lines[len(lines) :]
        if self._progress is progress:
            self._progress = None

    async def finish(self) -> None:
        """The last report, when the handler has ended; it never fails and is not waited for long."""
        try:
            async with asyncio.timeout(_LAST):
                await self.flush()
        except (Fenced, TimeoutError) as error:
            log.warning("an operation's last report is lost", job=str(self._job.id), reason=type(error).__name__)

    async def _report_in_time(self) -> None:
        waited = asyncio.get_running_loop().time() - self._reported_at
        if waited >= _PAUSE or (len(self._lines) >= _HELD and waited >= _PAUSE / 10):
            await self.flush()

    async def _report(
        self, progress: tuple[int | None, int | None, str | None], lines: list[tuple[datetime, str, str]]
    ) -> None:
        job = self._job
        statement = REPORT(
            operation_id=job.id, fence=job.fence, done_now=progress[0], total_now=progress[1], unit_now=progress[2],
            moments=[line[0] for line in lines], levels=[line[1] for line in lines],
            messages=[line[2] for line in lines],
        )  # fmt: skip

        async def report(work: UnitOfWork) -> bool:
            [rows] = await work.load(statement)
            if not rows:
                raise Fenced(f"job {job.id} is no longer at fence {job.fence}")
            return bool(rows[0][0])

        if (await self._database.run(self._caller, report)).value:
            self.ask_to_stop()
