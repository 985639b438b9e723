"""Parties, products, units, categories and tax groups through the API."""

from typing import Any

import httpx

from tests.api.whole.conftest import Tenant


async def patch(tenant: Tenant, path: str, version: int | None, **fields: Any) -> httpx.Response:
    headers = {} if version is None else {"If-Match": f'"{version}"'}
    return await tenant.client.patch(path, json=fields, headers=headers)


async def test_masters_are_changed_by_who_saw_them(tenant: Tenant) -> None:
    made = {
        "parties": await tenant.make("parties", code="C", name="Old", is_customer=True),
        "products": await tenant.make("products", code="P", name="Old"),
        "categories": await tenant.make("categories", code="K", name="Old"),
        "units": await tenant.make("units", code="cask", name="Old"),
        "tax-groups": await tenant.make(
            "tax-groups", code="T", name="Old", rates=[{"rate": "20", "valid_from": "2020-01-01"}]
        ),
    }
    for resource, one in made.items():
        path = f"/v1/{resource}/{one['id']}"
        read = await tenant.client.get(path)
        assert (read.json(), read.headers["etag"]) == (one, '"1"')
        assert (await patch(tenant, path, None, name="New")).status_code == 428
        assert (await patch(tenant, path, 2, name="New")).status_code == 412
        changed = await patch(tenant, path, 1, name="New")
        assert (changed.status_code, changed.headers["etag"], changed.json()["name"]) == (200, '"2"', "New")
        assert (await tenant.get(path)) == changed.json()


async def test_what_stays_for_good_cannot_be_sent(tenant: Tenant) -> None:
    product = await tenant.make("products", code="P", name="P")
    for field, value in (
        ("kind", "service"),
        ("unit", "kg"),
        ("created_at", "2026-01-01T00:00:00Z"),
        ("tenant_id", product["id"]),
    ):
        reply = await patch(tenant, f"/v1/products/{product['id']}", 1, **{field: value})
        assert (reply.status_code, reply.json()["code"]) == (422, "unknown-field")


async def test_names_are_found_by_their_beginning_in_either_case(tenant: Tenant) -> None:
    for code, name in (("1", "Élan Vital"), ("2", "Elan"), ("3", "Velan"), ("4", "élan noir")):
        await tenant.make("products", code=code, name=name)
        await tenant.make("parties", code=code, name=name, is_customer=True)
    for resource in ("products", "parties"):
        found = await tenant.get(f"/v1/{resource}", search="ÉLA", sort="code", fields="code")
        assert [one["code"] for one in found["data"]] == ["1", "4"]
        exact = await tenant.get(f"/v1/{resource}", 200, **{"name.prefix": "él", "fields": "code"})
        assert [one["code"] for one in exact["data"]] == ["4"]


async def test_products_are_filtered_by_what_they_are(tenant: Tenant) -> None:
    category = await tenant.make("categories", code="K", name="K")
    one = await tenant.make("products", code="A", name="A", category_id=category["id"], barcode="501")
    other = await tenant.make("products", code="a", name="B", kind="service", external_id="p:1")
    for wanted, query in (
        (one, {"code": "A"}), (one, {"barcode": "501"}), (one, {"category_id": category["id"]}),
        (one, {"kind": "stocked"}), (other, {"kind": "service"}), (other, {"external_id": "p:1"}),
        (other, {"id": other["id"]}), (other, {"code": "a", "active": "true"}),
    ):  # fmt: skip
        found = await tenant.get("/v1/products", expect=200, **query)
        assert found["data"] == [wanted], query
    assert (await tenant.client.get("/v1/products", params={"colour": "red"})).status_code == 422


async def test_lists_go_on_where_they_ended(tenant: Tenant) -> None:
    for number in range(5):
        await tenant.make("parties", code=f"P{number}", name="Same name", is_supplier=True)
    seen: list[str] = []
    query: dict[str, str] = {"is_supplier": "true", "sort": "-name", "limit": "2"}
    while True:
        page = await tenant.get("/v1/parties", expect=200, **query)
        seen += [one["code"] for one in page["data"]]
        if not page["has_more"]:
            break
        query["cursor"] = page["next_cursor"]
    assert sorted(seen) == [f"P{number}" for number in range(5)]


async def test_amounts_are_strings(tenant: Tenant) -> None:
    reply = await tenant.client.post("/v1/products", json={"code": "P", "name": "P", "sale_price": 1.5})
    assert (reply.status_code, reply.json()["pointer"]) == (422, "/sale_price")
    for limit in ("NaN", "1e5", "-1", "1.005"):
        reply = await tenant.client.post(
            "/v1/parties", json={"code": "C", "name": "C", "is_customer": True, "credit_limit": limit}
        )
        assert (reply.status_code, reply.json()["code"]) == (422, "invalid-amount"), limit


async def test_contacts_and_addresses_are_typed(tenant: Tenant) -> None:
    party = {"code": "C", "name": "C", "is_customer": True}
    for field, value, pointer in (
        ("email", "nobody", "/email"), ("phone", "call me", "/phone"), ("tax_id", "gb 1", "/tax_id"),
        ("country", "gb", "/country"), ("addresses", [{"kind": "moon"}], "/addresses/0/kind"),
        ("contacts", [{"name": "A", "email": "x"}], "/contacts/0/email"), ("contacts", [{}], "/contacts/0/name"),
    ):  # fmt: skip
        reply = await tenant.client.post("/v1/parties", json={**party, field: value})
        assert (reply.status_code, reply.json()["pointer"]) == (422, pointer)
