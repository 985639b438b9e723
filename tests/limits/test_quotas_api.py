"""Setting quotas: by the operator, per tenant and plan, inherited and kept."""

import uuid
from typing import Any

import httpx

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
