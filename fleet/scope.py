"""For whom the running task works: read by every log line and every span, set once per request or job."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar, Token
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Scope:
    """Identifiers as text; '' where there is none.

    `traceparent` is the caller's W3C trace context; it is handed on even by a process that records no spans.
    """

    tenant: str = ""
    principal: str = ""
    correlation_id: str = ""
    traceparent: str = ""

    @property
    def trace_id(self) -> str:
        """The 32 hexadecimal digits inside `traceparent`."""
        return self.traceparent[3:35]


NOWHERE = Scope()
_current: ContextVar[Scope] = ContextVar("scope", default=NOWHERE)


def current_scope() -> Scope:
    return _current.get()


def enter_scope(scope: Scope) -> Token[Scope]:
    """For this task and the tasks it starts from now on. Undo with `leave_scope`."""
    return _current.set(scope)


def leave_scope(token: Token[Scope]) -> None:
    _current.reset(token)


@contextmanager
def scoped(
    *,
    tenant: str | None = None,
    principal: str | None = None,
    correlation_id: str | None = None,
    traceparent: str | None = None,
) -> Iterator[Scope]:
    """The surrounding scope with the given parts replaced, for the length of a block."""
    given = {
        "tenant": tenant,
        "principal": principal,
        "correlation_id": correlation_id,
        "traceparent": traceparent,
    }
    scope = replace(_current.get(), **{name: value for name, value in given.items() if value is not None})
    token = _current.set(scope)
    try:
        yield scope
    finally:
        _current.reset(token)
