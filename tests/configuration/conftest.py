"""Watches as processes have them, several in this one, over real servers that a test can take away."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import psycopg
import pytest

from db.pool import Pool
from fleet.configuration.snapshot import Configuration
from fleet.configuration.watch import ConfigurationWatch, hints_over
from tests.api.whole.conftest import gate, newcomer, operator, tenant
from tests.services import Services
from tests.tenancy.coordination.conftest import own_redis, redis_of_our_own

__all__ = ["gate", "newcomer", "operator", "own_redis", "redis_of_our_own", "tenant"]


async def change(client: httpx.AsyncClient, **settings: Any) -> int:
    """The revision of the change; `sales__reservation_ttl=60`."""
    wanted = [{"key": name.replace("__", "."), "value": value} for name, value in settings.items()]
    reply = await client.post("/v1/configuration/changes", json={"settings": wanted, "reason": "For a test"})
    assert reply.status_code == 200, reply.text
    revision: int = reply.json()["revision"]
    return revision


async def until(true: Callable[[], bool], within: float) -> float:
    """Seconds until it is true. Raises AssertionError when that takes longer than `within`."""
    started = time.monotonic()
    while not true():
        assert time.monotonic() - started < within, f"not within {within} s"
        await asyncio.sleep(0.005)
    return time.monotonic() - started


@contextlib.asynccontextmanager
async def watching(platform_url: str, redis_url: str, **options: Any) -> AsyncIterator[ConfigurationWatch]:
    """One process's watch, without the process."""
    pool = Pool(platform_url, name="watching", size=2, wait=0.5)
    await pool.open()
    watch = ConfigurationWatch(Configuration(), pool, hints_over(redis_url), **options)
    await watch.start()
    try:
        yield watch
    finally:
        await watch.close()
        await pool.close()


@pytest.fixture
async def system(operator: httpx.AsyncClient) -> AsyncIterator[httpx.AsyncClient]:
    """The operator; what a test set for the system is taken back after it."""
    yield operator
    reply = await operator.post("/v1/configuration/rollback", json={"to_version": 1, "reason": "The test is over"})
    assert reply.status_code == 200, reply.text


@pytest.fixture
def store(services: Services) -> Callable[[str, str], None]:
    """Put a value for the system straight into the tables, as a newer or careless release might."""

    def put(key: str, value: str) -> None:
        with psycopg.connect(services.superuser_url) as connection:
            row = connection.execute("UPDATE configuration_head SET revision = revision + 1 RETURNING revision")
            [revision] = row.fetchone() or (0,)
            system = "00000000-0000-0000-0000-000000000000"
            connection.execute(
                "INSERT INTO configuration_scopes VALUES (%s, 2) ON CONFLICT (tenant_id)"
                " DO UPDATE SET version = configuration_scopes.version + 1",
                (system,),
            )
            connection.execute(
                "INSERT INTO configuration_entries SELECT tenant_id, %s, %s, version FROM configuration_scopes"
                " WHERE tenant_id = %s ON CONFLICT (tenant_id, key)"
                " DO UPDATE SET value = excluded.value, version = excluded.version",
                (key, value, system),
            )
            connection.execute(
                "INSERT INTO configuration_changes (tenant_id, id, version, key, revision, action, after, reason,"
                " principal_id, principal_kind, principal_name, correlation_id) SELECT tenant_id, gen_random_uuid(),"
                " version, %s, %s, 'changed', %s, 'straight', tenant_id, 'system', 'test', 'test'"
                " FROM configuration_scopes WHERE tenant_id = %s",
                (key, revision, value, system),
            )

    return put
