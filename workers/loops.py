"""Loops that outlive what they depend on: a pass that fails is tried again, later and later, for ever."""

import asyncio
import random
from collections.abc import Awaitable, Callable

import psycopg
from redis.exceptions import RedisError

from db.errors import DomainError
from fleet.logging import get_logger

log = get_logger("workers.loops")

#: PostgreSQL or Redis is away or busy: expected, worth a line when it begins and one when it ends.
OUTAGES = (psycopg.OperationalError, DomainError, RedisError, OSError, TimeoutError)

_FIRST_PAUSE = 0.2
_LONGEST_PAUSE = 5.0


class Loop:
    """Calls `step` every `pause` seconds, again at once when it returns True, or when `wake` is set."""

    def __init__(self, name: str, step: Callable[[], Awaitable[bool]], pause: float) -> None:
        self.name = name
        self.wake = asyncio.Event()
        self._step = step
        self._pause = pause
        self._failures = 0

    async def run(self, ending: asyncio.Event) -> None:
        """Until `ending` is set; a pass under way is finished first."""
        while not ending.is_set():
            self.wake.clear()
            if not await self._pass():
                await self._rest()

    async def _pass(self) -> bool:
        try:
            again = await self._step()
        except OUTAGES as error:
            self._note(error, "a pass failed")
            return False
        except Exception as error:  # a defect must not take the other loops down with it
            log.exception("a pass broke", loop=self.name)
            self._note(error, "a pass broke")
            return False
        if self._failures:
            log.warning("works again", loop=self.name, failures=self._failures)
        self._failures = 0
        return again

    def _note(self, error: Exception, text: str) -> None:
        if not self._failures:
            log.warning(text, loop=self.name, reason=f"{type(error).__name__}: {error}")
        self._failures += 1

    async def _rest(self) -> None:
        if self._failures:
            longest = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2 ** min(self._failures, 10))
            await asyncio.sleep(random.uniform(_FIRST_PAUSE, longest))
            return
        try:
            async with asyncio.timeout(self._pause):
                await self.wake.wait()
        except TimeoutError:
            return
