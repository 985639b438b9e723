"""Handlers of jobs, one module a slice."""

from workers.actors import (
    accounting,
    closing,
    events,
    fulfilment,
    imports,
    inventory,
    invoicing,
    projections,
    recurring,
    reordering,
    usage,
)
from workers.kinds import JobKind, by_name

#: Every kind of job this build knows.
KINDS: dict[str, JobKind] = by_name(
    [
        *inventory.JOBS,
        *invoicing.JOBS,
        *accounting.JOBS,
        *imports.JOBS,
        *fulfilment.JOBS,
        *usage.JOBS,
        *events.JOBS,
        *projections.JOBS,
        *recurring.JOBS,
        *reordering.JOBS,
        *closing.JOBS,
    ]
)
