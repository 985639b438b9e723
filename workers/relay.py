"""The relay: committed events to the stream and to jobs, in order per aggregate, at least once, none left out.

One batch is one transaction: take the events out of the outbox, append them to the stream, write their jobs, commit.
Dying anywhere in it leaves them in the outbox, so that another relay sends them again. Any number may run.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import msgspec
from psycopg.types.json import Jsonb
from redis.asyncio import Redis

from db.consistency import parse_lsn
from db.identifiers import new_id
from db.statement import Bound
from db.two_phase import MAIN
from fleet.configuration.snapshot import current
from fleet.metrics import outbox_published_total
from fleet.tracing import span
from tenancy.job_keys import MAX_ATTEMPTS
from tenancy.platform import PlatformDatabase, PlatformSession
from workers.event_repository import ADD_JOBS, TAKE_EVENTS, EventRow
from workers.subscriptions import SUBSCRIPTIONS, Subscription

STREAM = "events"

_encode = msgspec.json.Encoder().encode

#: What is read after it is committed below this position.
_POSITION: Bound[Any] = Bound("SELECT pg_current_wal_insert_lsn()::text", {})

Published = Callable[[Sequence[EventRow], int], Awaitable[None]]


Hold = Callable[[PlatformSession], Awaitable[None]]


async def anybody(session: PlatformSession) -> None:
    """No lead is asked for: any number may do it at once."""


async def _nobody(events: Sequence[EventRow], position: int) -> None:
    """Nobody else wants to know."""


class Relay:
    """At most `batch` events at a time; the stream keeps about `stream_length` of them.

    `on_jobs` is called when a batch has left jobs that wait to be enqueued, `published` with the events of a
    batch and a position of the primary's log that covers them, once the batch is committed. `hold` refuses a batch,
    before anything of it leaves the database, when its process has lost the lead.
    """

    def __init__(
        self,
        platform: PlatformDatabase,
        redis: Redis,
        *,
        batch: int = 500,
        stream_length: int = 100_000,
        subscriptions: Mapping[str, tuple[Subscription, ...]] = SUBSCRIPTIONS,
        on_jobs: Callable[[], None] = lambda: None,
        published: Published = _nobody,
        hold: Hold = anybody,
        database: str = MAIN,
    ) -> None:
        self._hold = hold
        self._database = database
        self._published = published
        self._platform = platform
        self._redis = redis
        self._batch = batch
        self._stream_length = stream_length
        self._subscriptions = subscriptions
        self._on_jobs = on_jobs
        self._left_jobs = False

    async def publish(self) -> int:
        """One batch; how many events it had. Errors: psycopg.Error, DomainError, RedisError: nothing is lost."""
        self._left_jobs = False
        events, position = await self._platform.run(self._publish)
        if self._left_jobs:
            self._on_jobs()
        if events:
            outbox_published_total.inc(len(events))
            await self._published(events, position)
        return len(events)

    async def _publish(self, session: PlatformSession) -> tuple[Sequence[EventRow], int]:
        events, [[position]] = await session.load(TAKE_EVENTS(at_most=self._batch), _POSITION)
        if not events:
            return events, 0
        await self._hold(session)
        with span("relay.publish", kind="producer", batch=len(events)):
            await self._append(events)
        if jobs := self._jobs(events):
            session.save(jobs)
            self._left_jobs = True
        return events, parse_lsn(position)

    async def _append(self, events: Sequence[EventRow]) -> None:
        # A MULTI, for one reason only: a consumer that waits takes the whole batch, and not its first entry alone.
        # A part of it in the stream would be a duplicate later, never a gap.
        async with self._redis.pipeline(transaction=True) as pipe:
            for event in events:
                pipe.xadd(STREAM, entry(event, self._database), maxlen=self._stream_length, approximate=True)
            await pipe.execute()

    def _jobs(self, events: Sequence[EventRow]) -> Any:
        wanted = [
            (event, job) for event in events for job in self._subscriptions.get(event.type, ()) if job.wanted(event)
        ]
        if not wanted:
            return None
        return ADD_JOBS(
            tenants=[event.tenant_id for event, _ in wanted],
            ids=[new_id() for _ in wanted],
            queues=[job.queue for _, job in wanted],
            kinds=[job.kind for _, job in wanted],
            payloads=[Jsonb(dict(job.payload(event))) for event, job in wanted],
            unique_keys=[job.key(event) for event, job in wanted],
            event_ids=[event.event_id for event, _ in wanted],
            correlation_ids=[event.correlation_id for event, _ in wanted],
            causation_ids=[event.event_id for event, _ in wanted],
            traceparents=[event.traceparent for event, _ in wanted],
            max_attempts=current().get(MAX_ATTEMPTS),
        )


def entry(event: EventRow, database: str = MAIN) -> dict[Any, Any]:
    """An event as a stream entry: flat texts; consumers deduplicate by `event_id`, order by `version`."""
    return {
        "tenant_id": str(event.tenant_id),
        "event_id": str(event.event_id),
        "position": str(event.position),
        "aggregate_type": event.aggregate_type,
        "aggregate_id": str(event.aggregate_id),
        "version": str(event.version),
        "type": event.type,
        "data": _encode(event.data).decode(),
        "correlation_id": event.correlation_id or "",
        "causation_id": str(event.causation_id or ""),
        "occurred_at": event.occurred_at.isoformat(),
        "schema_version": str(event.schema_version),
        "xid": event.xid or "",
        "database": database,
    }
