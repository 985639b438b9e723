"""Refusals about jobs."""

from db.constraints import on_violation
from db.errors import DomainError


class JobAlreadyQueued(DomainError):
    """Another unfinished job does the same work, so this one is not put into the queue again.

    Fix: wait for the other job, or discard this one.
    """

    code = "job-already-queued"
    title = "An equal job is still unfinished"
    status = 409


on_violation("jobs_unfinished_key", JobAlreadyQueued)
