"""What fulfilling orders refuses."""

from db.constraints import on_violation
from db.errors import DomainError
from fleet.deadline import GivenUp


class AlreadyFulfilled(DomainError):
    """The order has a fulfilment already, under way or completed.

    Fix: read it; a new one can begin only after one that was taken back.
    """

    code = "already-fulfilled"
    title = "The order has a fulfilment already"


class NotWhollyDelivered(DomainError):
    """Not all that was paid for could be delivered, so nothing of it was.

    Fix: receive the missing goods and retry, or have the fulfilment taken back.
    """

    code = "not-wholly-delivered"
    title = "The order could not be delivered as a whole"


class PaymentsUnavailable(DomainError):
    """The payment provider gave no answer one can rely on; whether the payment happened is found out by asking again.

    Fix: nothing; it is asked again.
    """

    code = "payments-unavailable"
    title = "The payment provider gave no usable answer"
    status = 503
    retryable = True


class PaymentsNotAwaited(GivenUp, PaymentsUnavailable):
    """The payment provider had not answered when the request's own time was over; it may still have done it.

    Fix: send the request again, with the same Idempotency-Key and a longer Request-Timeout.
    """

    code = "payments-not-awaited"
    title = "The payment provider was not waited for any longer"


on_violation("saga_runs_subject_key", AlreadyFulfilled)
