"""Stock through the API: places, adjustments, reservations, lists, and stock as of a day."""

import uuid
from typing import Any

from erp.http.gate import Gate
from tests.api.whole.conftest import Tenant, client_of
from tests.api.whole.trading import stocked_product


async def test_what_is_made_can_be_read_and_listed(tenant: Tenant) -> None:
    product = await stocked_product(tenant, "P", "12", cost="4.50", reorder_point="20")
    [level] = (await tenant.get("/v1/stock-levels", product_code="P", low="true"))["data"]
    assert (level["on_hand"], level["available"], level["reorder_point"]) == ("12", "12", "20")
    [adjustment] = (await tenant.get("/v1/stock-adjustments", reason="opening"))["data"]
    whole = await tenant.get(f"/v1/stock-adjustments/{adjustment['id']}")
    assert (whole["value"], whole["lines"][0]["unit_cost"]) == ("54.00", "4.5")
    [move] = (await tenant.get("/v1/stock-moves", source_id=adjustment["id"]))["data"]
    assert (move["quantity"], move["value"], move["entry_id"]) == ("12", "54.00", whole["entry_id"])
    available = await tenant.get(f"/v1/products/{product['id']}/availability")
    assert (available["available"], len(available["locations"])) == ("12", 1)
    await tenant.get(f"/v1/products/{uuid.uuid4()}/availability", 404)


async def test_valuation_now_and_as_of_a_day(tenant: Tenant) -> None:
    await stocked_product(tenant, "A", "2", cost="3")
    await stocked_product(tenant, "B", "3", cost="5")
    day = (await tenant.get("/v1/stock-adjustments"))["data"][0]["date"]
    now = (await tenant.get("/v1/stock-valuation", count="exact"))["data"]
    then = (await tenant.get("/v1/stock-valuation", as_of=day))["data"]
    assert now == then
    assert sorted(row["value"] for row in now) == ["15.00", "6.00"]
    assert (await tenant.get("/v1/stock-valuation", as_of="2020-01-01"))["data"] == []
    total = await tenant.get("/v1/stock-valuation/total", as_of=day)
    assert (total["value"], total["inventory_account"], total["products"]) == ("21.00", "21.00", 2)
    first = await tenant.get("/v1/stock-on-hand", as_of=day, limit="1")
    rest = await tenant.get("/v1/stock-on-hand", as_of=day, limit="1", cursor=first["next_cursor"])
    assert sorted(row["on_hand"] for row in (*first["data"], *rest["data"])) == ["2", "3"]
    for path, wrong in (("/v1/stock-on-hand", {}), ("/v1/stock-valuation", {"as_of": "soon"})):
        assert (await tenant.get(path, 422, **wrong))["pointer"] == "as_of"


async def test_a_reservation_is_made_extended_and_released(tenant: Tenant) -> None:
    product = await stocked_product(tenant, "P", "5")
    held = await tenant.make("reservations", product_id=product["id"], quantity="3", reference="basket")
    path = f"/v1/reservations/{held['id']}"
    assert await tenant.get(path) == held
    extended = await tenant.post(f"{path}/extend", {"expires_in": 3600}, 200)
    assert (extended["version"], extended["expires_at"] > held["expires_at"]) == (2, True)
    refused = await tenant.post("/v1/reservations", {"product_id": product["id"], "quantity": "3"}, 409)
    assert (refused["code"], refused["shortages"][0]["available"]) == ("insufficient-stock", "2")
    await tenant.post(f"{path}/release", None, 200)
    closed = await tenant.post(f"{path}/release", None, 409)
    assert closed["code"] == "reservation-closed"
    [listed] = (await tenant.get("/v1/reservations", state="released", reference="basket"))["data"]
    assert listed["id"] == held["id"]


async def test_warehouses_and_locations(tenant: Tenant) -> None:
    yard = await tenant.make("warehouses", code="YARD", name="Yard")
    gate = await tenant.make("locations", warehouse_id=yard["id"], code="GATE", name="Gate", is_default=True)
    assert await tenant.get(f"/v1/locations/{gate['id']}") == gate
    [default] = (await tenant.get("/v1/locations", is_default="true"))["data"]
    assert default["id"] == gate["id"]
    headers = {"If-Match": '"1"'}
    renamed = await tenant.client.patch(f"/v1/warehouses/{yard['id']}", json={"name": "North yard"}, headers=headers)
    assert (renamed.json()["name"], renamed.headers["etag"]) == ("North yard", '"2"')
    assert [one["code"] for one in (await tenant.get("/v1/warehouses", sort="code"))["data"]] == ["MAIN", "YARD"]
    refused = await tenant.client.patch(f"/v1/locations/{gate['id']}", json={"active": False}, headers=headers)
    assert (refused.status_code, refused.json()["code"]) == (409, "location-in-use")


async def test_a_repeated_adjustment_moves_stock_once(tenant: Tenant) -> None:
    product = await stocked_product(tenant, "P", "5")
    body: dict[str, Any] = {"reason": "broken", "lines": [{"product_id": product["id"], "quantity": "-1"}]}
    key = uuid.uuid4().hex
    answers = [await tenant.post("/v1/stock-adjustments", body, 201, key) for _ in range(3)]
    assert answers[0] == answers[1] == answers[2]
    assert (await tenant.get(f"/v1/products/{product['id']}/availability"))["on_hand"] == "4"
    without = await tenant.client.post("/v1/stock-adjustments", json=body)
    assert (without.status_code, without.json()["code"]) == (400, "idempotency-key-required")


async def test_who_may_what(gate: Gate, tenant: Tenant) -> None:
    product = await stocked_product(tenant, "P", "5")
    body = {"reason": "broken", "lines": [{"product_id": product["id"], "quantity": "-1"}]}
    for role, adjusts in (("warehouse", 201), ("sales", 403), ("accountant", 403), ("auditor", 403)):
        made = await tenant.make("api-keys", name=role, role=role)
        async with client_of(gate, made["secret"]) as client:
            headers = {"Idempotency-Key": uuid.uuid4().hex}
            reply = await client.post("/v1/stock-adjustments", json=body, headers=headers)
            assert (reply.status_code, role) == (adjusts, role)
            assert (await client.get("/v1/stock-levels")).status_code == 200
