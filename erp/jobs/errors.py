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


class WorkerLost(DomainError):
    """The process that worked on the job ended or stalled, each time it was tried.

    Fix: read the operation's log; replay its job under `/v1/jobs/{id}/replay` once the cause is gone.
    """

    code = "worker-lost"
    title = "The worker was lost"
    status = 503


class JobTimeout(DomainError):
    """The job took longer than one of its attempts may take, each time it was tried.

    Fix: give it less to do, or replay its job under `/v1/jobs/{id}/replay`: it goes on where it was.
    """

    code = "job-timeout"
    title = "The job took too long"
    status = 503


on_violation("jobs_unfinished_key", JobAlreadyQueued)
