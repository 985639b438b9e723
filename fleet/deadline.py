"""How long the work at hand may still take: set where a request or a job begins, asked for by whoever waits.

A deadline only ever gets nearer. It travels with the task, and with the tasks that one starts, unless `apart`.
"""

import asyncio
import time
from contextvars import Context, ContextVar, Token, copy_context
from typing import Final, TypeVar

from db.errors import DomainError

#: What a client may ask for, in seconds, and what it gets when it asks for nothing.
SHORTEST: Final = 0.1
LONGEST: Final = 30.0

T = TypeVar("T")

_ends: ContextVar[float | None] = ContextVar("deadline", default=None)


class GivenUp:
    """Mixed into errors of whoever stopped waiting because its own time was over, not the other's: they say nothing
    about whom it waited for."""


class DeadlineExceeded(GivenUp, DomainError):
    """The time the request allowed itself has passed before this step could begin; the step was not taken.

    Fix: send the request again, with the same Idempotency-Key and a longer Request-Timeout.
    """

    code = "deadline-exceeded"
    title = "The request's time has passed"
    status = 503
    retryable = True


class InvalidTimeout(ValueError):
    """A Request-Timeout that is no plain number of seconds within its bounds."""


class Deadline:
    """Within `with Deadline(seconds):` the work must end within so many, or earlier when it had to anyway."""

    __slots__ = ("_ends", "_token")

    def __init__(self, seconds: float) -> None:
        before, asked = _ends.get(), time.monotonic() + seconds
        self._ends = asked if before is None else min(before, asked)

    def __enter__(self) -> None:
        self._token: Token[float | None] = _ends.set(self._ends)

    def __exit__(self, *_: object) -> None:
        _ends.reset(self._token)


def apart() -> Context:
    """The present context without its deadline: for work that several wait for, so that none of them bounds it."""
    context = copy_context()
    context.run(_ends.set, None)
    return context


def remaining() -> float | None:
    """Seconds left, never below zero; None when nothing bounds the work."""
    ends = _ends.get()
    return None if ends is None else max(0.0, ends - time.monotonic())


def within(seconds: float) -> float:
    """`seconds`, or what is left when that is less: the timeout of a call to somebody else.

    Raises DeadlineExceeded when nothing is left, so that the call is not begun.
    """
    left = remaining()
    if left is None:
        return seconds
    if left <= 0:
        raise DeadlineExceeded(retry_after=1)
    return min(seconds, left)


async def shared(task: "asyncio.Task[T]", *, bounded: float) -> T:
    """What a task others wait for too brings, waited for as long as this asker may; it goes on for the others.

    `bounded`: seconds after which the task ends by itself. Raises DeadlineExceeded.
    """
    left = remaining()
    if left is None or left > bounded:
        return await asyncio.shield(task)
    try:
        async with asyncio.timeout(within(left)):
            return await asyncio.shield(task)
    except TimeoutError:
        raise DeadlineExceeded("The request's time passed while it waited.", retry_after=1) from None


def parse_timeout(text: bytes) -> float:
    """The header `Request-Timeout: <seconds>` as a float. Raises InvalidTimeout."""
    whole, point, part = text.partition(b".")
    if not (whole.isdigit() and len(text) <= 8 and (not point or part.isdigit())):
        raise InvalidTimeout("Request-Timeout is a number of seconds such as 2.5.")
    seconds = float(text)
    if not SHORTEST <= seconds <= LONGEST:
        raise InvalidTimeout(f"Request-Timeout is from {SHORTEST:g} to {LONGEST:g} seconds.")
    return seconds
