"""Jobs of metering: what a tenant keeps, measured once a day."""

from erp.operations.usage import measure_usage
from workers.context import JobContext
from workers.kinds import JobKind


async def measure(context: JobContext) -> None:
    """Count the tenant's rows and its share of the storage."""
    await context.run(measure_usage, lambda measured: measured)


JOBS = (JobKind("usage_measurement", measure, time_limit=300.0),)
