"""The last use of an API key: noted without a wait, written once a minute however many instances see the key."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from db.counting import RoundTrips, round_trips
from db.pool import Pool
from tenancy.caller import Caller
from tenancy.key_usage import KeyUsage
from tests.services import Services
from tests.tenancy.conftest import Newcomer

_ADD = (
    "INSERT INTO api_keys (tenant_id, id, prefix, secret_hash, name, role) VALUES (%s, %s, %s, '\\x00', 'k', 'sales')"
)


@pytest.fixture
async def caller(newcomer: Newcomer, services: Services) -> Caller:
    """Who calls with a key that exists."""
    found = await newcomer()
    with psycopg.connect(services.superuser_url, autocommit=True) as connection:
        connection.execute(_ADD, (found.tenant.id, found.principal_id, uuid4().hex[:16]))
    return found


def key_row(services: Services, key_id: UUID) -> Any:
    """(last use, the transaction that wrote the row)."""
    with psycopg.connect(services.superuser_url) as connection:
        row = connection.execute("SELECT last_used_at, xmin::text, version FROM api_keys WHERE id = %s", (key_id,))
        return row.fetchone()


async def test_a_use_is_written_later_and_changes_no_version(pool: Pool, caller: Caller, services: Services) -> None:
    usage = KeyUsage(pool)
    before = datetime.now(UTC)
    usage.note(caller)
    assert key_row(services, caller.principal_id)[0] is None
    await usage.flush()
    used_at, _, version = key_row(services, caller.principal_id)
    assert before <= used_at <= datetime.now(UTC)
    assert version == 1


async def test_a_key_is_written_once_a_minute_however_many_instances_see_it(
    pool: Pool, caller: Caller, services: Services
) -> None:
    instances = [KeyUsage(pool) for _ in range(3)]
    for _ in range(5):
        for instance in instances:
            instance.note(caller)
        await asyncio.gather(*(instance.flush() for instance in instances))
    first = key_row(services, caller.principal_id)
    for instance in (*instances, KeyUsage(pool)):
        instance.note(caller)
        await instance.flush()
    assert key_row(services, caller.principal_id) == first
    with psycopg.connect(services.superuser_url, autocommit=True) as connection:
        connection.execute(
            "UPDATE api_keys SET last_used_at = last_used_at - interval '1 minute' WHERE id = %s",
            (caller.principal_id,),
        )
    later = KeyUsage(pool)
    later.note(caller)
    await later.flush()
    assert key_row(services, caller.principal_id)[0] > first[0]


async def test_one_instance_notes_a_key_again_when_the_minute_is_over(pool: Pool, caller: Caller) -> None:
    usage = KeyUsage(pool, interval=0.05)
    usage.note(caller)
    await usage.flush()
    usage.note(caller)
    assert not usage._waiting
    await asyncio.sleep(0.06)
    usage.note(caller)
    assert usage._waiting[caller.tenant.database, caller.tenant.id].keys() == {caller.principal_id}


async def test_what_cannot_be_written_now_is_written_later(pool: Pool, caller: Caller, services: Services) -> None:
    nowhere = Pool("host=127.0.0.1 port=1 dbname=erp user=nobody", name="nowhere", size=1, wait=0.05)
    await nowhere.open()
    usage = KeyUsage(nowhere)
    usage.note(caller)
    await usage.flush()
    assert usage._waiting[caller.tenant.database, caller.tenant.id].keys() == {caller.principal_id}
    usage._pools[caller.tenant.database] = pool
    await usage.flush()
    assert key_row(services, caller.principal_id)[0] is not None
    await nowhere.close()


async def test_a_row_somebody_holds_is_not_waited_for(pool: Pool, caller: Caller, services: Services) -> None:
    usage = KeyUsage(pool)
    usage.note(caller)
    async with await psycopg.AsyncConnection.connect(services.superuser_url) as other:
        await other.execute("SELECT FROM api_keys WHERE id = %s FOR UPDATE", (caller.principal_id,))
        async with asyncio.timeout(1):
            await usage.flush()
    assert key_row(services, caller.principal_id)[0] is None


async def test_a_key_is_found_in_its_own_tenant_only(
    pool: Pool, caller: Caller, newcomer: Newcomer, services: Services
) -> None:
    stranger = await newcomer()
    usage = KeyUsage(pool)
    usage.note(Caller(stranger.tenant, caller.principal_id, "api_key", "k", "sales", frozenset()))
    await usage.flush()
    assert key_row(services, caller.principal_id)[0] is None


async def test_neither_the_operator_nor_a_job_is_a_key(pool: Pool, caller: Caller) -> None:
    usage = KeyUsage(pool)
    for kind in ("operator", "system"):
        usage.note(Caller(caller.tenant, caller.principal_id, kind, "n", "r", frozenset()))
    assert not usage._waiting


async def test_a_thousand_keys_of_a_tenant_are_one_round_trip_and_the_memory_has_a_bound(
    pool: Pool, caller: Caller
) -> None:
    usage = KeyUsage(pool, capacity=1_000)
    for _ in range(1_500):
        usage.note(Caller(caller.tenant, uuid4(), "api_key", "k", "sales", frozenset()))
    assert len(usage._waiting[caller.tenant.database, caller.tenant.id]) == len(usage._quiet_until) == 1_000
    counter = RoundTrips()
    token = round_trips.set(counter)
    try:
        await usage.flush()
    finally:
        round_trips.reset(token)
    assert counter.postgres == 1


async def test_the_task_of_an_instance_writes_by_itself_and_once_more_at_its_end(
    pool: Pool, newcomer: Newcomer, services: Services
) -> None:
    callers = [await newcomer() for _ in range(2)]
    with psycopg.connect(services.superuser_url, autocommit=True) as connection:
        for one in callers:
            connection.execute(_ADD, (one.tenant.id, one.principal_id, uuid4().hex[:16]))
    usage = KeyUsage(pool, pause=0.02)
    usage.start()
    usage.note(callers[0])
    async with asyncio.timeout(5):
        while key_row(services, callers[0].principal_id)[0] is None:  # noqa: ASYNC110  # told by the row alone
            await asyncio.sleep(0.01)
    await usage.close()
    ending = KeyUsage(pool, pause=3600)
    ending.start()
    ending.note(callers[1])
    await ending.close()
    assert key_row(services, callers[1].principal_id)[0] > datetime.now(UTC) - timedelta(minutes=1)
