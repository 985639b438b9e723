"""A subscription that is always being restored: what was said while it was down is lost, and nobody counts on it."""

import asyncio
import random
from collections.abc import Callable, Sequence
from typing import Final

from redis.asyncio import Redis
from redis.asyncio.client import PubSub
from redis.exceptions import RedisError

from fleet.logging import get_logger

log = get_logger("fleet.instances")

#: Seconds without any message after which the connection is asked whether it is there.
_PING_EVERY: Final = 2.0


class Ears:
    """Calls `heard` with each message's bytes. `redis` is a client for this alone."""

    def __init__(self, redis: Redis, channels: Sequence[str], heard: Callable[[bytes], None]) -> None:
        self._redis = redis
        self._channels = channels
        self._heard = heard
        self._task: asyncio.Task[None] | None = None
        self.listening = asyncio.Event()

    async def start(self) -> None:
        """Begin to listen; waits a second at most for the subscription."""
        self._task = asyncio.create_task(self._listen_forever(), name="instance-messages")
        try:
            async with asyncio.timeout(1.0):
                await self.listening.wait()
        except TimeoutError:
            log.warning("messages of other instances cannot be heard yet")

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self._redis.aclose()

    async def _listen_forever(self) -> None:
        while True:
            try:
                async with self._redis.pubsub() as subscription:
                    await subscription.subscribe(*self._channels)
                    await self._follow(subscription)
            except (RedisError, OSError, TimeoutError) as error:
                if self.listening.is_set():
                    log.warning("messages of other instances are not heard", reason=type(error).__name__)
            finally:
                self.listening.clear()
            await asyncio.sleep(random.uniform(0.2, 0.5))

    async def _follow(self, subscription: PubSub) -> None:
        """Until the connection fails; a silent one is asked whether it is there."""
        subscribed, asked = 0, False
        while True:
            message = await subscription.get_message(timeout=_PING_EVERY)
            if message is None:
                if asked:
                    raise TimeoutError("the subscription does not answer")
                await subscription.ping()
                asked = True
                continue
            asked = False
            if message["type"] == "message":
                self._heard(message["data"])
            elif message["type"] == "subscribe":
                subscribed += 1
                if subscribed == len(self._channels):
                    self.listening.set()
