"""Parts of the bus in this process, and what must be true of read models whatever happened."""

import asyncio
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from db.redis import connect
from erp.projections.consumers import CONSUMERS
from erp.projections.definition import Consumer
from tenancy.caller import Caller, TenantFacts, system_caller
from tenancy.database import TenantDatabase
from tenancy.platform import PlatformDatabase
from tests.api.whole.conftest import Tenant
from tests.services import Services
from tests.workers.conftest import Tables
from workers.bus import Member
from workers.delivery import Delivery
from workers.relay import Relay
from workers.settings import WorkerSettings
from workers.settling import Settler

BRISK = WorkerSettings(bus_claim_ms=200, bus_wait_ms=10, bus_attempts=2, bus_backoff=0.05)


def of(tenant: Tenant) -> Caller:
    facts = TenantFacts(UUID(tenant.id), tenant.slug, "Test tenant", "active", "GBP", "GB", "Europe/London")
    return system_caller(facts, name="test", correlation_id="test-verify")


class Ride:
    """A relay, a member of each consumer's group and a settler, stepped by the test."""

    def __init__(
        self,
        services: Services,
        platform: PlatformDatabase,
        database: TenantDatabase,
        consumers: Mapping[str, Consumer] = CONSUMERS,
    ) -> None:
        self.redis = connect(services.redis_queue_url, timeout=3.0)
        self.platform, self.database = platform, database
        self.relay = Relay(platform, self.redis)
        self.delivery = Delivery("main", platform, database, BRISK)
        self.consumers = consumers
        self.members = {name: self.member(name) for name in consumers}
        self.settler = Settler(self.delivery, consumers.values(), batch=100)

    def member(self, consumer: str, name: str = "one") -> Member:
        return Member(self.redis, self.consumers[consumer], {"main": self.delivery}, BRISK, name=name)

    async def publish(self) -> None:
        while await self.relay.publish():
            pass

    async def follow(self) -> None:
        """What is in the stream, into the read models."""
        await self.publish()
        for member in self.members.values():
            while await member.step():
                pass

    async def settle(self, tables: Tables) -> None:
        """Until nothing of ours is left to be delivered from PostgreSQL."""
        unsettled = (
            "SELECT bool_and(c.xid >= last.xid) FROM event_consumers c, (SELECT max(xid) AS xid FROM events) AS last"
            " WHERE c.name = ANY(%(names)s)"
        )
        for _ in range(200):
            await self.settle_once()
            if tables.value(unsettled, names=list(self.consumers)):
                return
            await asyncio.sleep(0.02)
        raise AssertionError("the consumers did not confirm everything")

    async def settle_once(self) -> None:
        """A pass for every consumer."""
        for consumer in self.consumers.values():
            await self.settler.settle(consumer)

    async def deviations(self, tenant: Tenant) -> list[Any]:
        """Rows of read models that are not what the documents amount to."""
        found = []
        for consumer in self.consumers.values():
            for check in consumer.checks:
                [rows] = await self.database.read(of(tenant), check())
                found += [(consumer.name, *row) for row in rows]
        return found
