"""How much waits, since when: the numbers the autoscaler and the alerts look at."""

import asyncio

from fleet.metrics import (
    QUEUES,
    dead_jobs,
    erp_queue_latency_seconds,
    event_verifications_differing,
    outbox_lag_seconds,
    outbox_unpublished,
    queue_depth,
    queue_running,
    sagas_waiting,
)
from tenancy.platform import PlatformDatabase
from workers.event_feed_repository import DIFFERING
from workers.event_repository import OUTBOX_LAG
from workers.repository import BACKLOG, FAILED, UNDER_WAY
from workers.sagas.sweep import WAITING

_COMPARED = ("events", "projections")
_SAGAS = ("running", "needs_operator")


class Gauges:
    """Only the leader measures; one that ceases to lead says nothing any more rather than old news."""

    def __init__(self, *platforms: PlatformDatabase) -> None:
        self._platforms = platforms

    async def measure(self) -> bool:
        """All databases together. One that is away counts for nothing; its own alerts tell of it."""
        looks = (BACKLOG(), FAILED(), OUTBOX_LAG(), WAITING(), UNDER_WAY(), DIFFERING())
        asked = await asyncio.gather(*(one.ask(*looks) for one in self._platforms), return_exceptions=True)
        answers = [answer for answer in asked if not isinstance(answer, BaseException)]
        if not answers:
            for failure in asked:
                if isinstance(failure, BaseException):
                    raise failure
            return False
        backlog = [row for answer in answers for row in answer[0]]
        for queue in QUEUES:
            rows = [row for row in backlog if row.queue == queue]
            queue_depth.at(queue).set(sum(row.depth for row in rows))
            oldest = max((row.oldest.total_seconds() for row in rows if row.oldest), default=0.0)
            erp_queue_latency_seconds.at(queue).set(max(0.0, oldest))
            queue_running.at(queue).set(sum(dict(answer[4]).get(queue, 0) for answer in answers))
            dead_jobs.at(queue).set(sum(dict(answer[1]).get(queue, 0) for answer in answers))
        lags = [answer[2][0] for answer in answers]
        outbox_unpublished.set(sum(lag.unpublished for lag in lags))
        outbox_lag_seconds.set(max((lag.oldest.total_seconds() for lag in lags if lag.oldest), default=0.0))
        for at, state in enumerate(_SAGAS):
            sagas_waiting.at(state).set(sum(answer[3][0][at] for answer in answers))
        for kind in _COMPARED:
            event_verifications_differing.at(kind).set(sum(dict(answer[5]).get(kind, 0) for answer in answers))
        return False

    def forget(self) -> None:
        for queue in QUEUES:
            for gauge in (queue_depth, queue_running, erp_queue_latency_seconds, dead_jobs):
                gauge.forget(queue)
        for state in _SAGAS:
            sagas_waiting.forget(state)
        for kind in _COMPARED:
            event_verifications_differing.forget(kind)
        outbox_unpublished.set(0)
        outbox_lag_seconds.set(0)
