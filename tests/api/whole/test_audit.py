"""Who changed what, when and from where: read through the API, one tenant at a time."""

import uuid
from typing import Any

import psycopg
import pytest

from db.statement import Bound
from erp.audit.queries import AUDIT_ENTRIES
from erp.http.gate import Gate
from erp.http.listing import Shape
from tests.api.whole.conftest import Newcomer, Tenant, client_of
from tests.api.whole.trading import Trade, trade
from tests.services import Services


async def trail(tenant: Tenant, **query: Any) -> list[dict[str, Any]]:
    """Every entry the query finds, page by page, three at a time."""
    found, cursor = [], None
    while True:
        page = await tenant.get("/v1/audit-entries", limit="3", **query, **({"cursor": cursor} if cursor else {}))
        found += page["data"]
        cursor = page["next_cursor"]
        if cursor is None:
            return found


@pytest.fixture
async def traded(newcomer: Newcomer) -> Trade:
    return await trade(await newcomer())


async def test_a_change_says_who_made_it_when_from_where_and_what_was_before(tenant: Tenant) -> None:
    party = await tenant.make("parties", code="C", name="Before", is_customer=True)
    reply = await tenant.client.patch(
        f"/v1/parties/{party['id']}", json={"name": "After"},
        headers={"If-Match": '"1"', "X-Correlation-Id": "support-case-4711"},
    )  # fmt: skip
    assert reply.status_code == 200
    [entry, creation] = await trail(tenant, target_id=party["id"])
    [key] = (await tenant.get("/v1/api-keys"))["data"]
    assert entry == {
        "id": entry["id"], "at": entry["at"], "principal_id": key["id"], "principal_kind": "api_key",
        "principal_name": key["name"], "address": "127.0.0.1", "action": "party.update", "target_type": "party",
        "target_id": party["id"], "before": {"name": "Before"}, "after": {"name": "After"},
        "correlation_id": "support-case-4711",
    }  # fmt: skip
    assert (creation["action"], creation["before"]) == ("party.create", None)
    assert creation["after"]["name"] == "Before"
    assert await tenant.get(f"/v1/audit-entries/{entry['id']}") == entry


async def test_one_request_is_found_by_its_correlation_id(tenant: Tenant) -> None:
    operations = [{"op": "units.create", "data": {"code": code, "name": code}} for code in ("X", "Y")]
    reply = await tenant.client.post(
        "/v1/batch", json={"operations": operations}, headers={"Idempotency-Key": uuid.uuid4().hex}
    )
    entries = await trail(tenant, correlation_id=reply.headers["x-correlation-id"])
    assert [entry["action"] for entry in entries] == ["unit.create"] * 2


async def test_every_filter_finds_its_entries_and_no_other(traded: Trade) -> None:
    tenant = traded.tenant
    everything = await trail(tenant)
    assert len(everything) >= 15
    assert len({entry["id"] for entry in everything}) == len(everything)
    assert [entry["at"] for entry in everything] == sorted((entry["at"] for entry in everything), reverse=True)
    assert await trail(tenant, sort="at") == everything[::-1]
    one = next(entry for entry in everything if entry["target_type"] == "invoice")
    for name in ("target_type", "target_id", "action", "principal_id", "principal_kind", "correlation_id"):
        assert await trail(tenant, **{name: one[name]}) == [e for e in everything if e[name] == one[name]], name
    since = everything[5]["at"]
    assert await trail(tenant, **{"at.gte": since}) == [e for e in everything if e["at"] >= since]
    assert await trail(tenant, **{"at.lt": since}) == [e for e in everything if e["at"] < since]
    both = {"target_type": "invoice", "at.lt": one["at"]}
    assert await trail(tenant, **both) == [
        e for e in everything if e["target_type"] == "invoice" and e["at"] < one["at"]
    ]
    assert await trail(tenant, action="nothing.happened") == []


async def test_what_the_operator_does_is_in_the_tenants_own_trail(tenant: Tenant, operator: Any) -> None:
    for step in ("suspend", "resume"):
        assert (await operator.post(f"/v1/tenants/{tenant.id}/{step}", json={"reason": "unpaid"})).is_success
    kinds = {entry["principal_kind"] for entry in await trail(tenant, target_id=tenant.id)}
    assert kinds == {"operator"}


@pytest.mark.parametrize(
    ("role", "status"), [("auditor", 200), ("accountant", 200), ("sales", 403), ("warehouse", 403)]
)
async def test_the_trail_is_for_those_who_may_read_it(gate: Gate, tenant: Tenant, role: str, status: int) -> None:
    key = await tenant.make("api-keys", name=role, role=role)
    [entry, *_] = (await tenant.get("/v1/audit-entries"))["data"]
    async with client_of(gate, key["secret"]) as client:
        for path in ("/v1/audit-entries", f"/v1/audit-entries/{entry['id']}"):
            reply = await client.get(path)
            assert reply.status_code == status, path
            if status == 403:
                assert reply.json()["permission"] == "audit:read"


async def test_a_tenant_sees_its_own_trail_only(traded: Trade, tenant: Tenant) -> None:
    assert {entry["target_id"] for entry in await trail(tenant)}.isdisjoint(traded.ids.values())
    [entry, *_] = (await traded.tenant.get("/v1/audit-entries"))["data"]
    problem = await tenant.get(f"/v1/audit-entries/{entry['id']}", 404)
    assert problem["code"] == "not-found"
    assert await trail(tenant, target_id=entry["target_id"]) == []


async def test_nobody_changes_the_trail(tenant: Tenant) -> None:
    [entry, *_] = (await tenant.get("/v1/audit-entries"))["data"]
    for path in ("/v1/audit-entries", f"/v1/audit-entries/{entry['id']}"):
        for method in ("POST", "PUT", "PATCH", "DELETE"):
            reply = await tenant.client.request(method, path, json={})
            assert (reply.status_code, reply.headers["allow"]) == (405, "GET")


@pytest.mark.parametrize("name", [None, "target_type", "target_id", "action", "principal_id"])
def test_a_page_is_a_piece_of_one_index(services: Services, name: str | None) -> None:
    """However long the trail is: no sort, and nothing read that is not shown."""
    page: Bound[Any] = AUDIT_ENTRIES.statement(Shape("-at", (name,) if name else (), after=False))(
        page_size=51, **({f"filter_{name}": uuid.UUID(int=7) if name.endswith("_id") else "x"} if name else {})
    )
    with psycopg.connect(services.superuser_url) as connection:
        connection.execute(
            "SET LOCAL enable_sort = off; SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off"
        )
        [[[plan]]] = connection.execute(
            f"EXPLAIN (FORMAT JSON) {page.sql}", {**page.parameters, "tenant_id": uuid.UUID(int=1)}
        ).fetchall()
    scan = plan["Plan"]["Plans"][0]
    assert scan["Node Type"] == "Index Scan"
    assert "Filter" not in scan
    assert (name or "tenant_id") in scan["Index Cond"]
