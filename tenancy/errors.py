"""Refusals about who is calling and which version they saw."""

from db.errors import DomainError


class Unauthorized(DomainError):
    """The request carries no credential, or one that is unknown, expired or revoked."""

    code = "unauthorized"
    title = "A valid credential is required"
    status = 401


class Forbidden(DomainError):
    """The credential is valid but lacks the permission this operation asks for."""

    code = "forbidden"
    title = "The credential lacks the permission"
    status = 403


class TenantSuspended(DomainError):
    """The tenant is suspended or closed; its data is kept, its callers are refused."""

    code = "tenant-suspended"
    title = "The tenant is not active"
    status = 403


class VersionConflict(DomainError):
    """The resource changed since the version named in If-Match; nothing was changed."""

    code = "version-conflict"
    title = "The resource has another version"
    status = 412


class IdempotencyInFlight(DomainError):
    """A request with this Idempotency-Key is still running; repeat after the Retry-After."""

    code = "idempotency-in-flight"
    title = "A request with this key is still running"
    status = 409
    retryable = True


class IdempotencyKeyReused(DomainError):
    """The Idempotency-Key was used before with another request; use a new key for a new request."""

    code = "idempotency-key-reused"
    title = "The idempotency key belongs to another request"
    status = 422
