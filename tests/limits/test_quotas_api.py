"""Setting quotas: by the operator, per tenant and plan, inherited and kept."""

import asyncio
import uuid
from typing import Any

import httpx
import pytest

from db.errors import PrimaryUnavailable
from erp.operations import usage_routes
from tests.api.whole.conftest import Newcomer, Tenant
from tests.limits.conftest import set_quotas


async def test_a_tenants_quota_hides_its_plans_which_hides_the_default(
    operator: httpx.AsyncClient, newcomer: Newcomer
) -> None:
    plan = f"plan-{uuid.uuid4().hex[:8]}"
    tenant = await newcomer(plan=plan)
    body = {"quotas": {"products": 50, "parties": 60}, "reason": "New plan"}
    set_ = (await operator.put(f"/v1/plans/{plan}/quotas", json=body)).json()
    assert (set_["version"], set_["quotas"]) == (1, body["quotas"])
    assert (set_["effective"]["api_keys"], set_["effective"]["products"]) == (1000, 50)
    shown = (await operator.get(f"/v1/tenants/{tenant.id}/quotas")).json()
    assert (shown["version"], shown["plan"], shown["quotas"]) == (0, plan, {})
    assert (shown["effective"]["products"], shown["effective"]["api_keys"]) == (50, 1000)
    own = await set_quotas(operator, tenant, products=None, parties=3)
    assert (own["version"], own["quotas"]) == (1, {"products": None, "parties": 3})
    assert (own["effective"]["products"], own["effective"]["parties"]) == (None, 3)
    assert (await tenant.get("/v1/usage"))["quotas"] == own["effective"]


async def test_each_version_of_a_plan_is_kept_and_the_same_again_is_none(operator: httpx.AsyncClient) -> None:
    path = f"/v1/plans/plan-{uuid.uuid4().hex[:8]}/quotas"
    assert (await operator.get(path)).json()["version"] == 0
    for rows, version in ((100, 1), (100, 1), (200, 2)):
        reply = await operator.put(path, json={"quotas": {"rows": rows}, "reason": "Grown"})
        assert (reply.status_code, reply.json()["version"]) == (200, version)
    assert (await operator.get(path)).json()["quotas"] == {"rows": 200}


async def test_a_tenant_cannot_set_what_binds_it(tenant: Tenant) -> None:
    body = {"quotas": {}, "reason": "More"}
    for path in (f"/v1/tenants/{tenant.id}/quotas", "/v1/plans/standard/quotas"):
        for reply in (await tenant.client.get(path), await tenant.client.put(path, json=body)):
            assert (reply.status_code, reply.json()["code"]) == (403, "operator-only")


async def test_setting_quotas_is_audited_and_told(operator: httpx.AsyncClient, tenant: Tenant) -> None:
    await set_quotas(operator, tenant, products=5)
    await set_quotas(operator, tenant, products=6)
    [last, first] = (await tenant.get("/v1/audit-entries", action="tenant.set_quotas"))["data"]
    assert (first["before"], last["before"]) == ({"quotas": {}}, {"quotas": {"products": 5}})
    assert last["after"] == {"quotas": {"products": 6}, "reason": "For a test"}


async def test_nonsense_is_refused(operator: httpx.AsyncClient, tenant: Tenant) -> None:
    path = f"/v1/tenants/{tenant.id}/quotas"
    nonsense: tuple[Any, ...] = (
        {"products": -1},
        {"products": 1.5},
        {"products": "7"},
        {"sessions": 1},
        {"rows": 10**30},
        [],
    )
    for quotas in nonsense:
        reply = await operator.put(path, json={"quotas": quotas, "reason": "Nonsense"})
        assert reply.status_code == 422, reply.text
    assert (await operator.put("/v1/plans/No_Plan/quotas", json={"quotas": {}, "reason": "None"})).status_code == 422
    nobody = f"/v1/tenants/{uuid.uuid4()}/quotas"
    assert (await operator.put(nobody, json={"quotas": {}, "reason": "None"})).status_code == 404


async def test_what_somebody_else_set_meanwhile_is_not_overwritten(
    operator: httpx.AsyncClient, tenant: Tenant
) -> None:
    for path in (f"/v1/tenants/{tenant.id}/quotas", f"/v1/plans/plan-{uuid.uuid4().hex[:8]}/quotas"):

        async def put(products: int, seen: str, path: str = path) -> httpx.Response:
            body = {"quotas": {"products": products}, "reason": "Two operators"}
            return await operator.put(path, json=body, headers={"If-Match": seen})

        seen = (await operator.get(path)).headers["etag"]
        assert seen == '"0"'
        assert (await put(5, seen)).headers["etag"] == '"1"'
        late = await put(6, seen)
        assert (late.status_code, late.json()["code"], late.json()["current_version"]) == (412, "version-conflict", 1)
        assert (await put(7, '"1"')).status_code == 200
        assert (await operator.get(path)).json()["quotas"] == {"products": 7}


async def test_of_operators_who_saw_the_same_quotas_one_sets_them(
    operator: httpx.AsyncClient, tenant: Tenant
) -> None:
    for path in (f"/v1/tenants/{tenant.id}/quotas", f"/v1/plans/plan-{uuid.uuid4().hex[:8]}/quotas"):
        replies = await asyncio.gather(
            *(
                operator.put(
                    path, json={"quotas": {"rows": number}, "reason": "At once"}, headers={"If-Match": '"0"'}
                )
                for number in range(5)
            )
        )
        assert sorted(reply.status_code for reply in replies) == [200] + [412] * 4, [one.text for one in replies]


async def test_a_repeated_request_for_a_plan_has_one_effect_and_undoes_nothing(operator: httpx.AsyncClient) -> None:
    plan = f"plan-{uuid.uuid4().hex[:8]}"
    path, key = f"/v1/plans/{plan}/quotas", {"Idempotency-Key": uuid.uuid4().hex}
    body = {"quotas": {"products": 5}, "reason": "Once"}
    for _ in range(2):
        reply = await operator.put(path, json=body, headers=key)
        assert (reply.status_code, reply.json()["version"]) == (200, 1)
    other = await operator.put(path, json={**body, "quotas": {"products": 6}}, headers=key)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency-key-reused")
    await operator.put(path, json={"quotas": {"products": 9}, "reason": "Somebody else, later"})
    assert (await operator.put(path, json=body, headers=key)).json()["quotas"] == {"products": 9}


async def test_what_a_broken_attempt_for_a_plan_left_undone_the_repeated_one_does(
    operator: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process ends between the record and the databases."""
    plan = f"plan-{uuid.uuid4().hex[:8]}"
    path, key = f"/v1/plans/{plan}/quotas", {"Idempotency-Key": uuid.uuid4().hex}
    body = {"quotas": {"products": 5}, "reason": "Once"}

    async def away(*_: object) -> None:
        raise PrimaryUnavailable(retry_after=1)

    with monkeypatch.context() as broken:
        broken.setattr(usage_routes, "set_plan_quotas", away)
        assert (await operator.put(path, json=body, headers=key)).status_code == 503
    assert (await operator.get(path)).json()["version"] == 0
    assert (await operator.put(path, json=body, headers=key)).json()["version"] == 1
    assert len(await entries_of(operator, plan)) == 1


async def test_quotas_of_a_plan_that_change_nothing_are_not_in_the_trail(operator: httpx.AsyncClient) -> None:
    plan = f"plan-{uuid.uuid4().hex[:8]}"
    for products in (5, 5, 6):
        body = {"quotas": {"products": products}, "reason": "Again"}
        assert (await operator.put(f"/v1/plans/{plan}/quotas", json=body)).status_code == 200
    last, first = await entries_of(operator, plan)
    assert (first["before"], last["before"]) == ({"quotas": {}}, {"quotas": {"products": 5}})


async def test_the_operator_sees_what_a_tenant_uses_and_the_tenant_not_another_s(
    operator: httpx.AsyncClient, newcomer: Newcomer
) -> None:
    tenant, other = await newcomer(), await newcomer()
    await tenant.make("products", code="P", name="Product")
    await set_quotas(operator, tenant, products=5)
    seen = (await operator.get(f"/v1/tenants/{tenant.id}/usage")).json()
    assert (seen["counted"]["products"], seen["quotas"]["products"]) == (1, 5)
    assert seen["counted"] == (await tenant.get("/v1/usage"))["counted"]
    assert (await other.get(f"/v1/tenants/{tenant.id}/usage", 403))["code"] == "operator-only"
    assert (await operator.get(f"/v1/tenants/{uuid.uuid4()}/usage")).status_code == 404
    suspended = await operator.post(f"/v1/tenants/{tenant.id}/suspend", json={"reason": "Unpaid"})
    assert suspended.status_code == 200, suspended.text
    assert (await operator.get(f"/v1/tenants/{tenant.id}/usage")).json()["counted"] == seen["counted"]


async def entries_of(operator: httpx.AsyncClient, plan: str) -> list[Any]:
    """Of the operator's trail, the newest first."""
    found = (await operator.get("/v1/audit-entries", params={"action": "plan.set_quotas", "limit": 200})).json()
    return [one for one in found["data"] if one["after"]["plan"] == plan]
