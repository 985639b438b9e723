"""Handlers of jobs, one module a slice."""

from workers.actors import accounting, closing, fulfilment, imports, inventory, invoicing, recurring, reordering
from workers.kinds import JobKind, by_name

#: Every kind of job this build knows.
KINDS: dict[str, JobKind] = by_name(
    [
        *inventory.JOBS,
        *invoicing.JOBS,
        *accounting.JOBS,
        *imports.JOBS,
        *fulfilment.JOBS,
        *recurring.JOBS,
        *reordering.JOBS,
        *closing.JOBS,
    ]
)
