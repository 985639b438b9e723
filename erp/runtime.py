"""What every process of ours is made of: pools, replica watch, Redis clients, locks, databases.

Built from settings by the composition roots of the API, the workers and the coordinator.
"""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass

import psycopg
from redis.asyncio import Redis

from db.errors import DomainError
from db.pool import Pool, observe_flushes
from db.redis import connect
from db.replicas import Replica, ReplicaSet
from erp.settings import Settings
from fleet.metrics import (
    db_transaction_retries_total,
    idempotency_total,
    observe_lock,
    observe_transaction,
    rate_limit_local_total,
    read_routing_total,
    replica_eligible,
    replica_lag_seconds,
    watch_pool,
)
from fleet.tracing import Tracing, configure_tracing, record_flush
from tenancy.admission import Gatekeeper
from tenancy.database import Observers, TenantDatabase
from tenancy.identity import Identity
from tenancy.locks import LockService
from tenancy.platform import PlatformDatabase
from tenancy.reads import TenantReads
from tenancy.selfcheck import refuse_unless_fenced
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
    gatekeeper: Gatekeeper
    identity: Identity
    database: TenantDatabase
    platform: PlatformDatabase
    tracing: Tracing
    redis_clients: Mapping[str, Redis]

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
        await asyncio.gather(self.locks.start(), self.gatekeeper.start())

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
        await self.replicas.stop()
        await self.gatekeeper.close()
        await self.locks.close()
        for client in self.redis_clients.values():
            await client.aclose()
        for pool in (*self.replica_pools, self.platform_pool, self.primary):
            await pool.close()
        self.tracing.close()


def build_runtime(settings: Settings, *, bounds: Bounds | None = None, deadline: float = 15.0) -> Runtime:
    """The parts of one process, not connected yet. `bounds` and `deadline` limit its commands."""
    tracing = configure_tracing(settings.otlp_endpoint, f"erp-{settings.role}", settings.instance)
    observe_flushes(record_flush if tracing.enabled else None)
    primary = _pool(settings, settings.database_url, "primary", settings.pool_size)
    platform_pool = _pool(settings, settings.platform_url, "platform", 4)
    readers = tuple(
        _pool(settings, url, f"replica{number}", settings.replica_pool_size)
        for number, url in enumerate(settings.replica_urls, 1)
    )
    replicas = ReplicaSet([Replica(pool.name, pool) for pool in readers], primary, on_sample=_note_replica)
    clients = _redis_clients(settings)
    locks = LockService(clients["locks"], ttl=10.0, holder=settings.instance, observe=observe_lock)
    database = TenantDatabase(
        primary,
        locks=locks,
        reads=TenantReads(
            primary,
            replicas,
            primary_budget=max(2, settings.pool_size // 2),
            observe=lambda target, reason: read_routing_total.at(target, reason).inc(),
        ),
        bounds=bounds,
        deadline=deadline,
        observers=Observers(
            transaction=observe_transaction,
            key=lambda outcome: idempotency_total.at(outcome).inc(),
            retry=lambda reason: db_transaction_retries_total.at(reason).inc(),
        ),
    )
    return Runtime(
        settings=settings,
        primary=primary,
        platform_pool=platform_pool,
        replica_pools=readers,
        replicas=replicas,
        locks=locks,
        gatekeeper=Gatekeeper(
            clients["sessions"],
            instances=settings.api_instances,
            observe=_note_admission,
        ),
        identity=Identity(primary, operator_key=settings.operator_key),
        database=database,
        platform=PlatformDatabase(platform_pool),
        tracing=tracing,
        redis_clients=clients,
    )


def _redis_clients(settings: Settings) -> dict[str, Redis]:
    """By use. What a request waits for anyway gets 50 ms, what decides about waiting gets half a second."""
    return {
        "locks": connect(settings.redis_locks_url, timeout=0.5),
        "sessions": connect(settings.redis_sessions_url, timeout=0.05),
        "queue": connect(settings.redis_queue_url, timeout=0.5),
        "cache": connect(settings.redis_cache_url, timeout=0.05),
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


def _note_replica(replica: Replica) -> None:
    replica_lag_seconds.at(replica.name).set(replica.lag_seconds)
    replica_eligible.at(replica.name).set(1 if replica.healthy else 0)
