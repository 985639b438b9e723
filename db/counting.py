"""Counts round trips of the current task, so that tests assert budgets instead of times."""

from collections.abc import Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(slots=True)
class RoundTrips:
    """Flushes sent to PostgreSQL and the statements in them, and awaited calls to Redis."""

    postgres: int = 0
    redis: int = 0
    statements: list[str] = field(default_factory=list)


#: Set to a fresh `RoundTrips` by whoever wants the counts; None costs one lookup.
round_trips: ContextVar[RoundTrips | None] = ContextVar("round_trips", default=None)


class Sent(Protocol):
    @property
    def sql(self) -> str: ...


def count_flush(statements: Sequence[Sent]) -> None:
    if counter := round_trips.get():
        counter.postgres += 1
        counter.statements += [statement.sql for statement in statements]


def count_redis() -> None:
    if counter := round_trips.get():
        counter.redis += 1
