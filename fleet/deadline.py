"""How long the work at hand may still take: set where a request or a job begins, asked for by whoever waits.

A deadline only ever gets nearer. It travels with the task, and with the tasks that one starts.
"""

import time
from contextvars import Context, ContextVar, Token, copy_context
from typing import Final

from db.errors import DomainError

#: What a client may ask for, in seconds, and what it gets when it asks for nothing.
SHORTEST: Final = 0.1
LONGEST: Final = 30.0

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


def unhurried() -> Context:
    """For tasks whose result others wait for, too: the context without the deadline of who happened to begin it."""
    context = copy_context()
    context.run(_ends.set, None)
    return context


def parse_timeout(text: bytes) -> float:
    """The header `Request-Timeout: <seconds>` as a float. Raises InvalidTimeout."""
    whole, point, part = text.partition(b".")
    if not (whole.isdigit() and len(text) <= 8 and (not point or part.isdigit())):
        raise InvalidTimeout("Request-Timeout is a number of seconds such as 2.5.")
    seconds = float(text)
    if not SHORTEST <= seconds <= LONGEST:
        raise InvalidTimeout(f"Request-Timeout is from {SHORTEST:g} to {LONGEST:g} seconds.")
    return seconds
