"""Handlers of jobs, one module a slice."""

from workers.kinds import JobKind, by_name

KINDS: dict[str, JobKind] = by_name([])
