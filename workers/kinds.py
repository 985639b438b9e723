"""Kinds of jobs: what runs, for how long at most."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from workers.context import JobContext

#: What a job leaves as its result: JSON, or None.
Result = Mapping[str, Any] | None
Handler = Callable[[JobContext], Awaitable[Result]]


@dataclass(frozen=True, slots=True)
class JobKind:
    """`run` may be called any number of times for one job, also while an earlier call still goes on somewhere.

    It never blocks the event loop. `time_limit`: seconds one attempt may take.
    """

    name: str
    run: Handler
    time_limit: float = 60.0


def by_name(kinds: Iterable[JobKind]) -> dict[str, JobKind]:
    """Raises ValueError when two kinds share a name."""
    found: dict[str, JobKind] = {}
    for kind in kinds:
        if kind.name in found:
            raise ValueError(f"two kinds of jobs are called {kind.name!r}")
        found[kind.name] = kind
    return found
