"""A worker that knows one kind of job, which does nothing: `python -m dramatiq loadtests.agreement.no_op_worker`."""

from workers.context import JobContext
from workers.kinds import JobKind, by_name
from workers.process import start_worker

KIND = "bench.no_op"


async def nothing(context: JobContext) -> None:
    """Claimed, called and marked as done."""


broker = start_worker(by_name([JobKind(KIND, nothing)]))
