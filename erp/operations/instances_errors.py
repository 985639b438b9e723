"""What the operation of instances refuses."""

from db.errors import DomainError


class RegistryUnavailable(DomainError):
    """The registry of instances does not answer, so nobody can say who lives. Requests are served as always.

    Fix: repeat the request when Redis answers again; instances are back within ten seconds after that.
    """

    code = "instance-registry-unavailable"
    title = "The registry of instances does not answer"
    status = 503
    retryable = True


class LastInstance(DomainError):
    """No other instance of this role is ready, so nobody would be left to do its work.

    Fix: start another one first, or say `force`.
    """

    code = "last-instance"
    title = "This is the last ready instance of its role"
    status = 409


class NoInstance(DomainError):
    """No instance of this role is registered.

    Fix: choose a role that the list of instances shows.
    """

    code = "no-instance"
    title = "There is no instance of this role"
    status = 409
