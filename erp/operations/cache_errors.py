"""What dropping cached answers refuses."""

from db.errors import DomainError


class CacheNotDropped(DomainError):
    """The drop is recorded, but somebody who keeps what was to be dropped did not answer; `kept` names what.

    Fix: repeat the request; with the same Idempotency-Key it is recorded once.
    """

    code = "cache-not-dropped"
    title = "Not everything cached could be dropped"
    status = 503
    retryable = True
