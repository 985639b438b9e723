"""Refusals of the load balancer (nginx/problems.conf.template), declared so that the catalogue explains them."""

from db.errors import DomainError


class RequestTimeout(DomainError):
    """The request was not complete in time; nothing was done.

    Fix: send it again, over a connection that carries it within the time for headers (10 s) and body (15 s).
    """

    code = "request-timeout"
    title = "The request took too long to arrive"
    status = 408


class AddressTooLong(DomainError):
    """The request line is longer than 8 KiB.

    Fix: ask for less in one query, such as fewer values of a filter.
    """

    code = "address-too-long"
    title = "The address is too long"
    status = 414


class HeadersTooLarge(DomainError):
    """A header line is longer than 8 KiB, or all of them together than 32 KiB.

    Fix: send fewer or shorter headers; no operation needs long ones.
    """

    code = "headers-too-large"
    title = "The request headers are too large"
    status = 431


class TlsRequired(DomainError):
    """Plain HTTP came to a port that speaks HTTPS only.

    Fix: use `https://` in the address.
    """

    code = "tls-required"
    title = "This port speaks HTTPS only"
    status = 400


class InstanceLost(DomainError):
    """The instance that worked on the request was lost, so whether it took effect is not known.

    Fix: repeat it with the same Idempotency-Key: it either replays the stored answer or runs once.
    """

    code = "instance-lost"
    title = "The instance that worked on this request was lost"
    status = 502
    retryable = True


class Unavailable(DomainError):
    """No instance could take the request; nothing was done."""

    code = "unavailable"
    title = "No instance can take the request now"
    status = 503
    retryable = True


class InstanceTimeout(DomainError):
    """The instance did not answer in time, so whether the request took effect is not known.

    Fix: repeat it with the same Idempotency-Key: it either replays the stored answer or runs once.
    """

    code = "instance-timeout"
    title = "The instance did not answer in time"
    status = 504
    retryable = True
