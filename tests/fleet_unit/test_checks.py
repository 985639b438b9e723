"""The ready-made checks against the real servers."""

from collections.abc import AsyncIterator

import pytest

from db.pool import Pool
from db.redis import connect
from db.replicas import Replica, ReplicaSet
from fleet import metrics
from fleet.checks import primary_check, redis_check, replicas_check
from fleet.health import Health, Identity
from fleet.instruments import REGISTRY
from tests.services import Services


@pytest.fixture
async def primary(bare_services: Services) -> AsyncIterator[Pool]:
    pool = Pool(bare_services.app_url, name="primary", size=2)
    await pool.open()
    yield pool
    await pool.close()


@pytest.fixture
async def standby(bare_services: Services) -> AsyncIterator[Pool]:
    pool = Pool(bare_services.replica_urls[0], name="replica1", size=2)
    await pool.open()
    yield pool
    await pool.close()


async def test_the_primary_is_healthy_and_a_standby_is_no_primary(primary: Pool, standby: Pool) -> None:
    good = await primary_check(primary)()
    assert good is not None
    assert good.status == "healthy"
    found = await primary_check(standby)()
    assert found is not None
    assert (found.status, found.detail) == ("unhealthy", "the server is a standby")
    assert found.facts["requests_waiting"] == 0


async def test_replicas_are_reported_one_by_one(primary: Pool, standby: Pool) -> None:
    nowhere = Pool("postgresql://erp_app@127.0.0.1:9/erp", name="replica2", size=1, wait=0.2)
    await nowhere.open()
    replicas = ReplicaSet([Replica("replica1", standby), Replica("replica2", nowhere)], primary)
    await replicas.start()
    found = await replicas_check(replicas)()
    await replicas.stop()
    await nowhere.close()
    assert found is not None
    assert (found.status, found.detail) == ("degraded", "not serving: replica2")
    assert found.facts["replica1"] == "eligible"


async def test_redis_answers_or_is_unhealthy_without_telling_where(bare_services: Services) -> None:
    health = Health(Identity("api-1", "api", "0"))
    client = connect(bare_services.redis_cache_url, timeout=0.5)
    away = connect("redis://:hunter2@127.0.0.1:9/0", timeout=0.2)
    health.add("redis_cache", redis_check(client))
    health.add("redis_locks", redis_check(away), critical=False)
    report = await health.report()
    await client.aclose()
    await away.aclose()
    assert report.checks["redis_cache"].status == "healthy"
    assert report.checks["redis_locks"].status == "unhealthy"
    assert report.checks["redis_locks"].detail == "ConnectionError"


async def test_a_real_pool_s_counters_are_exported(primary: Pool) -> None:
    await primary_check(primary)()
    metrics.watch_pool("primary", primary.stats)
    try:
        assert REGISTRY.get_sample_value("db_pool_max", {"pool": "primary"}) == 2
        asked = REGISTRY.get_sample_value("db_pool_requests_total", {"pool": "primary"})
        assert asked is not None
        assert asked >= 1
    finally:
        metrics.unwatch_pool("primary")
