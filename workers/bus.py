"""Consumers of the stream: a group for each named consumer, a member of it in every process.

The stream makes consumers quick, PostgreSQL makes them certain: an entry may come again, late, in another order or
never. What it does happens once, by the receipt in the effect's transaction (`erp.projections.applying`); what the
stream never brings, `workers.settling` delivers.
"""

import json
import time
from collections import defaultdict
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from redis.asyncio import Redis
from redis.exceptions import ResponseError

from db.two_phase import MAIN
from erp.projections.definition import Consumer, Delivered
from workers.delivery import Delivery
from workers.relay import STREAM
from workers.settings import WorkerSettings

#: Seconds between looks for entries of members that are gone.
_CLAIMING = 5.0

Entries = list[tuple[bytes, dict[bytes, bytes]]]


class Member:
    """One process's part in one consumer's group. `deliveries`: by the name of the database."""

    def __init__(
        self,
        redis: Redis,
        consumer: Consumer,
        deliveries: Mapping[str, Delivery],
        settings: WorkerSettings,
        *,
        name: str,
        stream: str = STREAM,
    ) -> None:
        self._redis: Any = redis
        self._consumer = consumer
        self._deliveries = deliveries
        self._settings = settings
        self._name = name
        self._stream = stream
        self._claim_at = 0.0

    async def step(self) -> bool:
        """Deliver what has come, or wait a moment for it. Errors: RedisError and what delivering raises; entries that
        were not acknowledged come again."""
        try:
            entries = await self._abandoned() or await self._next()
        except ResponseError as error:
            # Gone before it was asked, or while it waited.
            if not str(error).startswith(("NOGROUP", "UNBLOCKED")):
                raise
            await self._begin()
            return True
        if entries:
            await self._hand_over(entries)
            await self._redis.xack(self._stream, self._consumer.name, *(number for number, _ in entries))
        return bool(entries)

    async def _begin(self) -> None:
        """From the stream's first entry: those that were delivered before are known by their receipts."""
        try:
            await self._redis.xgroup_create(self._stream, self._consumer.name, id="0", mkstream=True)
        except ResponseError as error:
            if not str(error).startswith("BUSYGROUP"):
                raise

    async def _next(self) -> Entries:
        found = await self._redis.xreadgroup(
            self._consumer.name, self._name, {self._stream: ">"}, count=self._settings.bus_batch,
            block=self._settings.bus_wait_ms,
        )  # fmt: skip
        return found[0][1] if found else []

    async def _abandoned(self) -> Entries:
        """Entries that a process took and did not acknowledge, our own after an outage among them."""
        if time.monotonic() < self._claim_at:
            return []
        _, entries, *_ = await self._redis.xautoclaim(
            self._stream, self._consumer.name, self._name, self._settings.bus_claim_ms, start_id="0-0",
            count=self._settings.bus_batch,
        )  # fmt: skip
        if not entries:
            self._claim_at = time.monotonic() + _CLAIMING
        return [one for one in entries if one[1] is not None]

    async def _hand_over(self, entries: Entries) -> None:
        wanted = {kind.encode() for kind in self._consumer.types}
        told: dict[str, list[Delivered]] = defaultdict(list)
        for _, fields in entries:
            if fields.get(b"type") in wanted and fields.get(b"xid"):
                told[fields.get(b"database", MAIN.encode()).decode()].append(read_entry(fields))
        for database, events in told.items():
            if (delivery := self._deliveries.get(database)) is not None:
                await delivery.hand_over(self._consumer, events)


def read_entry(fields: Mapping[bytes, bytes]) -> Delivered:
    """A stream entry as `workers.relay.entry` wrote it."""
    texts = {name.decode(): value.decode() for name, value in fields.items()}
    return Delivered(
        UUID(texts["tenant_id"]), UUID(texts["event_id"]), int(texts["xid"]), int(texts["position"]), texts["type"],
        texts["aggregate_type"], UUID(texts["aggregate_id"]), int(texts["version"]), json.loads(texts["data"]),
        datetime.fromisoformat(texts["occurred_at"]),
    )  # fmt: skip
