"""The composition root of an API instance: settings in, an ASGI application out."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

from db.consistency import TokenCodec
from db.pool import Pool, flush
from db.replicas import Replica
from db.statement import Bound
from erp.accounting import routes as accounting
from erp.audit import routes as audit
from erp.catalog import routes as catalog
from erp.closing import routes as closing
from erp.eventstore import routes as eventstore
from erp.exchange.imports import routes as imports
from erp.fulfilment import routes as fulfilment
from erp.http.assembly import assemble
from erp.http.commands import Command
from erp.http.entry import Limits
from erp.http.gate import Gate, GatePolicy
from erp.http.services import Services
from erp.instance import VERSION, instance_of
from erp.intercompany import routes as intercompany
from erp.inventory import routes as inventory
from erp.invoicing import routes as invoicing
from erp.jobs import routes as jobs
from erp.jobs.operations import routes as job_operations
from erp.kernel.paging import CursorCodec
from erp.operations import (
    breaker_routes,
    cache_routes,
    configuration_routes,
    features_routes,
    instances_routes,
    leader_routes,
    locks_routes,
    system_schedules_routes,
    two_phase_routes,
    usage_routes,
)
from erp.parties import routes as parties
from erp.payments import routes as payments
from erp.pricing import routes as pricing
from erp.projections import routes as projections
from erp.purchasing import routes as purchasing
from erp.recurring import routes as recurring
from erp.reordering import routes as reordering
from erp.reporting import routes as reporting
from erp.runtime import Runtime, build_runtime
from erp.sales import routes as sales
from erp.scheduling import routes as scheduling
from erp.settings import Settings, load_settings
from erp.tenants import routes as tenants
from fleet.configuration.snapshot import Configuration
from fleet.exposition import MetricsServer, start_metrics_server
from fleet.garbage import settle_garbage_collector
from fleet.health import Health, Identity, Liveness, Outcome, Readiness
from fleet.logging import configure_logging
from fleet.metrics import build_info
from tenancy.key_usage import KeyUsage
from tenancy.limit_keys import (
    ADDRESS_PER_MINUTE,
    KEY_PER_MINUTE,
    STRANGER_PER_MINUTE,
    TENANT_CONCURRENCY,
    TENANT_PER_MINUTE,
    USER_PER_MINUTE,
)

SLICES: Final = (
    tenants, parties, catalog, pricing, accounting, inventory, invoicing, payments, sales, purchasing,
    intercompany, jobs, job_operations, imports, reporting, audit, configuration_routes, cache_routes, locks_routes,
    two_phase_routes, fulfilment, instances_routes, leader_routes, features_routes, usage_routes, breaker_routes,
    eventstore, projections, scheduling, system_schedules_routes, recurring, reordering, closing,
)  # fmt: skip
COMMANDS: Final[tuple[Command, ...]] = tuple(command for module in SLICES for command in module.COMMANDS)

_PING: Bound[Any] = Bound("SELECT 1", {})


def create_app() -> Gate:
    """What the server runs: `uvicorn erp.app:create_app --factory`."""
    settings = load_settings()
    configure_logging(settings.log_level, instance=settings.instance, role=settings.role)
    gate = build_app(settings)
    settle_garbage_collector()
    return gate


def build_app(settings: Settings) -> Gate:
    """An application on the given settings; it connects when its lifespan begins."""
    runtime = build_runtime(settings)
    services = _services(settings, runtime)
    readiness, liveness, usage = services.readiness, services.liveness, services.usage

    @asynccontextmanager
    async def lifespan(_: Any) -> AsyncIterator[None]:
        await runtime.open()
        metrics = _metrics(settings, readiness)
        liveness.start()
        readiness.start()
        usage.start()
        try:
            async with services.instance:
                yield
        finally:
            readiness.drain()
            liveness.stop()
            if metrics is not None:
                metrics.close()
            await usage.close()
            await runtime.close()

    gate = assemble(
        services,
        _policy(settings, runtime.configuration),
        routers=[module.router for module in SLICES],
        commands=COMMANDS,
        version=VERSION,
        public_url=settings.public_url,
        lifespan=[lifespan],
    )
    _follow_limits(gate, runtime.configuration)
    return gate


def _services(settings: Settings, runtime: Runtime) -> Services:
    readiness = Readiness()
    return Services(
        database=runtime.database,
        identity=runtime.identity,
        gatekeeper=runtime.gatekeeper,
        locks=runtime.locks,
        cache=runtime.cache,
        tokens=TokenCodec(settings.token_secret),
        cursors=CursorCodec(settings.token_secret),
        health=_health(settings, runtime),
        liveness=Liveness(),
        readiness=readiness,
        platform=runtime.platform,
        platforms=runtime.platforms,
        two_phase=runtime.two_phase,
        usage=KeyUsage(runtime.primary, placed=runtime.placed.pools),
        metering=runtime.metering,
        configuration=runtime.configuration,
        instance=instance_of(settings, runtime.configuration_watch, readiness, peers=runtime.gatekeeper.shared_by),
    )


def _follow_limits(gate: Gate, configuration: Configuration) -> None:
    def changed(names: frozenset[str]) -> None:
        if any(name.startswith("limits.") for name in names):
            gate.limit_by(_limits(configuration))

    configuration.watch(changed)


def _limits(configuration: Configuration) -> Limits:
    return Limits(
        user=configuration.get(USER_PER_MINUTE),
        key=configuration.get(KEY_PER_MINUTE),
        tenant=configuration.get(TENANT_PER_MINUTE),
        address=configuration.get(ADDRESS_PER_MINUTE),
        stranger=configuration.get(STRANGER_PER_MINUTE),
        tenant_concurrency=configuration.get(TENANT_CONCURRENCY),
    )


def _policy(settings: Settings, configuration: Configuration) -> GatePolicy:
    return GatePolicy(
        _limits(configuration),
        concurrency=settings.concurrency,
        queue=settings.concurrency * 4,
        queue_wait=settings.queue_wait,
        trusted_proxies=settings.trusted_proxies,
    )


def _metrics(settings: Settings, readiness: Readiness) -> MetricsServer | None:
    build_info.at(VERSION, settings.role).set(1)
    if not settings.metrics_port:
        return None
    return start_metrics_server(
        settings.metrics_port, address=settings.metrics_address, ready=lambda: not readiness.reasons()
    )


def _health(settings: Settings, runtime: Runtime) -> Health:
    health = Health(Identity(settings.instance, settings.role, VERSION, settings.region, settings.zone))
    health.add("primary", lambda: _ping(runtime.primary))
    for replica in runtime.replicas.replicas:
        health.add(replica.name, lambda replica=replica: _replica(replica), critical=False)  # type: ignore[misc]
    for name, client in runtime.redis_clients.items():
        health.add(f"redis-{name}", lambda client=client: _redis(client), critical=False)  # type: ignore[misc]
    health.add("outbox", lambda: _outbox(runtime), critical=False)
    health.add("configuration", lambda: _configuration(runtime), critical=False)
    return health


async def _ping(pool: Pool) -> Outcome:
    async with pool.connection() as connection:
        await flush(connection, [_PING])
    stats = pool.stats()
    return Outcome(facts={name: stats.get(name, 0) for name in ("pool_size", "pool_available", "requests_waiting")})


async def _replica(replica: Replica) -> Outcome:
    await replica.refresh()
    facts = {"lag_seconds": round(replica.lag_seconds, 3), "replayed": replica.replayed}
    return Outcome("healthy" if replica.healthy else "degraded", facts=facts)


async def _redis(client: Any) -> Outcome:
    started = time.perf_counter()
    await client.ping()
    return Outcome(facts={"ping_ms": round((time.perf_counter() - started) * 1000, 2)})


async def _outbox(runtime: Runtime) -> Outcome:
    async def waiting(session: Any) -> list[Any]:
        [rows] = await session.load(
            Bound(
                "SELECT (SELECT count(*) FROM (SELECT FROM outbox LIMIT 10000) AS waiting), coalesce((SELECT"
                " extract(epoch FROM now() - occurred_at) FROM events JOIN outbox"
                " USING (tenant_id, aggregate_id, version) ORDER BY outbox.position LIMIT 1), 0)::float",
                {},
            )
        )
        found: list[Any] = rows
        return found

    [(count, age)] = await runtime.platform.run(waiting)
    return Outcome(
        "degraded" if age > 30 else "healthy", facts={"unpublished": count, "oldest_seconds": round(age, 1)}
    )


async def _configuration(runtime: Runtime) -> Outcome:
    unconfirmed = runtime.configuration_watch.unconfirmed_for()
    facts = {"revisions": dict(runtime.configuration.snapshot.revisions)}
    return Outcome("healthy" if unconfirmed < 30 else "degraded", facts=facts)
