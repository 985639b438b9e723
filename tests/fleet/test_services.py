"""The servers the other tests rely on are what they are taken for."""

from pathlib import Path

import psycopg
import pytest
import redis

from tests.services import Services


def fetch(dsn: str, query: str) -> list[tuple[object, ...]]:
    with psycopg.connect(dsn, prepare_threshold=None, autocommit=True) as session:
        return session.execute(query).fetchall()


def test_both_standbys_stream_and_one_confirms_each_commit(bare_services: Services) -> None:
    rows = fetch(bare_services.superuser_url, "SELECT application_name, sync_state FROM pg_stat_replication")
    assert sorted(rows) == [("replica1", "quorum"), ("replica2", "quorum")]
    assert fetch(bare_services.superuser_url, "SHOW synchronous_standby_names") == [("ANY 1 (replica1, replica2)",)]


def test_replica_urls_lead_to_standbys(bare_services: Services) -> None:
    assert [fetch(url, "SELECT pg_is_in_recovery()") for url in bare_services.replica_urls] == [[(True,)]] * 2
    assert fetch(bare_services.app_url, "SELECT pg_is_in_recovery()") == [(False,)]


@pytest.mark.parametrize("role", ["erp_app", "erp_platform", "erp_owner"])
def test_login_roles_cannot_bypass_row_security(bare_services: Services, role: str) -> None:
    rows = fetch(
        bare_services.superuser_url,
        f"SELECT rolsuper, rolbypassrls, rolcreaterole, rolcanlogin FROM pg_roles WHERE rolname = '{role}'",
    )
    assert rows == [(False, False, False, True)]


def test_application_role_owns_nothing(bare_services: Services) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        fetch(bare_services.app_url, "CREATE TABLE intruder (id int)")


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("wal_level", "replica"),
        ("max_prepared_transactions", "32"),
        ("idle_in_transaction_session_timeout", "10s"),
        ("max_slot_wal_keep_size", "1GB"),
        ("synchronous_commit", "on"),
        ("TimeZone", "UTC"),
    ],
)
def test_primary_is_configured(bare_services: Services, setting: str, value: str) -> None:
    assert fetch(bare_services.superuser_url, f"SHOW {setting}") == [(value,)]


def test_core_redis_refuses_when_full_and_cache_evicts(bare_services: Services) -> None:
    core = redis.Redis.from_url(bare_services.redis_queue_url, decode_responses=True)
    cache = redis.Redis.from_url(bare_services.redis_cache_url, decode_responses=True)
    assert core.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
    assert core.config_get("appendonly") == {"appendonly": "yes"}
    assert cache.config_get("maxmemory-policy") == {"maxmemory-policy": "allkeys-lru"}
    assert cache.config_get("appendonly") == {"appendonly": "no"}
    core.close()
    cache.close()


def test_no_server_runs_as_root(bare_services: Services) -> None:
    names = ("primary", "replica1", "replica2", "redis-core", "redis-cache")
    owners = [Path(f"/proc/{bare_services.processes[name].pid}").stat().st_uid for name in names]
    assert 0 not in owners
