"""Keeps the leases of a worker process's jobs, and ends the jobs whose lease is lost."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, Literal

import psycopg

from db.errors import DomainError
from fleet.logging import get_logger
from tenancy.platform import PlatformDatabase
from workers.claim import Claim
from workers.operation import Operation
from workers.repository import RENEW

log = get_logger("workers.heart")

Ending = Literal["fenced", "handed_back", "timed_out"]


class Attempt:
    """A handler that runs, and why it was told to stop (None: it was not)."""

    def __init__(self, claim: Claim, work: Awaitable[Any], lease: float, operation: Operation) -> None:
        self.claim = claim
        self.operation = operation
        self.why: Ending | None = None
        self.task = asyncio.ensure_future(work)
        self.held_until = time.monotonic() + lease

    def stop(self, why: Ending) -> None:
        """Cancel the handler; the first reason counts."""
        if not self.task.done():
            self.why = self.why or why
            self.task.cancel()


class Heart:
    """One statement renews all leases of the process. `lease` and `interval` in seconds."""

    def __init__(self, platform: PlatformDatabase, *, lease: float, interval: float) -> None:
        self._platform = platform
        self._lease = lease
        self._interval = interval
        self._attempts: dict[tuple[Any, ...], Attempt] = {}

    @asynccontextmanager
    async def keeping(self, attempt: Attempt) -> AsyncIterator[None]:
        """The attempt's lease is renewed inside the block."""
        key = (attempt.claim.tenant_id, attempt.claim.id, attempt.claim.fence)
        self._attempts[key] = attempt
        try:
            yield
        finally:
            del self._attempts[key]

    async def beat_forever(self) -> None:
        while True:
            await asyncio.sleep(self._interval)
            if self._attempts:
                await self._beat()

    async def drain(self, patience: float) -> None:
        """Give running jobs `patience` seconds to end, then hand back those that are left."""
        await asyncio.sleep(patience)
        for attempt in list(self._attempts.values()):
            attempt.stop("handed_back")

    async def _beat(self) -> None:
        # In one order, as their ends are written: nobody waits in a circle.
        asked, begun = dict(sorted(self._attempts.items(), key=lambda item: item[0])), time.monotonic()
        try:
            [rows] = await self._platform.ask(
                RENEW(
                    tenants=[key[0] for key in asked], job_ids=[key[1] for key in asked],
                    fences=[key[2] for key in asked], lease=timedelta(seconds=self._lease),
                )
            )  # fmt: skip
            renewed = {row[:3]: row[3] for row in rows}
        except (psycopg.Error, DomainError, OSError, TimeoutError) as error:
            log.warning("leases not renewed", reason=type(error).__name__, jobs=len(asked))
            renewed = None
        for key, attempt in asked.items():
            if renewed is not None and key in renewed:
                attempt.held_until = begun + self._lease
                if renewed[key]:
                    attempt.operation.ask_to_stop()
            elif renewed is not None or time.monotonic() >= attempt.held_until:
                # Lost, or so long unconfirmed that another worker may own the job by now.
                attempt.stop("fenced")
