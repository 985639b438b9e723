"""This process's part in every consumer of the bus, and what settles them in each database."""

import asyncio
from collections.abc import Coroutine, Mapping
from typing import Any

from db.pool import Pool
from db.redis import connect
from db.replicas import ReplicaSet
from db.two_phase import MAIN
from erp.projections.consumers import CONSUMERS
from erp.settings import Settings
from fleet.metrics import unwatch_pool, watch_pool
from tenancy.database import TenantDatabase
from tenancy.locks import NoLocks
from tenancy.platform import PlatformDatabase
from tenancy.reads import TenantReads
from tenancy.work import Bounds
from workers.bus import Member
from workers.delivery import Delivery
from workers.loops import Loop
from workers.settings import WorkerSettings
from workers.settling import Settler

#: A batch may take longer than a request.
_BOUNDS = Bounds(statement_timeout=60_000, lock_timeout=5_000)
_DEADLINE = 90.0


class Buses:
    """Connections of its own: effects are tenants' rows, written behind their fences."""

    def __init__(
        self,
        settings: Settings,
        worker_settings: WorkerSettings,
        platforms: Mapping[str, PlatformDatabase],
        name: str,
    ) -> None:
        self._settings = worker_settings
        self._name = name
        urls = {MAIN: settings.database_url} | {key: one.database_url for key, one in settings.databases.items()}
        self._pools = {
            key: Pool(
                urls[key], name=f"{key}-bus", size=len(CONSUMERS) + 2, wait=settings.pool_wait,
                prepared=settings.prepared_statements, application="erp",
            )
            for key in platforms
        }  # fmt: skip
        self._deliveries = {
            key: Delivery(key, platform, _tenants(self._pools[key]), worker_settings)
            for key, platform in platforms.items()
        }
        self._redis = connect(settings.redis_queue_url, timeout=5.0)

    def settler(self, database: str) -> Settler:
        return Settler(self._deliveries[database], CONSUMERS.values())

    async def opened(self) -> "Buses":
        """Itself, connected."""
        for pool in self._pools.values():
            await pool.open()
            watch_pool(pool.name, pool.stats)
        return self

    async def close(self) -> None:
        await self._redis.aclose()
        for pool in self._pools.values():
            unwatch_pool(pool.name)
            await pool.close()

    def runs(self, ending: asyncio.Event) -> list[Coroutine[Any, Any, None]]:
        return [
            Loop(
                f"bus-{consumer.name}",
                Member(self._redis, consumer, self._deliveries, self._settings, name=self._name).step,
                0.0,
            ).run(ending)
            for consumer in CONSUMERS.values()
        ]


def _tenants(pool: Pool) -> TenantDatabase:
    reads = TenantReads(pool, ReplicaSet([], pool))
    return TenantDatabase(pool, locks=NoLocks(), reads=reads, bounds=_BOUNDS, deadline=_DEADLINE)
