"""Refusals of the event store and of the consumers that follow it."""

from db.constraints import on_violation
from db.errors import DomainError


class StreamMoved(DomainError):
    """The stream is at another version than `expected_version` says; nothing was appended.

    Fix: read the stream's new events, decide again, and append with the version found.
    """

    code = "stream-version-conflict"
    title = "The stream has another version"
    status = 409


class CannotRebuild(DomainError):
    """Streams of this kind are not folded, or this one has no history that reaches the version or time asked for."""

    code = "cannot-rebuild"
    title = "The state cannot be rebuilt"
    status = 409


class BuildUnderWay(DomainError):
    """This consumer is being rebuilt or replayed for this tenant already.

    Fix: wait until its state names no other generation.
    """

    code = "build-under-way"
    title = "A rebuild or replay is under way"
    status = 409


class NeedsRebuild(DomainError):
    """A read model that adds up cannot take a part of the history twice.

    Fix: rebuild the projection; it begins from zero beside the one that is shown.
    """

    code = "needs-rebuild"
    title = "The consumer is rebuilt, not replayed"
    status = 409


#: Two transactions made the same version of one stream.
on_violation("events_pkey", StreamMoved)
