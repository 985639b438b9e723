"""What every process of ours is made of: pools, replica watch, Redis clients, locks, databases.

Built from settings by the composition roots of the API, the workers and the coordinator.
"""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import psycopg
from redis.asyncio import Redis

from db.errors import DomainError
from db.pool import Pool, observe_flushes
from db.redis import connect
from db.redis_channel import observe_channels
from db.replicas import Replica, ReplicaSet
from db.two_phase import MAIN, TwoPhase
from erp.configured import configuration_watch
from erp.fulfilment import provider as payment_provider
from erp.fulfilment.port import Payments
from erp.http.cache_tags import moved_by
from erp.placed import PlacedDatabases, build_two_phase, placed_pools, replica_set
from erp.settings import DatabaseSettings, Settings
from fleet.breaker import observe_channel
from fleet.configuration.snapshot import Configuration, retire, use
from fleet.configuration.watch import ConfigurationWatch
from fleet.metrics import (
    db_transaction_retries_total,
    idempotency_total,
    rate_limit_local_total,
    read_routing_total,
    redis_degraded,
    replica_eligible,
    replica_lag_seconds,
    watch_pool,
)
from fleet.observing import observe_cache, observe_lock, observe_transaction
from fleet.tracing import Tracing, configure_tracing, record_flush
from tenancy.admission import Gatekeeper
from tenancy.cache.service import TenantCache
from tenancy.database import Committal, Observers, TenantDatabase
from tenancy.distributed import Neighbours
from tenancy.identity import Identity
from tenancy.locks import LockService
from tenancy.metering import Metering
from tenancy.placement import Placed, Platforms, RoutedDatabase
from tenancy.platform import PlatformDatabase
from tenancy.reads import TenantReads
from tenancy.selfcheck import refuse_unless_fenced
from tenancy.trail import Event
from tenancy.work import Bounds


@dataclass(frozen=True, slots=True)
class Runtime:
    """The connected parts of one process. `open` before use, `close` at the end."""

    settings: Settings
    primary: Pool
    platform_pool: Pool
    replica_pools: tuple[Pool, ...]
    replicas: ReplicaSet
    locks: LockService
    cache: TenantCache
    gatekeeper: Gatekeeper
    identity: Identity
    database: TenantDatabase
    platform: PlatformDatabase
    platforms: Platforms
    placed: PlacedDatabases
    two_phase: TwoPhase
    tracing: Tracing
    redis_clients: Mapping[str, Redis]
    configuration_watch: ConfigurationWatch
    payments: Payments
    metering: Metering

    @property
    def configuration(self) -> Configuration:
        return self.configuration_watch.configuration

    async def open(self) -> None:
        """Connect, check the fences, start watching the replicas.

        Raises FencesDown when tenants could see each other. Waits up to a minute for an absent database or
        schema; absent replicas and Redis are not waited for.
        """
        for pool in (self.primary, self.platform_pool, *self.replica_pools):
            await pool.open()
            watch_pool(pool.name, pool.stats)
        await self._check_fences(patience=60.0)
        await self.replicas.start()
        await self.two_phase.open()
        await self.placed.open()
        await asyncio.gather(
            self.locks.start(), self.cache.start(), self.gatekeeper.start(), self.configuration_watch.start()
        )
        self.metering.start()
        use(self.configuration)
        payment_provider.use(self.payments)

    async def _check_fences(self, patience: float) -> None:
        """A database that is not there yet is waited for; one that leaks is not."""
        deadline, pause = time.monotonic() + patience, 0.1
        while True:
            try:
                return await refuse_unless_fenced(self.primary)
            except (DomainError, psycopg.OperationalError, psycopg.errors.UndefinedTable):
                if time.monotonic() + pause > deadline:
                    raise
            await asyncio.sleep(pause)
            pause = min(pause * 2, 2.0)

    async def close(self) -> None:
        retire(self.configuration)
        await self.configuration_watch.close()
        await self.metering.close()
        await self.replicas.stop()
        await self.gatekeeper.close()
        await self.cache.close()
        await self.locks.close()
        for client in self.redis_clients.values():
            await client.aclose()
        await self.payments.close()
        await self.placed.close()
        await self.two_phase.close()
        for pool in (*self.replica_pools, self.platform_pool, self.primary):
            await pool.close()
        self.tracing.close()


def build_runtime(settings: Settings, *, bounds: Bounds | None = None, deadline: float = 15.0) -> Runtime:
    """The parts of one process, not connected yet. `bounds` and `deadline` limit its commands."""
    tracing = configure_tracing(settings.otlp_endpoint, f"erp-{settings.role}", settings.instance)
    observe_flushes(record_flush if tracing.enabled else None)
    observe_channels(observe_channel)
    primary = _pool(settings, settings.database_url, "primary", settings.pool_size)
    platform_pool = _pool(settings, settings.platform_url, "platform", 4)
    readers = tuple(
        _pool(settings, url, f"replica{number}", settings.replica_pool_size)
        for number, url in enumerate(settings.replica_urls, 1)
    )
    replicas = replica_set(primary, readers, _note_replica)
    clients = _redis_clients(settings)
    locks = LockService(
        clients["locks"], ttl=10.0, holder=settings.instance, observe=observe_lock,
        nodes=[client for use, client in clients.items() if use.startswith("locks-")],
    )  # fmt: skip
    cache = TenantCache(clients["cache"], clients["cache-changes"], observe=observe_cache)
    database, placed, two_phase = _databases(
        settings, primary, replicas, locks, bounds=bounds, deadline=deadline, committed=_dropping(cache)
    )
    platform = PlatformDatabase(platform_pool)
    platforms = Platforms(platform, {one.name: one.platform for one in placed.parts})
    return Runtime(
        settings=settings,
        primary=primary,
        platform_pool=platform_pool,
        replica_pools=readers,
        replicas=replicas,
        locks=locks,
        cache=cache,
        gatekeeper=Gatekeeper(
            clients["sessions"],
            instances=settings.api_instances,
            observe=_note_admission,
        ),
        identity=Identity(primary, operator_key=settings.operator_key, placed=placed.pools),
        database=database,
        platform=platform,
        platforms=platforms,
        metering=Metering(platforms),
        placed=placed,
        two_phase=two_phase,
        tracing=tracing,
        payments=payment_provider.build(settings.payments_url, settings.payments_timeout),
        redis_clients=clients,
        configuration_watch=configuration_watch(
            settings, platform_pool, {one.name: one.platform_pool for one in placed.parts}
        ),
    )


def _databases(
    settings: Settings,
    primary: Pool,
    replicas: ReplicaSet,
    locks: LockService,
    *,
    bounds: Bounds | None,
    deadline: float,
    committed: Committal,
) -> tuple[RoutedDatabase, PlacedDatabases, TwoPhase]:
    """The first database, those beside it, and what commits over several of them."""
    two_phase, pools = build_two_phase(settings), {MAIN: primary}
    neighbours = Neighbours(pools, two_phase, locks=locks, bounds=bounds)
    common: dict[str, Any] = {
        "locks": locks, "bounds": bounds, "deadline": deadline, "observers": _observers(), "neighbours": neighbours,
        "committed": committed,
    }  # fmt: skip
    placed = PlacedDatabases(
        tuple(_placed(settings, name, one, common) for name, one in settings.databases.items()), pools
    )
    database = RoutedDatabase(primary, reads=_reads(primary, replicas), **common)
    database.route(placed.databases)
    neighbours.transactions = database
    return database, placed, two_phase


def _placed(settings: Settings, name: str, addresses: DatabaseSettings, common: Mapping[str, Any]) -> Placed:
    primary, platform_pool, readers = placed_pools(
        name, addresses, lambda url, called, size: _pool(settings, url, called, size)
    )
    replicas = replica_set(primary, readers, _note_replica)
    return Placed(
        name=name,
        primary=primary,
        platform_pool=platform_pool,
        replica_pools=readers,
        replicas=replicas,
        database=TenantDatabase(primary, reads=_reads(primary, replicas), **common),
        platform=PlatformDatabase(platform_pool),
    )


def _reads(primary: Pool, replicas: ReplicaSet) -> TenantReads:
    return TenantReads(
        primary,
        replicas,
        primary_budget=max(2, primary.size // 2),
        observe=lambda target, reason: read_routing_total.at(target, reason).inc(),
    )


def _dropping(cache: TenantCache) -> Committal:
    """Cached answers end with the commit that changes what they show, before its own answer goes out."""

    async def committed(tenant_id: UUID, events: Sequence[Event], position: int | None) -> None:
        tags = moved_by((event.aggregate_type, event.aggregate_id) for event in events)
        if tags:
            await cache.invalidate(tenant_id, tags, position)

    return committed


def _observers() -> Observers:
    return Observers(
        transaction=observe_transaction,
        key=lambda outcome: idempotency_total.at(outcome).inc(),
        retry=lambda reason: db_transaction_retries_total.at(reason).inc(),
    )


def _redis_clients(settings: Settings) -> dict[str, Redis]:
    """By use. What a request waits for anyway gets 50 ms, what decides about waiting gets half a second."""
    first, *others = settings.redis_locks_url.split(",")
    nodes = {f"locks-{at}": connect(url, timeout=0.1) for at, url in enumerate([first, *others] if others else [])}
    return {
        **nodes,
        "locks": connect(first, timeout=0.5),
        "sessions": connect(settings.redis_sessions_url, timeout=0.05),
        "queue": connect(settings.redis_queue_url, timeout=0.5),
        "cache": connect(settings.redis_cache_url, timeout=0.05),
        "cache-changes": connect(settings.redis_cache_url, timeout=5.0, connections=2),
    }


def _pool(settings: Settings, url: str, name: str, size: int) -> Pool:
    return Pool(
        url,
        name=name,
        size=size,
        wait=settings.pool_wait,
        prepared=settings.prepared_statements,
        # One name for all: PgBouncer sends a SET whenever a server connection changes to a client of another.
        application="erp",
    )


def _note_admission(event: str, detail: str) -> None:
    if event == "degraded":
        rate_limit_local_total.inc()
    if event in ("degraded", "recovered"):
        redis_degraded.at("limits").set(event == "degraded")


def _note_replica(replica: Replica) -> None:
    replica_lag_seconds.at(replica.name).set(replica.lag_seconds)
    replica_eligible.at(replica.name).set(1 if replica.healthy else 0)
