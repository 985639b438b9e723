"""Jobs whose worker was lost with them: one of them may have killed it, so each begins alone in its process.

Whatever kills its process takes nobody along from its second attempt on, and the others come through.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final

#: The `error_code` of a job whose last attempt ended with its worker.
WORKER_LOST: Final = "worker-lost"
#: Seconds that a suspect waits for the others to end, and then has to itself: nobody waits longer for its process.
PATIENCE: Final = 2.0


class Quarantine:
    """Of one process; all of it in one event loop. Every job that enters leaves once."""

    def __init__(self, patience: float = PATIENCE) -> None:
        self._patience = patience
        self._open = asyncio.Event()
        self._open.set()
        self._suspect: object | None = None
        self._inside = 0
        self._alone = asyncio.Event()

    @property
    def taken(self) -> bool:
        """True while a suspect has the process to itself, or is about to."""
        return self._suspect is not None

    async def enter(self, jobs: int) -> None:
        """So many jobs may be claimed now; waits while a suspect is alone, so that nothing is lost unbegun."""
        await self._open.wait()
        self._inside += jobs

    def leave(self, jobs: int = 1) -> None:
        self._inside -= jobs
        if self._inside <= 1:
            self._alone.set()

    @asynccontextmanager
    async def alone(self) -> AsyncIterator[None]:
        """For a job that has entered, while it is not `taken`: the others end, as far as they do in time."""
        me = self._suspect = object()
        self._open.clear()
        self._alone.clear()
        timer: asyncio.TimerHandle | None = None
        try:
            if self._inside > 1:
                with suppress(TimeoutError):  # what takes longer goes on beside it
                    async with asyncio.timeout(self._patience):
                        await self._alone.wait()
            timer = asyncio.get_running_loop().call_later(self._patience, self._end, me)
            yield
        finally:
            if timer is not None:
                timer.cancel()
            self._end(me)

    def _end(self, suspect: object) -> None:
        if self._suspect is suspect:
            self._suspect = None
            self._open.set()
