"""What operating the locks refuses."""

from db.errors import DomainError


class LockStoreUnavailable(DomainError):
    """The server of the locks does not answer. Commands go on under the database's own locks meanwhile.

    Fix: repeat the request later.
    """

    code = "lock-store-unavailable"
    title = "The lock store does not answer"
    status = 503
    retryable = True


class InvalidLockName(DomainError):
    """Lock names are `<kind>:<ids in hexadecimal>`.

    Fix: take the name from the list of locks.
    """

    code = "invalid-lock-name"
    title = "This is no lock name"
    status = 422
