"""Carries to Redis which position a caller's last write has, without making the write wait for it."""

import asyncio
import logging
from collections import deque
from functools import partial
from typing import Any, NamedTuple

from redis.exceptions import RedisError

from db.redis import Script
from db.redis_channel import Channel, Resting

logger = logging.getLogger(__name__)

REMEMBER = Script.load("tenancy", "lua/remember.lua")
#: Seconds in which finished writes are gathered into one message, and between attempts without Redis.
BATCH_SECONDS = 0.002
AGAIN_SECONDS = 1.0
#: Seconds after which nobody asks for a position any more, and a bound on what is kept meanwhile.
FORGET_SECONDS = 60.0
MAX_KEPT = 10_000


class _Finished(NamedTuple):
    key: str
    slot: str
    position: str
    at: float


class WriteMemory:
    """One message per couple of milliseconds for all writes this process finished in them.

    A message that failed is repeated until nobody could ask any more. The repetition no longer counts the
    write as finished (the first may have arrived): the caller then reads from the primary a little longer.
    """

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        #: Slots the unfinished writes of this process were begun in, oldest first, per caller.
        self._begun: dict[str, deque[str]] = {}
        self._finished: list[_Finished] = []
        self._bumps: set[str] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._sending = 0
        self._closed = False

    def begin(self, key: str, slot: int | None) -> None:
        """A write was admitted in `slot`; None when Redis was away and knows nothing of it."""
        self._begun.setdefault(key, deque()).append("" if slot is None else str(slot))

    def finish(self, key: str, position: int | None) -> None:
        """The write ended: at `position`, or without a commit."""
        slots = self._begun.get(key)
        slot = slots.popleft() if slots else ""
        if not slots:
            self._begun.pop(key, None)
        if slot or position is not None:
            loop = asyncio.get_running_loop()
            written = "" if position is None else str(position)
            self._keep([_Finished(key, slot, written, loop.time())], loop, BATCH_SECONDS)

    async def bump(self, key: str) -> bool:
        """Count up a version; False when Redis is away: it is then done as soon as it is back."""
        try:
            await self._channel.execute_command("INCR", key)
        except RedisError:
            self._bumps.add(key)
            self._schedule(asyncio.get_running_loop(), AGAIN_SECONDS)
            return False
        return True

    async def flush(self) -> None:
        """Send what is gathered now and wait (bounded) for the answer."""
        if self._timer is not None:
            self._timer.cancel()
            self._send(asyncio.get_running_loop())
        if self._sending:
            await asyncio.wait([self._channel.send("PING")])  # answered after what was sent before it

    async def close(self) -> None:
        """The last flush; what Redis does not hear now is forgotten."""
        self._closed = True
        await self.flush()

    def _keep(self, entries: list[_Finished], loop: asyncio.AbstractEventLoop, seconds: float) -> None:
        room = MAX_KEPT - len(self._finished)
        if len(entries) > room:
            logger.warning("forgetting the positions of %d writes: Redis is away", len(entries) - room)
        self._finished += entries[:room]
        self._schedule(loop, seconds)

    def _schedule(self, loop: asyncio.AbstractEventLoop, seconds: float) -> None:
        if self._timer is None and not self._closed:
            self._timer = loop.call_later(seconds, self._send, loop)

    def _send(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = None
        gathered, self._finished = self._finished, []
        young = [entry for entry in gathered if loop.time() - entry.at < FORGET_SECONDS]
        if young:
            self._sending += 1

            def done(reply: Any, error: BaseException | None) -> None:
                self._sending -= 1
                if error is not None:
                    unsent = isinstance(error, Resting)
                    self._keep([entry if unsent else entry._replace(slot="") for entry in young], loop, AGAIN_SECONDS)

            arguments = [part for entry in young for part in (entry.slot, entry.position)]
            REMEMBER.post(self._channel, [entry.key for entry in young], *arguments, done=done)
        bumps, self._bumps = self._bumps, set()
        for key in bumps:
            self._channel.send("INCR", key).add_done_callback(partial(self._bumped, key, loop))

    def _bumped(self, key: str, loop: asyncio.AbstractEventLoop, reply: asyncio.Future[Any]) -> None:
        if reply.cancelled() or reply.exception() is not None:
            self._bumps.add(key)
            self._schedule(loop, AGAIN_SECONDS)
