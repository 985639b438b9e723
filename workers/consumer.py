"""A worker's side of a queue: it waits inside Redis for the next message instead of asking again and again."""

from collections.abc import Iterable
from threading import Event
from typing import Any

from dramatiq import MessageProxy
from dramatiq.broker import Consumer
from dramatiq.errors import ConnectionClosed
from redis import ConnectionError as Disconnected
from redis import Redis
from redis import TimeoutError as TooSlow


class WaitingConsumer(Consumer):
    """Dramatiq's consumer (`inner`, which is not to pause by itself), and how it waits when there is nothing to do.

    With room for a message it sleeps until Redis has one in the list `key`; without, until one of those it holds
    is acknowledged. Either way at most `rest` seconds: then it asks once, which also shows that this worker lives,
    and looks whether it is to end. While `taking` is not set it fetches nothing.
    """

    def __init__(self, inner: Any, client: Redis, key: str, rest: float, taking: Event) -> None:
        self._taking = taking
        self._inner = inner
        self._client = client
        self._key = key
        self._rest = rest
        self._acknowledged = Event()

    def __next__(self) -> MessageProxy | None:
        if not self._taking.wait(self._rest):
            return None
        self._acknowledged.clear()
        message: MessageProxy | None = next(self._inner)
        if message is None:
            self._wait()
        return message

    def ack(self, message: MessageProxy) -> None:
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
        self._inner.close()

    def _wait(self) -> None:
        if self._inner.outstanding_message_count >= self._inner.prefetch:
            self._acknowledged.wait(self._rest)
            return
        try:
            # From the head of a list to the head of the same list changes nothing, but waits until there is one.
            self._client.blmove(self._key, self._key, self._rest, "LEFT", "LEFT")  # type: ignore[arg-type]  # a float it is
        except (Disconnected, TooSlow) as error:
            raise ConnectionClosed(error) from None  # type: ignore[no-untyped-call]  # Dramatiq leaves it untyped
