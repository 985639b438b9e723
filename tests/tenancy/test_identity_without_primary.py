"""Reads go on when the primary is gone: known callers stay known as long as nothing says otherwise."""

import asyncio
import uuid

import psycopg
import pytest

from db.errors import Overloaded, PrimaryUnavailable
from db.migrations import migrate
from db.pool import Pool
from tenancy.api_keys import mint_key
from tenancy.errors import Unauthorized
from tenancy.identity import Identity
from tests.services import Services, running_services


def add_tenant_with_key(services: Services) -> str:
    tenant_id = uuid.uuid4()
    key = mint_key(tenant_id)
    with psycopg.connect(services.superuser_url, autocommit=True) as connection:
        connection.execute(
            "INSERT INTO tenants (tenant_id, slug, name, base_currency, country, time_zone)"
            " VALUES (%s, %s, 'Alone', 'GBP', 'GB', 'UTC')",
            (tenant_id, f"alone-{tenant_id.hex[:8]}"),
        )
        connection.execute(
            "INSERT INTO api_keys (tenant_id, id, prefix, secret_hash, name, role)"
            " VALUES (%s, %s, %s, %s, 'k', 'owner')",
            (tenant_id, uuid.uuid4(), key.prefix, key.secret_hash),
        )
    return key.token


async def test_a_known_key_outlives_the_primary_until_its_version_changes() -> None:
    with running_services(replicas=1) as services:
        await asyncio.to_thread(migrate, services.owner_url)
        token = add_tenant_with_key(services)
        pool = Pool(services.app_url, name="primary", size=2, wait=0.3)
        await pool.open()
        identity = Identity(pool, operator_key="operator", remember=0.01)
        known = await identity.confirm(token, await identity.authenticate(token), "1.1")
        services.processes["primary"].kill()
        await asyncio.sleep(0.02)

        again = await identity.confirm(token, await identity.authenticate(token), "1.1")
        assert again.caller.principal_id == known.caller.principal_id
        with pytest.raises((PrimaryUnavailable, Overloaded)):
            await identity.confirm(token, again, "1.2")
        with pytest.raises((PrimaryUnavailable, Overloaded)):
            await identity.authenticate(mint_key(uuid.uuid4()).token)
        with pytest.raises(Unauthorized):
            await identity.authenticate("not a key")
        await pool.close()
