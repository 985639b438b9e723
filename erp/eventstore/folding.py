"""What rebuilding from events means, whatever is rebuilt: events of any form in, the newest form folded."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, NamedTuple
from uuid import UUID


class StreamEvent(NamedTuple):
    """One event as it is stored."""

    event_id: UUID
    position: int
    aggregate_type: str
    aggregate_id: UUID
    version: int
    type: str
    schema_version: int
    data: dict[str, Any]
    occurred_at: datetime
    correlation_id: str | None
    causation_id: UUID | None


@dataclass(frozen=True, slots=True)
class Folded:
    """What an aggregate's events amount to. Values are as on the wire; a field nobody told is missing.

    `version` 0: no event. `broken`: why the fold ends before the last event, if it does.
    """

    version: int
    at: datetime | None
    state: Mapping[str, Any]
    complete: bool
    broken: str = ""


@dataclass(frozen=True, slots=True)
class Until:
    """How far to fold: a version, a time, or everything."""

    version: int | None = None
    time: datetime | None = None

    def covers(self, version: int, occurred_at: datetime) -> bool:
        if self.version is not None and version > self.version:
            return False
        return self.time is None or occurred_at <= self.time


Upcaster = Callable[[str, dict[str, Any]], dict[str, Any]]

#: (aggregate type, form) -> how its data becomes the next form. What nobody told stays missing: it is not made up.
_UPCASTERS: Final[dict[tuple[str, int], Upcaster]] = {}


def upcaster(aggregate_type: str, form: int) -> Callable[[Upcaster], Upcaster]:
    """Register how events of `form` become those of `form + 1`."""

    def register(function: Upcaster) -> Upcaster:
        _UPCASTERS[aggregate_type, form] = function
        return function

    return register


def upcast(event: StreamEvent) -> StreamEvent:
    """The event in the newest form this build knows."""
    while (step := _UPCASTERS.get((event.aggregate_type, event.schema_version))) is not None:
        event = event._replace(data=step(event.type, event.data), schema_version=event.schema_version + 1)
    return event


def differences(stored: Mapping[str, Any], folded: Mapping[str, Any], at: str = "") -> Iterable[tuple[str, Any, Any]]:
    """(field, stored, rebuilt) wherever both are known and not equal; lists by their places."""
    for name, value in stored.items():
        if name not in folded:
            continue
        yield from _compared(f"{at}{name}", value, folded[name])


def _compared(field: str, stored: Any, folded: Any) -> Iterable[tuple[str, Any, Any]]:
    if isinstance(stored, list) and isinstance(folded, list) and len(stored) == len(folded):
        for number, (one, other) in enumerate(zip(stored, folded, strict=True)):
            yield from _compared(f"{field}/{number}", one, other)
    elif isinstance(stored, Mapping) and isinstance(folded, Mapping):
        yield from differences(stored, folded, f"{field}/")
    elif stored != folded:
        yield field, stored, folded
