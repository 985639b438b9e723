"""Tenants that live in another database than the first: through the whole API as if it were the only one."""

import ast
import uuid
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from tests.api.whole.conftest import Newcomer, Tenant
from tests.services import Services


@pytest.fixture
async def placed(newcomer: Newcomer) -> Tenant:
    return await newcomer(database="second")


def count(url: str, table: str, tenant_id: str) -> int:
    with psycopg.connect(url, autocommit=True) as connection:
        [(found,)] = connection.execute(f"SELECT count(*) FROM {table} WHERE tenant_id = %s", [tenant_id]).fetchall()
    return int(found)


async def test_a_placed_tenants_rows_are_in_its_database_only(placed: Tenant, services: Services) -> None:
    made = await placed.make("parties", code="C1", name="Customer", is_customer=True)
    assert (await placed.get(f"/v1/parties/{made['id']}"))["code"] == "C1"
    for table in ("tenants", "api_keys", "parties", "events", "audit_entries", "accounts"):
        assert count(services.superuser_url, table, placed.id) == 0, table
        assert count(services.second_superuser_url, table, placed.id) > 0, table
    assert count(services.superuser_url, "placements", placed.id) == 1
    assert (await placed.get("/v1/tenant"))["database"] == "second"


async def test_a_repeated_request_is_answered_from_the_placed_database(placed: Tenant) -> None:
    key = uuid.uuid4().hex
    first = await placed.post("/v1/parties", {"code": "K", "name": "Once", "is_customer": True}, 201, key=key)
    again = await placed.post("/v1/parties", {"code": "K", "name": "Once", "is_customer": True}, 201, key=key)
    assert first == again


async def test_the_operator_sees_and_changes_tenants_of_every_database(
    operator: httpx.AsyncClient, placed: Tenant, tenant: Tenant
) -> None:
    listed: list[dict[str, Any]] = []
    query = {"limit": "1", "sort": "-created_at"}
    for _ in range(2):
        page = (await operator.get("/v1/tenants", params=query)).json()
        listed += page["data"]
        query["cursor"] = page["next_cursor"]
    assert [one["id"] for one in listed] == [tenant.id, placed.id]
    counted = (await operator.get("/v1/tenants", params={"slug": placed.slug, "count": "exact"})).json()
    assert counted["count"] == 1
    suspended = await operator.post(f"/v1/tenants/{placed.id}/suspend", json={"reason": "unpaid"})
    assert suspended.json()["state"] == "suspended"
    await placed.get("/v1/tenant", expect=403)


async def test_a_slug_is_taken_whichever_database_has_it(newcomer: Newcomer, operator: httpx.AsyncClient) -> None:
    there = await newcomer(database="second")
    here = await newcomer()
    for slug, database in ((there.slug, "main"), (here.slug, "second"), (there.slug, "second")):
        body = {"slug": slug, "name": "Other", "base_currency": "GBP", "country": "GB", "time_zone": "Europe/London"}
        refused = await operator.post("/v1/tenants", json={**body, "database": database})
        assert (refused.status_code, refused.json()["pointer"]) == (409, "/slug")


async def test_a_database_there_is_not_is_refused(operator: httpx.AsyncClient) -> None:
    body = {"slug": "nowhere", "name": "N", "base_currency": "GBP", "country": "GB", "time_zone": "Europe/London"}
    refused = await operator.post("/v1/tenants", json={**body, "database": "third"})
    assert (refused.status_code, refused.json()["pointer"]) == (422, "/database")


async def test_an_unknown_key_is_refused_as_ever(placed: Tenant) -> None:
    wrong = placed.key[:-4] + ("0000" if not placed.key.endswith("0000") else "1111")
    refused = await placed.client.get("/v1/tenant", headers={"Authorization": f"Bearer {wrong}"})
    assert refused.status_code == 401


#: Who may have another tenant's transaction join its own. Each reads the consent of both, or is the operator's.
JOINING = {"erp/intercompany/selling.py", "erp/tenants/provisioning.py"}


def test_only_named_commands_write_for_two_tenants() -> None:
    root = Path(__file__).parents[2]
    packages = [path for name in ("erp", "workers", "tenancy") for path in (root / name).rglob("*.py")]
    found = {
        str(path.relative_to(root))
        for path in packages
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom) and node.module == "tenancy.distributed"
        if "join" in {alias.name for alias in node.names}
    }
    assert found == JOINING
