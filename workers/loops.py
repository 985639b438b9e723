"""Loops that outlive what they depend on: a pass that fails is tried again, later and later, for ever."""

import asyncio
import random
from collections.abc import Awaitable, Callable

import psycopg
from redis.exceptions import RedisError

from db.errors import DomainError
from fleet.leader.deposed import Deposed
from fleet.logging import get_logger

log = get_logger("workers.loops")

#: PostgreSQL or Redis is away or busy, or the lead is lost: expected, worth a line when it begins and when it ends.
OUTAGES = (psycopg.OperationalError, DomainError, RedisError, OSError, TimeoutError, Deposed)

_FIRST_PAUSE = 0.2
_LONGEST_PAUSE = 5.0


class Loop:
    """Calls `step` again and again: `busy` seconds after it returned True, else after longer and longer pauses.

    The pauses double from `busy` up to `pause`, so that what has just been busy is looked at soon again and what
    is idle costs little; with `busy` 0 they are `pause` at once. Setting `wake` ends a pause. Meanwhile work
    gathers: under load a pass of many costs less than many passes.
    """

    def __init__(self, name: str, step: Callable[[], Awaitable[bool]], pause: float, busy: float = 0.0) -> None:
        self.name = name
        self.wake = asyncio.Event()
        self._step = step
        self._pause = pause
        self._busy = min(busy, pause)
        self._next = self._busy or pause
        self._failures = 0

    async def run(self, ending: asyncio.Event) -> None:
        """Until `ending` is set; a pass under way is finished first."""
        while not ending.is_set():
            self.wake.clear()
            await self._rest(again=await self._pass())

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

    async def _rest(self, *, again: bool) -> None:
        if self._failures:
            longest = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2 ** min(self._failures, 10))
            await asyncio.sleep(random.uniform(_FIRST_PAUSE, longest))
            return
        pause, self._next = self._pauses(again)
        if not pause:
            return
        try:
            async with asyncio.timeout(pause):
                await self.wake.wait()
            self._next = self._busy or self._pause
        except TimeoutError:
            return

    def _pauses(self, again: bool) -> tuple[float, float]:
        """How long to rest now, and after the next pass if that finds nothing."""
        if again:
            return self._busy, self._busy or self._pause
        return self._next, min(self._next * 2, self._pause)
