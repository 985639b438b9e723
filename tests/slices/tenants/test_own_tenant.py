"""A tenant's own record and settings."""

import asyncio
import uuid
from typing import Any

import httpx

from erp.app import build_app
from erp.settings import load_settings
from tests.api.whole.conftest import Newcomer, Tenant, client_of, running, settings_environment
from tests.services import Services
from tests.standbys import catch_up


async def patch(client: httpx.AsyncClient, version: int | None, **fields: Any) -> httpx.Response:
    headers = {} if version is None else {"If-Match": f'"{version}"'}
    return await client.patch("/v1/tenant", json=fields, headers=headers)


async def test_name_time_zone_and_settings_change(tenant: Tenant) -> None:
    reply = await patch(
        tenant.client, 1, name="Renamed", time_zone="Europe/Dublin",
        settings={"sales.prices_include_tax": True, "inventory.reservation_ttl": 600},
    )  # fmt: skip
    assert reply.status_code == 200, reply.text
    changed = reply.json()
    assert (changed["name"], changed["time_zone"], changed["version"]) == ("Renamed", "Europe/Dublin", 2)
    assert changed["settings"] == {"sales.prices_include_tax": True, "inventory.reservation_ttl": 600}
    assert await tenant.get("/v1/tenant") == changed


async def test_a_setting_sent_as_null_goes_back_to_its_default(tenant: Tenant) -> None:
    await patch(tenant.client, 1, settings={"sales.prices_include_tax": True, "sales.tax_rounding": "document"})
    reply = await patch(tenant.client, 2, settings={"sales.prices_include_tax": None})
    assert reply.json()["settings"] == {"sales.tax_rounding": "document"}
    unchanged = await patch(tenant.client, 3, settings={"sales.tax_rounding": "document"})
    assert unchanged.json()["version"] == 3


async def test_what_stays_cannot_be_sent(tenant: Tenant) -> None:
    for field in ("slug", "base_currency", "plan", "state"):
        assert (await patch(tenant.client, 1, **{field: "x"})).status_code == 422
    assert (await patch(tenant.client, 1, settings={"sales.typo": 1})).status_code == 422
    assert (await patch(tenant.client, 1, time_zone="Mars/Olympus")).status_code == 422


async def test_nobody_overwrites_what_they_have_not_seen(tenant: Tenant) -> None:
    assert (await patch(tenant.client, None, name="X")).status_code == 428
    assert (await patch(tenant.client, 1, name="X")).status_code == 200
    assert (await patch(tenant.client, 1, name="Y")).status_code == 412


async def order_of(client: httpx.AsyncClient, order: dict[str, Any]) -> dict[str, Any]:
    reply = await client.post("/v1/sales-orders", json=order, headers={"Idempotency-Key": uuid.uuid4().hex})
    assert reply.status_code == 201, reply.text
    answer: dict[str, Any] = reply.json()
    return answer


async def test_settings_are_felt_at_once_by_every_instance(newcomer: Newcomer, services: Services) -> None:
    tenant = await newcomer()
    await asyncio.to_thread(catch_up, services)  # the operator made it, not the tenant
    [cash] = (await tenant.get("/v1/parties", code="CASH-SALES"))["data"]
    groups = (await tenant.get("/v1/tax-groups", code="standard"))["data"]
    product = await tenant.make("products", code="P", name="P", kind="service", tax_group_id=groups[0]["id"])
    order = {
        "party_id": cash["id"], "lines": [{"product_id": product["id"], "quantity": "1", "unit_price": "12"}]
    }  # fmt: skip
    other = build_app(load_settings(settings_environment(services, "test-2")))
    async with running(other), client_of(other, tenant.key) as elsewhere:
        before = await order_of(elsewhere, order)
        assert (before["net"], before["gross"]) == ("12.00", "14.40")
        await patch(tenant.client, 1, settings={"sales.prices_include_tax": True})
        after = await order_of(elsewhere, order)
        assert (after["net"], after["gross"]) == ("10.00", "12.00")
