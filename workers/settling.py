"""What makes consumers certain: the feed in PostgreSQL, read on from where each consumer has confirmed.

Whatever became of the stream, an event below the horizon has had its effect before the consumer confirms beyond it.
Any number may settle at once; what one has delivered the other finds done. Each consumer is settled by a loop of its
own, and how far all are is measured by another: none waits for what another cannot do.
"""

import time
from collections.abc import Iterable, Sequence
from functools import partial

from erp.projections.definition import Consumer
from erp.projections.repository import Place
from fleet.metrics import event_consumer_lag_seconds, event_dead_letters, event_refed_total
from tenancy.platform import PlatformSession
from workers.delivery import Delivery
from workers.event_feed_repository import (
    BEGIN_CONSUMER,
    CONFIRM,
    DROP_CONFIRMED,
    FEED,
    LAGS,
    LOCK_PLACE,
    PLACE,
    UNSETTLED,
    FeedRow,
)
from workers.loops import Loop

BATCH = 500
#: Batches of one pass; then the loop looks whether it is to end.
_BATCHES = 20


class Settler:
    """Settles the consumers in one database."""

    def __init__(self, delivery: Delivery, consumers: Iterable[Consumer], *, batch: int = BATCH) -> None:
        self._delivery = delivery
        self._platform = delivery.platform
        self._consumers = tuple(consumers)
        self._batch = batch
        #: Consumer -> when it last had confirmed everything, on this process's clock.
        self._settled: dict[str, float] = {}

    def loops(self, pause: float, busy: float) -> list[Loop]:
        """What has to run while this process leads; see `Loop` for the pauses."""
        settling = [
            Loop(f"settle-{consumer.name}", partial(self.settle, consumer), pause, busy=busy)
            for consumer in self._consumers
        ]
        return [*settling, Loop("consumer-lags", self.measure, pause)]

    async def settle(self, consumer: Consumer) -> bool:
        """One pass over what the consumer has not confirmed; whether more waits. Errors: those of the database;
        nothing is skipped."""
        for _ in range(_BATCHES):
            if not await self._batch_of(consumer):
                return False
        return True

    async def measure(self) -> bool:
        """How old what consumers have confirmed is. Errors: those of the database; lags that cannot be read grow."""
        try:
            [lags] = await self._platform.ask(LAGS())
        except Exception:
            for name, since in self._settled.items():
                event_consumer_lag_seconds.at(name, self._delivery.name).set(time.monotonic() - since)
            raise
        for name, age, dead in lags:
            self._settled[name] = time.monotonic() - max(0.0, age)
            event_consumer_lag_seconds.at(name, self._delivery.name).set(max(0.0, age))
            event_dead_letters.at(name, self._delivery.name).set(dead)
        return False

    def forget(self) -> None:
        """Who does not lead says nothing rather than old news."""
        self._settled.clear()
        for consumer in self._consumers:
            event_consumer_lag_seconds.forget(consumer.name, self._delivery.name)
            event_dead_letters.forget(consumer.name, self._delivery.name)

    async def _batch_of(self, consumer: Consumer) -> bool:
        place = await self._place(consumer)
        [slices] = await self._platform.ask(
            FEED(
                consumer=consumer.name, xid=str(place.xid), position=place.position, types=sorted(consumer.types),
                at_most=self._batch,
            )
        )  # fmt: skip
        rows = [one.row for one in slices if one.row is not None]
        await self._feed(consumer, [row for row in rows if not row.settled and row.due])
        whole = len(rows) < self._batch
        confirmed = await self._platform.run(
            lambda session: self._confirm(session, consumer, place, rows, slices[0].horizon if whole else None)
        )
        return confirmed and not whole

    async def _place(self, consumer: Consumer) -> Place:
        [found] = await self._platform.ask(PLACE(consumer=consumer.name))
        if not found:
            _, found = await self._platform.ask(BEGIN_CONSUMER(consumer=consumer.name), PLACE(consumer=consumer.name))
        place: Place = found[0]
        return place

    async def _feed(self, consumer: Consumer, rows: Sequence[FeedRow]) -> None:
        for failed in (False, True):
            events = [row.event for row in rows if row.failed == failed]
            if events:
                await self._delivery.hand_over(consumer, events, failed=failed)
                event_refed_total.at(consumer.name).inc(len(events))

    async def _confirm(
        self, session: PlatformSession, consumer: Consumer, place: Place, rows: Sequence[FeedRow], horizon: int | None
    ) -> bool:
        """Confirm up to the first event without its effect, or all there is below the horizon. False: not all."""
        events = [row.event for row in rows]
        named = {"tenants": [one.tenant_id for one in events], "ids": [one.event_id for one in events]}
        # Under the lock: a generation that begins now is either seen here, or begins beyond what is confirmed here.
        [[now], open_] = await session.load(
            LOCK_PLACE(consumer=consumer.name), UNSETTLED(consumer=consumer.name, **named)
        )
        if (now.xid, now.position) != (place.xid, place.position):
            return False
        missing = {event_id for (event_id,) in open_}
        done = next((at for at, one in enumerate(events) if one.event_id in missing), len(events))
        whole = done == len(events) and horizon is not None
        reached = (horizon or 0, 0) if whole else events[done - 1].place if done else (place.xid, place.position)
        session.save(
            CONFIRM(consumer=consumer.name, xid=str(reached[0]), position=reached[1], whole=whole),
            DROP_CONFIRMED(consumer=consumer.name, tenants=named["tenants"][:done], ids=named["ids"][:done]),
        )
        return done == len(events)
