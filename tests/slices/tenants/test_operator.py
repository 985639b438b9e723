"""The operator's view: tenants created, listed, suspended, resumed and closed."""

import statistics
import time
import uuid
from datetime import UTC, datetime
from typing import Any

import httpx
import psycopg
import pytest

from erp.app import build_app
from erp.http.gate import Gate
from erp.settings import load_settings
from tests.api.whole.conftest import Newcomer, Tenant, client_of, running, settings_environment
from tests.services import Services

THIS_YEAR = datetime.now(UTC).year


def body(**fields: Any) -> dict[str, Any]:
    return {
        "slug": f"op-{uuid.uuid4().hex[:12]}", "name": "Operated Ltd", "base_currency": "GBP", "country": "GB",
        "time_zone": "Europe/London", **fields,
    }  # fmt: skip


async def create(operator: httpx.AsyncClient, **fields: Any) -> dict[str, Any]:
    reply = await operator.post("/v1/tenants", json=body(**fields))
    assert reply.status_code == 201, reply.text
    created: dict[str, Any] = reply.json()
    return created


async def change(operator: httpx.AsyncClient, tenant_id: str, what: str, expect: int = 200) -> dict[str, Any]:
    reply = await operator.post(f"/v1/tenants/{tenant_id}/{what}", json={"reason": "Asked by its owner"})
    assert reply.status_code == expect, reply.text
    answer: dict[str, Any] = reply.json()
    return answer


async def test_a_new_tenant_can_trade_at_once(newcomer: Newcomer) -> None:
    tenant = await newcomer()
    assert (await tenant.get("/v1/tenant"))["slug"] == tenant.slug
    periods = (await tenant.get("/v1/periods", limit="100"))["data"]
    assert {period["start_date"][:4] for period in periods} == {str(THIS_YEAR + step) for step in (-1, 0, 1)}
    assert len(periods) == 36
    units = {unit["code"] for unit in (await tenant.get("/v1/units"))["data"]}
    assert {"pcs", "kg", "h"} <= units
    groups = {group["code"]: group for group in (await tenant.get("/v1/tax-groups"))["data"]}
    assert set(groups) == {"standard", "reduced", "zero"}
    [cash] = (await tenant.get("/v1/parties", code="CASH-SALES"))["data"]
    product = await tenant.make("products", code="P", name="P", tax_group_id=groups["standard"]["id"])
    supplier = await tenant.make("parties", code="S", name="S", is_supplier=True)
    line = {"product_id": product["id"], "quantity": "3", "unit_price": "4"}
    await tenant.make("direct-receipts", party_id=supplier["id"], lines=[line])
    await tenant.make("direct-sales", party_id=cash["id"], lines=[{**line, "unit_price": "10"}])
    proof = await tenant.get("/v1/proof")
    assert proof["holds"], [check for check in proof["checks"] if not check["holds"]]


async def test_a_tenant_that_changed_meanwhile_is_not_suspended(operator: httpx.AsyncClient) -> None:
    tenant = (await create(operator))["tenant"]
    path, body = f"/v1/tenants/{tenant['id']}", {"reason": "Unpaid"}
    seen = {"If-Match": (await operator.get(path)).headers["etag"]}
    for what in ("suspend", "resume"):
        await change(operator, tenant["id"], what)
    late = await operator.post(f"{path}/suspend", json=body, headers=seen)
    assert (late.status_code, late.json()["code"]) == (412, "version-conflict")
    senseless = await operator.post(f"{path}/owner-keys", headers=seen)
    assert (senseless.status_code, senseless.json()["code"]) == (400, "invalid-if-match")


async def test_provisioning_takes_less_than_a_second(operator: httpx.AsyncClient) -> None:
    took = []
    for _ in range(5):
        started = time.perf_counter()
        await create(operator, first_fiscal_year=2010)
        took.append(time.perf_counter() - started)
    assert statistics.median(took) < 1, took


async def test_fiscal_years_begin_where_they_are_asked_to(newcomer: Newcomer) -> None:
    tenant = await newcomer(first_fiscal_year=2009, base_currency="EUR", country="DE", chart="de-handel")
    first = (await tenant.get("/v1/periods", sort="start_date", limit="1"))["data"][0]
    assert first["start_date"] == "2009-01-01"


@pytest.mark.parametrize(
    ("field", "value", "status"),
    [
        ("base_currency", "ABC", 422),
        ("time_zone", "Mars/Olympus", 422),
        ("chart", "klingon", 422),
        ("first_fiscal_year", THIS_YEAR + 2, 422),
        ("slug", "Not A Slug", 422),
        ("settings", {"sales.tax_rounding": "never"}, 422),
        ("tenant_id", "8ba7db88-feff-4bb9-a54f-e6266636273a", 422),
    ],
)
async def test_what_cannot_be_is_refused(operator: httpx.AsyncClient, field: str, value: Any, status: int) -> None:
    reply = await operator.post("/v1/tenants", json=body(**{field: value}))
    assert reply.status_code == status, reply.text
    assert reply.json()["pointer"].startswith(f"/{field}")


async def test_a_slug_comes_once(operator: httpx.AsyncClient) -> None:
    created = await create(operator)
    reply = await operator.post("/v1/tenants", json=body(slug=created["tenant"]["slug"]))
    assert (reply.status_code, reply.json()["code"]) == (409, "duplicate")
    assert reply.json()["pointer"] == "/slug"


async def test_a_repeated_request_makes_one_tenant_and_shows_its_secret_once(
    operator: httpx.AsyncClient, services: Services
) -> None:
    headers, asked = {"Idempotency-Key": uuid.uuid4().hex}, body()
    first = await operator.post("/v1/tenants", json=asked, headers=headers)
    again = await operator.post("/v1/tenants", json=asked, headers=headers)
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.headers["idempotency-replayed"] == "true"
    created, replayed = first.json(), again.json()
    secret = created["owner_key"].pop("secret")
    assert replayed["owner_key"].pop("secret") is None
    assert created == replayed
    with psycopg.connect(services.superuser_url) as connection:
        rows = connection.execute(
            "SELECT convert_from(body, 'UTF8') FROM idempotency_keys WHERE tenant_id = %s", (created["id"],)
        ).fetchall()
    assert len(rows) == 1
    assert secret not in rows[0][0]
    other = await operator.post("/v1/tenants", json=body(), headers=headers)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency-key-reused")


async def test_only_the_operator_reaches_these_routes(tenant: Tenant) -> None:
    asked: list[tuple[str, str, Any]] = [
        ("GET", "/v1/tenants", None),
        ("POST", "/v1/tenants", body()),
        ("GET", f"/v1/tenants/{tenant.id}", None),
        ("POST", f"/v1/tenants/{tenant.id}/owner-keys", None),
        *(
            ("POST", f"/v1/tenants/{tenant.id}/{what}", {"reason": "Because"})
            for what in ("suspend", "resume", "close")
        ),
    ]
    for method, path, data in asked:
        reply = await tenant.client.request(method, path, json=data)
        assert (reply.status_code, reply.json()["code"]) == (403, "operator-only"), path


async def test_the_operator_reaches_no_tenants_data(operator: httpx.AsyncClient) -> None:
    for path in ("/v1/parties", "/v1/tenant", "/v1/api-keys"):
        assert (await operator.get(path)).status_code == 403


async def test_tenants_are_listed_in_pages(operator: httpx.AsyncClient) -> None:
    prefix = f"list-{uuid.uuid4().hex[:8]}"
    made = [(await create(operator, slug=f"{prefix}-{number}"))["id"] for number in range(3)]
    query = {"slug.prefix": prefix, "sort": "slug", "limit": "2", "count": "exact", "fields": "slug,state"}
    first = (await operator.get("/v1/tenants", params=query)).json()
    assert (first["has_more"], first["count"]) == (True, 3)
    assert first["data"] == [
        {"id": made[number], "slug": f"{prefix}-{number}", "state": "active"} for number in range(2)
    ]
    rest = (await operator.get("/v1/tenants", params={**query, "cursor": first["next_cursor"]})).json()
    assert ([one["id"] for one in rest["data"]], rest["has_more"], rest["next_cursor"]) == (made[2:], False, None)
    assert (await operator.get("/v1/tenants", params={"tenant_id": "x"})).status_code == 422


async def test_one_tenant_is_read(operator: httpx.AsyncClient) -> None:
    created = await create(operator, settings={"sales.tax_rounding": "document"})
    reply = await operator.get(f"/v1/tenants/{created['id']}")
    assert reply.json() == created["tenant"]
    assert reply.json()["settings"] == {"sales.tax_rounding": "document"}
    assert (await operator.get(f"/v1/tenants/{uuid.uuid4()}")).status_code == 404
    await change(operator, str(uuid.uuid4()), "suspend", 404)


async def test_suspending_is_felt_at_once_by_every_instance(
    operator: httpx.AsyncClient, gate: Gate, newcomer: Newcomer, services: Services
) -> None:
    tenant = await newcomer()
    other = build_app(load_settings(settings_environment(services, "test-2")))
    async with running(other), client_of(other, tenant.key) as elsewhere:
        both = (tenant.client, elsewhere)
        assert [(await client.get("/v1/tenant")).status_code for client in both] == [200, 200]
        suspended = await change(operator, tenant.id, "suspend")
        assert (suspended["state"], suspended["version"]) == ("suspended", 2)
        refused = [await client.get("/v1/tenant") for client in both]
        assert [(reply.status_code, reply.json()["code"]) for reply in refused] == [(403, "tenant-suspended")] * 2
        await change(operator, tenant.id, "resume")
        assert [(await client.get("/v1/tenant")).status_code for client in both] == [200, 200]


async def test_a_closed_tenant_stays_closed(operator: httpx.AsyncClient, newcomer: Newcomer) -> None:
    tenant = await newcomer()
    await change(operator, tenant.id, "resume", 409)
    await change(operator, tenant.id, "close")
    for what in ("suspend", "resume", "close"):
        await change(operator, tenant.id, what, 409)
    assert (await tenant.client.get("/v1/tenant")).status_code == 403


async def test_the_operator_issues_another_owner_key(
    operator: httpx.AsyncClient, gate: Gate, newcomer: Newcomer
) -> None:
    tenant = await newcomer()
    reply = await operator.post(f"/v1/tenants/{tenant.id}/owner-keys")
    assert reply.status_code == 201
    assert (reply.json()["role"], reply.json()["created_by"]) == ("owner", "00000000-0000-0000-0000-000000000001")
    async with client_of(gate, reply.json()["secret"]) as found:
        assert (await found.get("/v1/tenant")).json()["id"] == tenant.id
