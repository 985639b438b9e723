"""The relay: committed events to the stream and to jobs, in order per aggregate, at least once, none left out.

One batch is one transaction: claim, append to the stream, write the jobs, mark as published, commit. Dying
anywhere in it leaves the events unpublished, so that another relay sends them again. Any number may run.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from psycopg.types.json import Jsonb
from redis.asyncio import Redis

from db.identifiers import new_id
from fleet.metrics import outbox_published_total
from fleet.tracing import span
from tenancy.platform import PlatformDatabase, PlatformSession
from workers.event_repository import ADD_JOBS, CLAIM_EVENTS, MARK_PUBLISHED, EventRow
from workers.subscriptions import SUBSCRIPTIONS, Subscription

STREAM = "events"


class Relay:
    """`batch` events at a time; the stream keeps about `stream_length` of them."""

    def __init__(
        self,
        platform: PlatformDatabase,
        redis: Redis,
        *,
        batch: int = 500,
        stream_length: int = 100_000,
        subscriptions: Mapping[str, tuple[Subscription, ...]] = SUBSCRIPTIONS,
    ) -> None:
        self._platform = platform
        self._redis = redis
        self._batch = batch
        self._stream_length = stream_length
        self._subscriptions = subscriptions

    async def publish(self) -> int:
        """One batch; how many events it had. Errors: psycopg.Error, DomainError, RedisError: nothing is lost."""
        sent = await self._platform.run(self._publish)
        if sent:
            outbox_published_total.inc(sent)
        return sent

    async def _publish(self, session: PlatformSession) -> int:
        [events] = await session.load(CLAIM_EVENTS(at_most=self._batch))
        if not events:
            return 0
        with span("relay.publish", kind="producer", batch=len(events)):
            await self._append(events)
        if jobs := self._jobs(events):
            session.save(jobs)
        session.save(
            MARK_PUBLISHED(
                tenants=[event.tenant_id for event in events],
                aggregates=[event.aggregate_id for event in events],
                versions=[event.version for event in events],
            )
        )
        return len(events)

    async def _append(self, events: Sequence[EventRow]) -> None:
        # Not a MULTI: a part of the batch in the stream is a duplicate later, never a gap.
        async with self._redis.pipeline(transaction=False) as pipe:
            for event in events:
                pipe.xadd(STREAM, entry(event), maxlen=self._stream_length, approximate=True)
            await pipe.execute()

    def _jobs(self, events: Sequence[EventRow]) -> Any:
        wanted = [(event, job) for event in events for job in self._subscriptions.get(event.type, ())]
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
        )


def entry(event: EventRow) -> dict[Any, Any]:
    """An event as a stream entry: flat texts; consumers deduplicate by `event_id`, order by `version`."""
    return {
        "tenant_id": str(event.tenant_id),
        "event_id": str(event.event_id),
        "position": str(event.position),
        "aggregate_type": event.aggregate_type,
        "aggregate_id": str(event.aggregate_id),
        "version": str(event.version),
        "type": event.type,
        "data": json.dumps(event.data, separators=(",", ":")),
        "correlation_id": event.correlation_id or "",
        "causation_id": str(event.causation_id or ""),
        "occurred_at": event.occurred_at.isoformat(),
    }
