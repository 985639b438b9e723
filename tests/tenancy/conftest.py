"""A tenant database on the real servers, with bare tenants and a table of the tests' own to write to."""

import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import Any

import psycopg
import pytest

from db.pool import Pool
from db.replicas import Replica, ReplicaSet
from db.statement import Bound
from tenancy.caller import Caller, TenantFacts
from tenancy.database import TenantDatabase
from tenancy.reads import TenantReads
from tests.services import Services


class NoLocks:
    """The database alone decides: what the suite runs when Redis is left out on purpose."""

    async def acquire(self, tenant_id: uuid.UUID, keys: Iterable[str]) -> None:
        return None

    def release(self, handle: Any) -> None:
        return None


@pytest.fixture
async def pool(services: Services) -> AsyncIterator[Pool]:
    pool = Pool(services.app_url, name="primary", size=30, prepared=services.prepared_statements)
    await pool.open()
    yield pool
    await pool.close()


@pytest.fixture
async def replicas(services: Services, pool: Pool) -> AsyncIterator[ReplicaSet]:
    pools = [Pool(url, name=f"replica{n}", size=4) for n, url in enumerate(services.replica_urls, 1)]
    for one in pools:
        await one.open()
    replica_set = ReplicaSet([Replica(one.name, one) for one in pools], pool)
    await replica_set.start()
    yield replica_set
    await replica_set.stop()
    for one in pools:
        await one.close()


@pytest.fixture
def database(pool: Pool, replicas: ReplicaSet) -> TenantDatabase:
    return TenantDatabase(pool, locks=NoLocks(), reads=TenantReads(pool, replicas))


@pytest.fixture
def counters(services: Services) -> Callable[[], None]:
    """A tenant table of the tests' own, fenced like every other."""
    fence = "tenant_id = (SELECT nullif(current_setting('app.tenant_id', true), '')::uuid)"
    with psycopg.connect(services.owner_url, autocommit=True) as connection:
        connection.execute(
            "CREATE TABLE IF NOT EXISTS test_counters (tenant_id uuid NOT NULL, id uuid NOT NULL,"
            " value integer NOT NULL, PRIMARY KEY (tenant_id, id),"
            " CONSTRAINT test_counters_positive CHECK (value >= 0))"
        )
        connection.execute("ALTER TABLE test_counters ENABLE ROW LEVEL SECURITY")
        connection.execute("ALTER TABLE test_counters FORCE ROW LEVEL SECURITY")
        connection.execute("DROP POLICY IF EXISTS tenant_fence ON test_counters")
        connection.execute(
            f"CREATE POLICY tenant_fence ON test_counters TO erp_app USING ({fence}) WITH CHECK ({fence})"
        )
        connection.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON test_counters TO erp_app")
    return lambda: None


Newcomer = Callable[[], Awaitable[Caller]]


@pytest.fixture
def newcomer(database: TenantDatabase) -> Newcomer:
    """Creates a bare tenant (its row only) and returns its owner."""

    async def create() -> Caller:
        tenant_id = uuid.uuid4()
        tenant = TenantFacts(tenant_id, f"t-{tenant_id.hex[:12]}", "Bare", "active", "GBP", "GB", "Europe/London")
        caller = Caller(
            tenant, uuid.uuid4(), "api_key", "owner", "owner", frozenset({"*:*"}), "127.0.0.1", "test-correlation"
        )
        insert: Bound[Any] = Bound(
            "INSERT INTO tenants (tenant_id, slug, name, base_currency, country, time_zone)"
            " VALUES (%(tenant_id)s, %(slug)s, 'Bare', 'GBP', 'GB', 'Europe/London')",
            {"slug": tenant.slug},
            None,
            True,
        )

        async def command(work: Any) -> None:
            work.save(insert)

        await database.run(caller, command)
        return caller

    return create
