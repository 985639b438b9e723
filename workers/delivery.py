"""Handing events to a consumer, tenant by tenant; one that cannot be taken keeps no other from its effect.

An event that takes too long is one that cannot be taken. What takes time is bounded by tenant: after one event that
used up its own, the tenant's further events are left to the settler, which comes again.
"""

import time
from collections import defaultdict
from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

import psycopg

from db.errors import Contention, DomainError, LockTimeout, StatementTimeout
from erp.projections.applying import GenerationsBusy, deliver, note_failure
from erp.projections.definition import Consumer, Delivered
from fleet.logging import get_logger
from fleet.metrics import event_deliveries_total
from tenancy.caller import Caller, TenantFacts, system_caller
from tenancy.database import TenantDatabase
from tenancy.platform import PlatformDatabase
from workers.event_feed_repository import TENANTS
from workers.loops import OUTAGES
from workers.settings import WorkerSettings

log = get_logger("workers.delivery")

#: Seconds a tenant's facts are kept; they name it in the transaction, nothing is decided by them.
_KEPT = 60.0
#: They tell of what was asked, not of whom. Where the database hangs instead, noting the failure fails too.
_TOO_LONG = (StatementTimeout, LockTimeout, Contention)


class Delivery:
    """Delivers into the tenants of one database."""

    def __init__(
        self, name: str, platform: PlatformDatabase, database: TenantDatabase, settings: WorkerSettings
    ) -> None:
        self.name = name
        self.platform = platform
        self._database = database
        self._settings = settings
        self._callers: dict[UUID, Caller] = {}
        self._until = 0.0

    async def hand_over(self, consumer: Consumer, events: Sequence[Delivered], *, failed: bool = False) -> None:
        """Each tenant's events in a transaction. Errors: `OUTAGES`; what was delivered stays so.

        What keeps one tenant's events from their effect ends in a failure's row, or leaves them for later: the feed
        has them until they are settled. No other tenant's wait for it.
        """
        callers = await self._known({event.tenant_id for event in events})
        of_tenant: dict[UUID, list[Delivered]] = defaultdict(list)
        for event in events:
            of_tenant[event.tenant_id].append(event)
        for tenant_id, told in of_tenant.items():
            if (caller := callers.get(tenant_id)) is not None:
                left = await self._to(caller, consumer, told, failed)
                event_deliveries_total.at(consumer.name, "left").inc(left)

    async def _to(self, caller: Caller, consumer: Consumer, events: list[Delivered], failed: bool) -> int:
        """How many of them were left for later."""
        reason = await self._delivered(caller, consumer, events, failed)
        if reason is None:
            return 0
        if isinstance(reason, GenerationsBusy):
            log.warning("a tenant's read model is busy", consumer=consumer.name, events=len(events))
            return len(events)
        if len(events) == 1:
            await self._failed(caller, consumer, events[0], reason)
            return 0
        for at, event in enumerate(events, start=1):
            alone = await self._delivered(caller, consumer, [event], failed)
            if isinstance(alone, GenerationsBusy):
                return len(events) - at + 1
            if alone is not None:
                await self._failed(caller, consumer, event, alone)
            if isinstance(alone, _TOO_LONG):
                return len(events) - at
        return 0

    async def _delivered(
        self, caller: Caller, consumer: Consumer, events: list[Delivered], failed: bool
    ) -> Exception | None:
        """Why they were not, all or none. Errors: `OUTAGES`."""
        try:
            applied = (
                await self._database.run(caller, lambda work: deliver(work, consumer, events, failed=failed))
            ).value
        except Exception as error:
            if _outage(error):
                raise
            return error
        event_deliveries_total.at(consumer.name, "applied").inc(applied)
        event_deliveries_total.at(consumer.name, "repeated").inc(len(events) - applied)
        return None

    async def _failed(self, caller: Caller, consumer: Consumer, event: Delivered, error: Exception) -> None:
        code = error.code if isinstance(error, DomainError) else type(error).__name__
        # The text of an error of ours is for tenants to read; that of any other may name what is not theirs.
        detail = error.detail if isinstance(error, DomainError) else "The event could not be applied."
        row = (
            await self._database.run(
                caller,
                lambda work: note_failure(
                    work, consumer, event, code=code, detail=detail, most=self._settings.bus_attempts,
                    backoff=timedelta(seconds=self._settings.bus_backoff),
                ),
            )
        ).value  # fmt: skip
        state = row.state if row is not None else "ended"
        event_deliveries_total.at(consumer.name, "dead" if state == "dead" else "failed").inc()
        log.warning(
            "an event could not be applied", consumer=consumer.name, event_id=str(event.event_id), type=event.type,
            state=state, reason=f"{type(error).__name__}: {error}"[:500],
        )  # fmt: skip

    async def _known(self, tenants: set[UUID]) -> dict[UUID, Caller]:
        if time.monotonic() > self._until:
            self._callers, self._until = {}, time.monotonic() + _KEPT
        if missing := sorted(tenants - self._callers.keys()):
            [rows] = await self.platform.ask(TENANTS(ids=missing, database=self.name))
            for row in rows:
                facts = TenantFacts(**row._asdict())
                self._callers[row.id] = system_caller(facts, name="bus", correlation_id=f"bus-{row.id}")
        return self._callers


def _outage(error: Exception) -> bool:
    """The database is away or full: nothing is said about the event."""
    if isinstance(error, _TOO_LONG):
        return False
    if isinstance(error, DomainError):
        return error.status >= 500 or error.retryable
    return isinstance(error, OUTAGES) and not isinstance(error, psycopg.errors.IntegrityError)
