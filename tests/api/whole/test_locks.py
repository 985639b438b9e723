"""A tenant's locks over the API: seen while held, opened by force, recorded, and nobody else's business."""

import uuid
from collections.abc import AsyncIterator

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError

from db.redis import connect
from tenancy.locks import LockService
from tests.api.whole.conftest import Newcomer, Tenant
from tests.services import Services

A, B = (f"stock:{letter * 32}" for letter in "ab")


@pytest.fixture
async def instance(services: Services) -> AsyncIterator[LockService]:
    """Another instance of the fleet, which holds the locks."""
    client = connect(services.redis_locks_url, timeout=0.5)
    service = LockService(client, holder="api-7")
    yield service
    await service.close()
    await client.aclose()


async def test_a_held_lock_is_listed_with_its_holder_until_it_is_released(
    tenant: Tenant, instance: LockService
) -> None:
    handle = await instance.acquire(uuid.UUID(tenant.id), [A, B])
    page = await tenant.get("/v1/locks", limit="1")
    assert [lock["name"] for lock in page["data"]] == [A]
    assert (page["data"][0]["holder"], page["data"][0]["kind"], page["has_more"]) == ("api-7", "stock", True)
    rest = await tenant.get("/v1/locks", cursor=page["next_cursor"])
    assert [lock["name"] for lock in rest["data"]] == [B]
    assert (await tenant.get(f"/v1/locks/{A}"))["expires_in"] > 0
    instance.release(handle)
    await instance.acquire(uuid.UUID(tenant.id), [A], wait=1.0)


async def test_locks_of_another_tenant_are_not_seen(newcomer: Newcomer, instance: LockService) -> None:
    one, other = await newcomer(), await newcomer()
    await instance.acquire(uuid.UUID(one.id), [A])
    assert (await other.get("/v1/locks"))["data"] == []
    await other.get(f"/v1/locks/{A}", 404)
    await other.post(f"/v1/locks/{A}/release", {"reason": "not mine"})
    assert (await one.get(f"/v1/locks/{A}"))["holder"] == "api-7"


async def test_a_forced_lock_is_free_and_the_audit_trail_says_why(tenant: Tenant, instance: LockService) -> None:
    handle = await instance.acquire(uuid.UUID(tenant.id), [A])
    answer = await tenant.post(f"/v1/locks/{A}/release", {"reason": "the instance hangs"})
    assert len(answer.pop("lease")) == 40
    assert answer == {"name": A, "was_held": True, "reason": "the instance hangs"}
    await tenant.get(f"/v1/locks/{A}", 404)
    entries = (await tenant.get("/v1/audit-entries", action="locks.release"))["data"]
    assert entries[0]["after"] == {"name": A, "reason": "the instance hangs", "holder": "api-7"}
    instance.release(handle)


async def test_a_lock_that_redis_kept_from_being_opened_is_opened_by_the_repeated_request(
    tenant: Tenant, instance: LockService, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Redis answers while the release is recorded and not when it is to happen."""
    hanging = await instance.acquire(uuid.UUID(tenant.id), [A])
    opening, away = LockService.force_release, [True]

    async def cut(self: LockService, tenant_id: uuid.UUID, name: str, lease: str) -> bool:
        if away:
            away.clear()
            raise RedisConnectionError("cut")
        return await opening(self, tenant_id, name, lease)

    monkeypatch.setattr(LockService, "force_release", cut)
    path, body, key = f"/v1/locks/{A}/release", {"reason": "the instance hangs"}, uuid.uuid4().hex
    problem = await tenant.post(path, body, 503, key=key)
    assert problem["code"] == "lock-store-unavailable"
    await tenant.get(f"/v1/locks/{A}")
    assert (await tenant.post(path, body, 200, key=key))["was_held"]
    await tenant.get(f"/v1/locks/{A}", 404)
    assert len((await tenant.get("/v1/audit-entries", action="locks.release"))["data"]) == 1
    instance.release(hanging)
    # Once more, later: somebody else's lock of that name stays shut.
    later = await instance.acquire(uuid.UUID(tenant.id), [A])
    await tenant.post(path, body, 200, key=key)
    await tenant.get(f"/v1/locks/{A}")
    instance.release(later)


async def test_forcing_a_lock_wants_its_permission_and_a_reason(tenant: Tenant, instance: LockService) -> None:
    await tenant.post(f"/v1/locks/{A}/release", {}, 422)
    problem = await tenant.post("/v1/locks/NO%20NAME/release", {"reason": "x"}, 422)
    assert problem["code"] == "invalid-lock-name"
    key = await tenant.make("api-keys", name="looker", role="auditor")
    headers = {"Authorization": f"Bearer {key['secret']}"}
    assert (await tenant.client.get("/v1/locks", headers=headers)).status_code == 200
    refused = await tenant.client.post(f"/v1/locks/{A}/release", json={"reason": "x"}, headers=headers)
    assert refused.status_code == 403
