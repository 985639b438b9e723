"""Group commit inside one process: what is asked for while one transaction is under way goes with the next."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

import psycopg

from db.errors import DomainError

T = TypeVar("T")
R = TypeVar("R")

#: What one item may do to all that go with it: lock waits, bad values, a database that is away.
_FAILURES = (psycopg.Error, DomainError, OSError, TimeoutError)


class Gathering(Generic[T, R]):
    """`together` sends several items as one and answers in their order; at most `most` at a time, one call at a time.

    An item waits for nobody when nothing is under way. When a call for several fails, each of them is sent alone, so
    that nobody fails because of a neighbour.
    """

    def __init__(self, together: Callable[[Sequence[T]], Awaitable[Sequence[R]]], most: int = 64) -> None:
        self._together = together
        self._most = most
        self._waiting: list[tuple[T, asyncio.Future[R]]] = []
        self._sending: asyncio.Task[None] | None = None

    async def ask(self, item: T) -> R:
        """The item's own answer. Raises what `together` raises for the item alone."""
        answer: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, answer))
        if self._sending is None:
            # A task begins after everybody who is ready now: those who end in one turn of the loop go together.
            self._sending = asyncio.create_task(self._send())
        return await answer

    async def _send(self) -> None:
        try:
            while self._waiting:
                due, self._waiting = self._waiting[: self._most], self._waiting[self._most :]
                await self._settle(due)
        finally:
            self._sending = None

    async def _settle(self, due: Sequence[tuple[T, asyncio.Future[R]]]) -> None:
        try:
            answers = await self._together([item for item, _ in due])
        except _FAILURES as error:
            if len(due) == 1:
                _refuse(due[0][1], error)
            else:
                await asyncio.gather(*(self._settle([one]) for one in due))
        except BaseException as error:
            for _, answer in due:
                _refuse(answer, error)
            raise
        else:
            for (_, answer), value in zip(due, answers, strict=True):
                if not answer.done():
                    answer.set_result(value)


def _refuse(answer: "asyncio.Future[R]", error: BaseException) -> None:
    if answer.done():
        return
    if isinstance(error, Exception):
        answer.set_exception(error)
    else:
        answer.cancel()
