"""API keys: created, limited, rotated, revoked."""

import asyncio
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import psycopg
import pytest

from erp.app import build_app
from erp.http.gate import Gate
from erp.settings import load_settings
from erp.tenants.errors import PrivilegeEscalation
from erp.tenants.keys import check_grant
from tenancy.caller import Caller
from tenancy.identity import PLATFORM
from tests.api.whole.conftest import Newcomer, Tenant, client_of, running, settings_environment
from tests.services import Services
from tests.standbys import catch_up


async def key(tenant: Tenant, **fields: Any) -> dict[str, Any]:
    made: dict[str, Any] = await tenant.make("api-keys", **{"name": "Key", "role": "sales", **fields})
    return made


async def works(gate: Gate, secret: str, path: str = "/v1/parties") -> int:
    async with client_of(gate, secret) as client:
        return (await client.get(path)).status_code


async def test_a_key_may_do_what_its_role_and_scopes_allow(gate: Gate, tenant: Tenant) -> None:
    made = await key(tenant, role="sales", scopes=["bills:read"])
    assert (made["state"], made["version"], made["secret"][:4]) == ("active", 1, "erp_")
    assert made["prefix"] in made["secret"]
    assert await works(gate, made["secret"]) == 200
    assert await works(gate, made["secret"], "/v1/supplier-bills") == 200
    assert await works(gate, made["secret"], "/v1/purchase-orders") == 403
    custom = await key(tenant, role="custom", scopes=["*:read"])
    assert await works(gate, custom["secret"], "/v1/purchase-orders") == 200


async def test_the_secret_is_shown_once_and_kept_nowhere(tenant: Tenant, services: Services) -> None:
    idempotency = uuid.uuid4().hex
    made = await tenant.post("/v1/api-keys", {"name": "Key", "role": "sales"}, 201, idempotency)
    again = await tenant.post("/v1/api-keys", {"name": "Key", "role": "sales"}, 201, idempotency)
    secret = made.pop("secret")
    assert (again.pop("secret"), again) == (None, made)
    read = await tenant.get(f"/v1/api-keys/{made['id']}")
    [listed] = (await tenant.get("/v1/api-keys", role="sales"))["data"]
    assert read == listed
    assert "secret" not in read
    with psycopg.connect(services.superuser_url) as connection:
        for table, column in (
            ("idempotency_keys", "convert_from(body, 'UTF8')"),
            ("events", "data::text"),
            ("audit_entries", "after::text"),
            ("api_keys", "encode(secret_hash, 'escape')"),
        ):
            rows = connection.execute(
                f"SELECT {column} FROM {table} WHERE tenant_id = %s",
                (tenant.id,),
            ).fetchall()
            assert rows
            assert not any(secret.rsplit("_", 1)[1] in (text or "") for (text,) in rows)


async def test_nobody_grants_more_than_they_hold(gate: Gate, tenant: Tenant) -> None:
    limited = await key(tenant, role="accountant", scopes=["api_keys:write"])
    async with client_of(gate, limited["secret"]) as client:
        for asked in (
            {"role": "owner"},
            {"role": "warehouse"},
            {"role": "custom", "scopes": ["sales_orders:write"]},
            {"role": "custom", "scopes": ["*:*"]},
            {"role": "custom", "scopes": ["*:write"]},
        ):
            reply = await client.post("/v1/api-keys", json={"name": "More", **asked})
            assert (reply.status_code, reply.json()["code"]) == (403, "privilege-escalation"), asked
        reply = await client.post(
            "/v1/api-keys", json={"name": "Less", "role": "custom", "scopes": ["invoices:write", "stock:read"]}
        )
        assert reply.status_code == 201
        owner = (await tenant.get("/v1/api-keys", role="owner"))["data"][0]
        reply = await client.post(f"/v1/api-keys/{owner['id']}/rotate", json={})
        assert (reply.status_code, reply.json()["code"]) == (403, "privilege-escalation")
    seller = await key(tenant)
    async with client_of(gate, seller["secret"]) as client:
        reply = await client.post("/v1/api-keys", json={"name": "Mine", "role": "sales"})
        assert (reply.status_code, reply.json()["code"]) == (403, "forbidden")


async def test_not_even_an_owner_grants_the_platforms_permissions(tenant: Tenant) -> None:
    for scope in ("platform:read", "platform:*"):
        answer = await tenant.post("/v1/api-keys", {"name": "Up", "role": "custom", "scopes": [scope]}, 403)
        assert answer["code"] == "privilege-escalation"


def test_scopes_are_compared_as_sets_of_permissions() -> None:
    caller = Caller(PLATFORM, uuid.uuid4(), "api_key", "c", "custom", frozenset({"*:read", "stock:*"}))
    check_grant(caller, "auditor", ["stock:write", "parties:read"])
    for scopes in (["parties:write"], ["*:write"], ["*:*"], ["parties:*"]):
        with pytest.raises(PrivilegeEscalation):
            check_grant(caller, "custom", scopes)


async def test_a_key_ends_with_its_expiry(tenant: Tenant) -> None:
    past = (datetime.now(UTC) - timedelta(seconds=1)).isoformat()
    answer = await tenant.post("/v1/api-keys", {"name": "Old", "role": "sales", "expires_at": past}, 422)
    assert answer["pointer"] == "/expires_at"
    soon = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    assert (await key(tenant, expires_at=soon))["expires_at"].startswith(soon[:19])


async def test_revoking_is_felt_at_once_by_every_instance(gate: Gate, newcomer: Newcomer, services: Services) -> None:
    tenant = await newcomer()
    made = await key(tenant)
    other = build_app(load_settings(settings_environment(services, "test-2")))
    async with running(other):
        assert [await works(one, made["secret"]) for one in (gate, other)] == [200, 200]
        revoked = await tenant.post(f"/v1/api-keys/{made['id']}/revoke", None, 200)
        assert (revoked["state"], revoked["version"]) == ("revoked", 2)
        assert [await works(one, made["secret"]) for one in (gate, other)] == [401, 401]
    await tenant.post(f"/v1/api-keys/{made['id']}/revoke", None, 409)
    await tenant.post(f"/v1/api-keys/{uuid.uuid4()}/revoke", None, 404)


async def test_a_rotated_key_overlaps_with_the_new_one(gate: Gate, tenant: Tenant) -> None:
    old = await key(tenant, scopes=["periods:read"])
    new = await tenant.post(f"/v1/api-keys/{old['id']}/rotate", {"overlap_seconds": 3600}, 201)
    assert (new["replaces_id"], new["role"], new["scopes"]) == (old["id"], old["role"], old["scopes"])
    assert [await works(gate, one["secret"]) for one in (old, new)] == [200, 200]
    ends = datetime.fromisoformat((await tenant.get(f"/v1/api-keys/{old['id']}"))["expires_at"])
    assert timedelta(minutes=59) < ends - datetime.now(UTC) <= timedelta(hours=1)


async def test_a_key_rotated_without_overlap_ends_at_once(gate: Gate, tenant: Tenant) -> None:
    old = await key(tenant)
    new = await tenant.post(f"/v1/api-keys/{old['id']}/rotate", {"overlap_seconds": 0}, 201)
    assert [await works(gate, one["secret"]) for one in (old, new)] == [401, 200]
    await tenant.post(f"/v1/api-keys/{old['id']}/rotate", {}, 409)


async def test_the_last_owner_key_stays(tenant: Tenant) -> None:
    [own] = (await tenant.get("/v1/api-keys", role="owner"))["data"]
    answer = await tenant.post(f"/v1/api-keys/{own['id']}/revoke", None, 409)
    assert answer["code"] == "last-owner-key"
    soon = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    await key(tenant, role="owner", expires_at=soon)
    await tenant.post(f"/v1/api-keys/{own['id']}/revoke", None, 409)
    await key(tenant, role="owner")
    await tenant.post(f"/v1/api-keys/{own['id']}/revoke", None, 200)


async def test_two_owners_who_revoke_each_other_leave_one(gate: Gate, newcomer: Newcomer, services: Services) -> None:
    for _ in range(5):
        tenant = await newcomer()
        await asyncio.to_thread(catch_up, services)  # the operator made its first key
        [one] = (await tenant.get("/v1/api-keys", role="owner"))["data"]
        two = await key(tenant, role="owner")
        async with client_of(gate, two["secret"]) as second:

            async def revoke(client: httpx.AsyncClient, key_id: str) -> int:
                return (await client.post(f"/v1/api-keys/{key_id}/revoke")).status_code

            outcomes = await asyncio.gather(revoke(tenant.client, two["id"]), revoke(second, one["id"]))
        assert sorted(outcomes) in ([200, 401], [200, 409])
