"""A worker's side of a queue: it waits inside Redis for the next message instead of asking again and again."""

import contextlib
import time
from collections import deque
from collections.abc import Callable, Iterable
from threading import Event
from typing import Any

from dramatiq import MessageProxy
from dramatiq.broker import Consumer
from dramatiq.errors import ConnectionClosed
from redis import ConnectionError as Disconnected
from redis import Redis
from redis import TimeoutError as TooSlow

#: Messages a thread works off in the last second where they count as short.
_SHORT_PACE = 4


class Presence:
    """That so many threads work on a queue: a member of the sorted set `key`, as old as its score in milliseconds.

    A silence of `timeout` milliseconds takes them away, whoever killed the process; a flushed Redis has them again
    with the next time it is told.
    """

    def __init__(self, client: Redis, key: str, member: str, timeout: int) -> None:
        self._client, self._key, self._member, self._timeout = client, key, member, timeout
        self._told_at = 0

    def tell(self) -> None:
        """At most five times in `timeout`. Errors: redis.exceptions.RedisError."""
        now = int(time.time() * 1000)
        if 0 <= now - self._told_at < self._timeout // 5:
            return
        pipe = self._client.pipeline(transaction=False)
        pipe.zadd(self._key, {self._member: now})
        pipe.zremrangebyscore(self._key, "-inf", now - 10 * self._timeout)
        pipe.execute()
        self._told_at = now

    def end(self) -> None:
        """Take them away at once. Errors: redis.exceptions.RedisError."""
        if self._told_at:
            self._client.zrem(self._key, self._member)
        self._told_at = 0


class WaitingConsumer(Consumer):
    """Dramatiq's consumer (`inner`, which is not to pause by itself), and how it waits when there is nothing to do.

    With room for a message it sleeps until Redis has one in the list `key`; without, until one of those it holds
    is acknowledged. Either way at most `rest` seconds: then it asks once, which also shows that this worker lives,
    and looks whether it is to end. While `taking` is not set it fetches nothing, and its `threads` count for nothing.

    Messages beyond those its threads work on are held only while they are short: behind a long one they would wait
    for it, whoever else has nothing to do.
    """

    def __init__(
        self, inner: Any, client: Redis, key: str, rest: float, taking: Event, presence: Presence, threads: int
    ) -> None:
        self._taking = taking
        self._presence = presence
        self._threads = threads or inner.prefetch
        self._most = inner.prefetch
        #: When the last ones were acknowledged.
        self._ended: deque[float] = deque(maxlen=_SHORT_PACE * self._threads)
        self._inner = inner
        self._client = client
        self._key = key
        self._rest = rest
        self._acknowledged = Event()

    def __next__(self) -> MessageProxy | None:
        if not self._taking.is_set():
            self._reached(self._presence.end)
            self._taking.wait(self._rest)
            return None
        self._reached(self._presence.tell)
        self._inner.prefetch = self._most if self._hurries() else min(self._threads, self._most)
        self._acknowledged.clear()
        message: MessageProxy | None = next(self._inner)
        if message is None:
            self._wait()
        return message

    def ack(self, message: MessageProxy) -> None:
        self._ended.append(time.monotonic())
        try:
            self._inner.ack(message)
        finally:
            self._acknowledged.set()

    def nack(self, message: MessageProxy) -> None:
        try:
            self._inner.nack(message)
        finally:
            self._acknowledged.set()

    def requeue(self, messages: Iterable[MessageProxy]) -> None:
        self._inner.requeue(messages)

    def close(self) -> None:
        with contextlib.suppress(ConnectionClosed):
            self._reached(self._presence.end)
        self._inner.close()

    def _hurries(self) -> bool:
        return len(self._ended) == self._ended.maxlen and time.monotonic() - self._ended[0] <= 1.0

    def _reached(self, ask: Callable[[], None]) -> None:
        try:
            ask()
        except (Disconnected, TooSlow) as error:
            raise ConnectionClosed(error) from None  # type: ignore[no-untyped-call]  # Dramatiq leaves it untyped

    def _wait(self) -> None:
        if self._inner.outstanding_message_count >= self._inner.prefetch:
            self._acknowledged.wait(self._rest)
            return
        # From the head of a list to the head of the same list changes nothing, but waits until there is one.
        self._reached(lambda: self._client.blmove(self._key, self._key, self._rest, "LEFT", "LEFT"))  # type: ignore[arg-type]  # a float it is
