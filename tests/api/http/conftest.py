"""The HTTP layer over real PostgreSQL (with replicas) and Redis, serving the notes slice."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import httpx
import psycopg
import pytest

from db.consistency import TokenCodec
from db.pool import Pool
from db.redis import connect
from db.replicas import Replica, ReplicaSet
from db.two_phase import TwoPhase
from erp.http.assembly import assemble
from erp.http.entry import Limits
from erp.http.gate import Gate, GatePolicy
from erp.http.services import Services as HttpServices
from erp.kernel.paging import CursorCodec
from fleet.configuration.snapshot import Configuration
from fleet.health import Health, Liveness, Readiness
from fleet.health import Identity as InstanceIdentity
from fleet.instances.instance import Hooks, Instance
from fleet.instances.member import About
from tenancy.admission import Gatekeeper
from tenancy.api_keys import mint_key
from tenancy.cache.service import TenantCache
from tenancy.database import TenantDatabase
from tenancy.identity import Identity
from tenancy.key_usage import KeyUsage
from tenancy.locks import LockService
from tenancy.metering import Metering
from tenancy.placement import Platforms
from tenancy.platform import PlatformDatabase
from tenancy.reads import TenantReads
from tests.api.http import notes
from tests.services import Services

ROOMY = Limits(user=100_000, key=100_000, tenant=100_000, address=100_000, stranger=100_000)


@dataclass(frozen=True, slots=True)
class Tenant:
    """A tenant with one owner key and one that may only read."""

    id: UUID
    owner: str
    reader: str


@dataclass(frozen=True, slots=True)
class Rig:
    """One instance of the HTTP layer; `build` makes another over the same services."""

    services: HttpServices
    gate: Gate
    operator_key: str

    def policy(self, **bounds: Any) -> GatePolicy:
        return GatePolicy(**{"limits": ROOMY, "trusted_proxies": ("10.9.9.9",), **bounds})

    def build(self, **bounds: Any) -> Gate:
        return assemble(
            self.services, self.policy(**bounds), routers=[notes.router], commands=notes.COMMANDS,
            version="1.0.0", public_url="https://erp.example",
        )  # fmt: skip


async def _nothing_to_reload() -> dict[str, Any]:
    return {}


def client_of(gate: Gate, token: str | None = None, address: str = "192.0.2.1") -> httpx.AsyncClient:
    headers = {"authorization": f"Bearer {token}"} if token else {}
    transport = httpx.ASGITransport(app=gate, client=(address, 50_000), raise_app_exceptions=False)  # type: ignore[arg-type]
    return httpx.AsyncClient(transport=transport, base_url="https://erp.example", headers=headers)


def add_key(connection: psycopg.Connection[tuple[object, ...]], tenant_id: UUID, role: str) -> str:
    key = mint_key(tenant_id)
    connection.execute(
        "INSERT INTO api_keys (tenant_id, id, prefix, secret_hash, name, role, scopes)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s)",
        (tenant_id, uuid4(), key.prefix, key.secret_hash, f"{role} key", role, []),
    )
    return key.token


def add_tenant(services: Services) -> Tenant:
    tenant_id = uuid4()
    with psycopg.connect(services.superuser_url, autocommit=True) as connection:
        connection.execute(
            "INSERT INTO tenants (tenant_id, slug, name, base_currency, country, time_zone)"
            " VALUES (%s, %s, 'Notes', 'EUR', 'DE', 'Europe/Berlin')",
            (tenant_id, f"notes-{tenant_id.hex[:12]}"),
        )
        return Tenant(tenant_id, add_key(connection, tenant_id, "owner"), add_key(connection, tenant_id, "auditor"))


@pytest.fixture(scope="session")
async def rig(services: Services) -> AsyncIterator[Rig]:
    with psycopg.connect(services.owner_url, autocommit=True) as connection:
        connection.execute(notes.DDL)
    prepared = services.prepared_statements
    primary = Pool(services.app_url, name="primary", size=8, prepared=prepared)
    readers = [Pool(url, name=f"r{n}", size=4, prepared=prepared) for n, url in enumerate(services.replica_urls)]
    for pool in (primary, *readers):
        await pool.open()
    replicas = ReplicaSet([Replica(pool.name, pool) for pool in readers], primary)
    await replicas.start()
    limits_redis = connect(services.redis_cache_url, timeout=0.5)
    gatekeeper = Gatekeeper(limits_redis)
    await gatekeeper.start()
    locks = LockService(connect(services.redis_locks_url, timeout=0.5))
    cache = TenantCache(
        connect(services.redis_cache_url, timeout=0.5), connect(services.redis_cache_url, timeout=5.0)
    )
    await cache.start()
    readiness, liveness = Readiness(), Liveness()
    readiness.start()
    liveness.start()
    platform = PlatformDatabase(Pool(services.platform_url, name="platform", size=1))
    http_services = HttpServices(
        database=TenantDatabase(primary, locks=locks, reads=TenantReads(primary, replicas)),
        platform=platform,
        platforms=Platforms(platform, {}),
        two_phase=TwoPhase({}, coordinator="test-1"),
        identity=Identity(primary, operator_key=services.operator_key),
        gatekeeper=gatekeeper,
        locks=locks,
        cache=cache,
        tokens=TokenCodec("secret"),
        cursors=CursorCodec("secret"),
        health=Health(InstanceIdentity("test-1", "api", "1.0.0")),
        liveness=liveness,
        readiness=readiness,
        instance=Instance(
            About(
                id="test-1:0",
                name="test-1",
                role="api",
                version="1.0.0",
                host="localhost",
                pid=1,
                started_at=datetime.now(UTC),
            ),
            services.redis_sessions_url,
            Hooks(readiness, Configuration(), _nothing_to_reload),
            heartbeat=5.0,
            dead_after=20.0,
        ),
        usage=KeyUsage(primary),
        metering=Metering(Platforms(platform, {})),
    )
    built = Rig(http_services, None, services.operator_key)  # type: ignore[arg-type]
    yield Rig(http_services, built.build(), services.operator_key)
    liveness.stop()
    await cache.close()
    await gatekeeper.close()
    await replicas.stop()
    for pool in (primary, *readers):
        await pool.close()
    with psycopg.connect(services.owner_url, autocommit=True) as connection:
        connection.execute("DROP TABLE test_notes")


@pytest.fixture
def tenant(services: Services, rig: Rig) -> Tenant:
    return add_tenant(services)


@pytest.fixture
async def api(rig: Rig, tenant: Tenant) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a fresh tenant with its owner's key."""
    async with client_of(rig.gate, tenant.owner) as client:
        yield client


@pytest.fixture
async def stranger(rig: Rig) -> AsyncIterator[httpx.AsyncClient]:
    """A client without a credential."""
    async with client_of(rig.gate) as client:
        yield client
