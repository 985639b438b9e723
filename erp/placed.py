"""The databases beside the first one, and two-phase commit over all of them: built from settings.

A further database that is away keeps nobody waiting but its own tenants: it is checked in the background and
joins when its fences are proven.
"""

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field

import psycopg

from db.errors import DomainError
from db.pool import Pool
from db.replicas import Replica, ReplicaSet
from db.two_phase import MAIN, Observers, TwoPhase
from erp.settings import DatabaseSettings, Settings
from fleet.logging import get_logger
from fleet.metrics import distributed_transactions_total, unwatch_pool, watch_pool
from tenancy.database import TenantDatabase
from tenancy.placement import Placed
from tenancy.selfcheck import FencesDown, refuse_unless_fenced

log = get_logger("erp.placed")

#: Connections of one process to each further database: it has a part of the tenants only.
_SIZE, _PLATFORM_SIZE, _REPLICA_SIZE = 6, 2, 4
_RETRY = 2.0

MakePool = Callable[[str, str, int], Pool]


@dataclass(slots=True)
class PlacedDatabases:
    """All further databases; `pools` and `databases` hold those whose fences are proven, by name."""

    parts: tuple[Placed, ...]
    pools: dict[str, Pool]
    databases: dict[str, TenantDatabase] = field(default_factory=dict)
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)

    async def open(self) -> None:
        """Connect. Raises FencesDown when one that answers would let tenants see each other."""
        for part in self.parts:
            for pool in part.pools:
                await pool.open()
                watch_pool(pool.name, pool.stats)
            if not await self._admit(part):
                self._tasks.append(asyncio.create_task(self._admit_later(part), name=f"admit-{part.name}"))

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for part in self.parts:
            await part.replicas.stop()
            for pool in part.pools:
                unwatch_pool(pool.name)
                await pool.close()

    async def _admit(self, part: Placed) -> bool:
        try:
            await refuse_unless_fenced(part.primary)
        except (DomainError, psycopg.OperationalError, psycopg.errors.UndefinedTable) as error:
            log.warning("a further database is not there yet", database=part.name, reason=type(error).__name__)
            return False
        await part.replicas.start()
        self.pools[part.name], self.databases[part.name] = part.primary, part.database
        return True

    async def _admit_later(self, part: Placed) -> None:
        with contextlib.suppress(FencesDown):
            while True:
                await asyncio.sleep(_RETRY)
                if await self._admit(part):
                    return
        log.error("a further database would let tenants see each other; it is not used", database=part.name)


def placed_pools(name: str, settings: DatabaseSettings, make: MakePool) -> tuple[Pool, Pool, tuple[Pool, ...]]:
    """Primary, platform and replicas of one further database."""
    return (
        make(settings.database_url, f"{name}-primary", _SIZE),
        make(settings.platform_url, f"{name}-platform", _PLATFORM_SIZE),
        tuple(
            make(url, f"{name}-replica{number}", _REPLICA_SIZE) for number, url in enumerate(settings.replica_urls, 1)
        ),
    )


def replica_set(primary: Pool, readers: tuple[Pool, ...], on_sample: Callable[[Replica], None]) -> ReplicaSet:
    return ReplicaSet([Replica(pool.name, pool) for pool in readers], primary, on_sample=on_sample)


def build_two_phase(settings: Settings, observers: Observers | None = None) -> TwoPhase:
    """Over direct connections of its own, opened when needed."""
    urls = {MAIN: settings.two_phase_url or settings.database_url}
    urls |= {name: one.two_phase_url for name, one in settings.databases.items()}
    direct = {
        name: Pool(url, name=f"two-phase-{name}", size=4, wait=2.0, application=settings.instance[:60], kept=0)
        for name, url in urls.items()
    }
    return TwoPhase(direct, coordinator=settings.instance, observers=observers or Observers(outcome=_count))


def _count(outcome: str) -> None:
    distributed_transactions_total.at("two_phase", outcome).inc()
