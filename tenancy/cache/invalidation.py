"""Hearing of changes: every instance listens; one that cannot hear keeps nothing it might have missed."""

import asyncio
import contextlib
import logging
from collections.abc import Callable

from redis.asyncio import Redis
from redis.asyncio.client import PubSub
from redis.exceptions import RedisError

logger = logging.getLogger(__name__)

CHANNEL = "cache:changed"
#: Seconds without any message after which the subscription itself is asked for.
_PING_EVERY = 1.0
_RETRY_AFTER = 0.5


class Listener:
    """Calls `changed` with the lines of each message (sender, then tags with their tenants), `lost` when deaf.

    It is `lost` again when the subscription stands: whatever was said before was not heard.
    """

    def __init__(self, redis: Redis, changed: Callable[[list[str]], None], lost: Callable[[], None]) -> None:
        self._redis = redis
        self._changed = changed
        self._lost = lost
        self._task: asyncio.Task[None] | None = None
        self.listening = asyncio.Event()

    async def start(self) -> None:
        """Begin to listen; waits a second at most for the subscription."""
        self._task = asyncio.get_running_loop().create_task(self._listen())
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.listening.wait(), 1.0)

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _listen(self) -> None:
        while True:
            try:
                async with self._redis.pubsub(ignore_subscribe_messages=False) as subscription:
                    await subscription.subscribe(CHANNEL)
                    await self._follow(subscription)
            except (RedisError, OSError, TimeoutError) as error:
                logger.info("changes are not heard, memory is emptied: %s", error)
            finally:
                self.listening.clear()
                self._lost()
            await asyncio.sleep(_RETRY_AFTER)

    async def _follow(self, subscription: PubSub) -> None:
        """Until the connection fails. A silent one is asked whether it is there."""
        asked = False
        while True:
            message = await subscription.get_message(timeout=_PING_EVERY)
            if message is None:
                if asked:
                    raise TimeoutError("the subscription does not answer")
                await subscription.ping()
                asked = True
                continue
            asked = False
            if message["type"] == "subscribe":
                self._lost()  # whatever was said before the subscription stood was not heard
                self.listening.set()
            elif message["type"] == "message":
                self._changed(message["data"].decode().split("\n"))
