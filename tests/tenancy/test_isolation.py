"""The fences themselves: what one tenant's transaction can see and write of another's."""

import uuid
from typing import Any

import psycopg
import pytest

from db.errors import DomainError
from db.pool import Pool, flush
from db.statement import Bound
from tenancy.database import TenantDatabase
from tenancy.selfcheck import FencesDown, inspect, refuse_unless_fenced
from tenancy.work import UnitOfWork
from tests.services import Services
from tests.tenancy.conftest import Newcomer


async def test_rows_of_another_tenant_do_not_exist(database: TenantDatabase, newcomer: Newcomer) -> None:
    first, second = await newcomer(), await newcomer()
    everything: Bound[Any] = Bound("SELECT tenant_id FROM tenants", {})
    [rows] = await database.read(first, everything)
    assert rows in ([], [(first.tenant.id,)])

    async def look(work: UnitOfWork) -> list[Any]:
        [seen] = await work.load(everything)
        return seen

    assert (await database.run(second, look)).value == [(second.tenant.id,)]


async def test_writing_a_row_of_another_tenant_is_refused(database: TenantDatabase, newcomer: Newcomer) -> None:
    first, second = await newcomer(), await newcomer()
    foreign: Bound[Any] = Bound(
        "INSERT INTO audit_entries (tenant_id, id, at, principal_id, principal_kind, principal_name, address,"
        " action, target_type, target_id, correlation_id)"
        " VALUES (%(other)s, %(id)s, now(), %(id)s, 'k', 'n', 'a', 'x', 't', %(id)s, 'c')",
        {"other": second.tenant.id, "id": uuid.uuid4()},
    )

    async def write(work: UnitOfWork) -> None:
        work.save(foreign)

    with pytest.raises((psycopg.errors.InsufficientPrivilege, DomainError)):
        await database.run(first, write)


async def test_without_a_tenant_there_are_no_rows(pool: Pool, newcomer: Newcomer) -> None:
    await newcomer()
    async with pool.connection() as connection:
        [rows] = await flush(connection, [Bound("SELECT tenant_id FROM tenants", {})])
    assert rows == []


async def test_a_tenant_does_not_stay_in_a_pooled_connection(
    pool: Pool, database: TenantDatabase, newcomer: Newcomer
) -> None:
    caller = await newcomer()
    for _ in range(20):
        await database.read(caller, Bound("SELECT 1", {}))
        async with pool.connection() as connection:
            [rows] = await flush(connection, [Bound("SELECT tenant_id FROM tenants", {})])
        assert rows == []


async def test_history_cannot_be_rewritten_by_the_application(database: TenantDatabase, newcomer: Newcomer) -> None:
    caller = await newcomer()

    async def rewrite(work: UnitOfWork) -> None:
        work.save(Bound("UPDATE events SET type = 'nothing.happened'", {}))

    with pytest.raises((psycopg.errors.InsufficientPrivilege, DomainError)):
        await database.run(caller, rewrite)


async def test_the_self_check_passes_on_a_migrated_database(pool: Pool) -> None:
    assert [finding for finding in await inspect(pool) if finding.problem] == []


async def test_a_dropped_policy_refuses_the_start(services: Services, pool: Pool) -> None:
    with psycopg.connect(services.owner_url, autocommit=True) as connection:
        connection.execute("CREATE TABLE leaky (tenant_id uuid NOT NULL, id uuid NOT NULL)")
        try:
            with pytest.raises(FencesDown, match="table leaky"):
                await refuse_unless_fenced(pool)
        finally:
            connection.execute("DROP TABLE leaky")


async def test_a_role_that_bypasses_the_fences_refuses_the_start(services: Services) -> None:
    pool = Pool(services.superuser_url, name="superuser", size=1)
    await pool.open()
    try:
        with pytest.raises(FencesDown, match="bypass"):
            await refuse_unless_fenced(pool)
    finally:
        await pool.close()
