"""Refusals that reach a client, and the ones the database layer itself raises."""

from typing import Any, ClassVar


class DomainError(Exception):
    """Base of every refusal a client may see.

    `code` is part of the API: kebab-case, unique, never reused. `facts` are
    JSON-representable values that explain this one occurrence.
    """

    code: ClassVar[str] = "refused"
    title: ClassVar[str] = "The request was refused"
    status: ClassVar[int] = 409
    retryable: ClassVar[bool] = False

    def __init__(
        self,
        detail: str = "",
        *,
        pointer: str | None = None,
        hint: str | None = None,
        retry_after: float | None = None,
        **facts: Any,
    ) -> None:
        super().__init__(detail or self.title)
        self.detail = detail or self.title
        self.pointer = pointer
        self.hint = hint
        self.retry_after = retry_after
        self.facts = facts


class Contention(DomainError):
    """Concurrent transactions kept colliding after every bounded retry; nothing was changed."""

    code = "contention"
    title = "Too many concurrent changes to the same records"
    status = 503
    retryable = True


class LockTimeout(DomainError):
    """Another request holds the record longer than this one may wait; nothing was changed."""

    code = "lock-timeout"
    title = "The record is busy"
    status = 409
    retryable = True


class OutcomeUnknown(DomainError):
    """The commit was sent but its result did not come back.

    Repeat the request with the same Idempotency-Key: it either replays the stored answer or runs once.
    """

    code = "outcome-unknown"
    title = "The outcome of the commit is unknown"
    status = 503
    retryable = True


class PrimaryUnavailable(DomainError):
    """The primary database does not answer; reads may go on from replicas, nothing was changed."""

    code = "primary-unavailable"
    title = "The primary database is unavailable"
    status = 503
    retryable = True


class ReadUnavailable(DomainError):
    """Neither a replica nor the primary could serve the read within its budget."""

    code = "read-capacity"
    title = "No database can serve this read right now"
    status = 503
    retryable = True


class Overloaded(DomainError):
    """The instance or its connection pool is saturated; the request was refused before any work."""

    code = "overloaded"
    title = "The service is overloaded"
    status = 503
    retryable = True


class StatementTimeout(DomainError):
    """A statement ran longer than its bound and was cancelled; nothing was changed."""

    code = "statement-timeout"
    title = "The operation took too long"
    status = 503
    retryable = True


class UnknownReference(DomainError):
    """A field names a record that does not exist (in this tenant)."""

    code = "unknown-reference"
    title = "A referenced record does not exist"
    status = 422


class Duplicate(DomainError):
    """A value that must be unique is already taken."""

    code = "duplicate"
    title = "A value that must be unique is already taken"
    status = 409


class ConstraintRefused(DomainError):
    """A rule kept by the database refused the change; nothing was changed."""

    code = "rule-violated"
    title = "A business rule refused the change"
    status = 409
