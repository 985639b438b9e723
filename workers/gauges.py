"""How much waits, since when: the numbers the autoscaler and the alerts look at."""

from typing import Any

from fleet.metrics import (
    QUEUES,
    dead_jobs,
    erp_queue_latency_seconds,
    outbox_lag_seconds,
    outbox_unpublished,
    queue_depth,
)
from tenancy.platform import PlatformDatabase, PlatformSession
from workers.event_repository import OUTBOX_LAG
from workers.repository import BACKLOG, FAILED


class Gauges:
    """Only the leader measures; one that ceases to lead says nothing any more rather than old news."""

    def __init__(self, platform: PlatformDatabase) -> None:
        self._platform = platform

    async def measure(self) -> bool:
        backlog, failed, outbox = await self._platform.run(self._read)
        by_queue = {row.queue: row for row in backlog}
        failures = dict(failed)
        for queue in QUEUES:
            row = by_queue.get(queue)
            queue_depth.at(queue).set(row.depth if row else 0)
            oldest = row.oldest.total_seconds() if row and row.oldest else 0.0
            erp_queue_latency_seconds.at(queue).set(max(0.0, oldest))
            dead_jobs.at(queue).set(failures.get(queue, 0))
        lag = outbox[0]
        outbox_unpublished.set(lag.unpublished)
        outbox_lag_seconds.set(max(0.0, lag.oldest.total_seconds()) if lag.oldest else 0.0)
        return False

    def forget(self) -> None:
        for queue in QUEUES:
            for gauge in (queue_depth, erp_queue_latency_seconds, dead_jobs):
                gauge.forget(queue)
        outbox_unpublished.set(0)
        outbox_lag_seconds.set(0)

    async def _read(self, session: PlatformSession) -> tuple[list[Any], ...]:
        return await session.load(BACKLOG(), FAILED(), OUTBOX_LAG())
