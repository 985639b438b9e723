"""What handing the lead over refuses."""

from db.errors import DomainError


class NoLeader(DomainError):
    """Nobody leads at this moment, so there is nothing to hand over; somebody takes the lead within seconds.

    Fix: read who leads, and repeat the request if it is still the wrong one.
    """

    code = "no-leader"
    title = "Nobody leads at the moment"
    status = 409
    retryable = True


class OtherTerm(DomainError):
    """The term named does not last any more: somebody was faster. Nothing was changed.

    Fix: read who leads now.
    """

    code = "other-leader-term"
    title = "Another term of the lead has begun"
    status = 409


class NoOtherCoordinator(DomainError):
    """Nobody could take the lead: no other coordinator is ready, or the one named is none, drains or leads already.

    Fix: name a ready coordinator of the list of instances, or start one.
    """

    code = "no-other-coordinator"
    title = "There is no such coordinator to take the lead"
    status = 409
