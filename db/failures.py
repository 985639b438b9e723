"""What a failed statement means: try again, refuse with a reason, or say the outcome is unknown."""

from psycopg import Error, IntegrityError, OperationalError
from psycopg import errors as pg

from db.constraints import translate
from db.errors import (
    ConstraintRefused,
    DomainError,
    LockTimeout,
    OutcomeUnknown,
    PrimaryUnavailable,
    StatementTimeout,
)

#: Worth running the whole transaction again: nothing of it happened. A statement is missing by name on server
#: connections older than a release; the next attempt sends it in full.
RETRYABLE = (pg.SerializationFailure, pg.DeadlockDetected, pg.InvalidSqlStatementName)

_REFUSED_BY_A_RULE = (pg.RaiseException, pg.RestrictViolation, pg.InsufficientPrivilege)


def explain(error: Error, *, committing: bool) -> DomainError | None:
    """The client's error for a database error, or None when it is our own defect.

    `committing`: the flush that failed held the COMMIT, so a lost connection hides its result.
    """
    if isinstance(error, IntegrityError):
        return translate(error)
    if isinstance(error, pg.LockNotAvailable):
        return LockTimeout("Another request holds the record; try again.", retry_after=1)
    if isinstance(error, pg.QueryCanceled):
        return StatementTimeout(retry_after=1)
    if isinstance(error, _REFUSED_BY_A_RULE) and error.diag.constraint_name:
        return ConstraintRefused(constraint=error.diag.constraint_name)
    if isinstance(error, pg.ReadOnlySqlTransaction):
        return PrimaryUnavailable("The database accepts no writes at the moment.", retry_after=2)
    if isinstance(error, OperationalError):
        return OutcomeUnknown(retry_after=1) if committing else PrimaryUnavailable(retry_after=2)
    return None
