"""What setting quotas refuses."""

from db.errors import DomainError


class QuotasChangedMeanwhile(DomainError):
    """Somebody else set the same plan's quotas at this moment.

    Fix: read them again and repeat.
    """

    code = "quotas-changed-meanwhile"
    title = "The plan's quotas were set by somebody else at the same moment"
    status = 409
    retryable = True
