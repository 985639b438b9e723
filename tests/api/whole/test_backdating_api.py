"""Documents of an earlier day through the API: a preview that says what booking them then does."""

from datetime import date, timedelta
from typing import Any

import pytest

from tests.api.whole.conftest import Tenant
from tests.api.whole.trading import stocked_product


@pytest.fixture
async def today(tenant: Tenant) -> date:
    entry = await tenant.make("parties", code="ANY", name="Any", is_customer=True)
    return date.fromisoformat(entry["created_at"][:10])


async def sold(tenant: Tenant, product: Any, quantity: str, on: date) -> Any:
    customer = (await tenant.get("/v1/parties", code="CASH-SALES"))["data"][0]
    line = {"product_id": product["id"], "quantity": quantity}
    return await tenant.make("direct-sales", party_id=customer["id"], date=str(on), lines=[line])


async def test_the_preview_is_what_booking_the_document_does(tenant: Tenant, today: date) -> None:
    days = [today - timedelta(days=back) for back in (9, 6, 3)]
    product = await tenant.make("products", code="P", name="Product", sale_price="20")
    other = await tenant.make("products", code="Q", name="Other", sale_price="20")
    for one in (product, other):
        opening = [{"product_id": one["id"], "quantity": "10", "unit_cost": "10"}]
        await tenant.make("stock-adjustments", reason="opening", date=str(days[0]), lines=opening)
    for quantity in ("5", "2"):
        await sold(tenant, product, quantity, days[2])
    late = [
        {"product_id": product["id"], "quantity": "10", "unit_cost": "4"},
        {"product_id": other["id"], "quantity": "-1"},
    ]
    asked = {"date": str(days[1]), "lines": late}
    shown = await tenant.post("/v1/cost-corrections/preview", asked, 200)
    assert await tenant.get("/v1/cost-corrections") == {"data": [], "has_more": False, "next_cursor": None}
    assert (shown["date"], shown["accounting_date"], shown["date_shifted"]) == (str(days[1]), str(days[1]), False)
    assert (shown["correction_date"], shown["issues"], shown["value"]) == (str(today), 2, "21.00")
    assert [(one["quantity"], one["unit_cost"], one["value"]) for one in shown["lines"]] == [
        ("10", "4", "40.00"), ("-1", "10", "-10.00"),
    ]  # fmt: skip
    assert shown["products"] == [{"product_id": product["id"], "product_code": "P", "issues": 2, "value": "21.00"}]
    made = await tenant.make("stock-adjustments", reason="found", **asked)
    assert [line["value"] for line in made["lines"]] == [line["value"] for line in shown["lines"]]
    [listed] = (await tenant.get("/v1/cost-corrections", source_id=made["id"]))["data"]
    found = await tenant.get(f"/v1/cost-corrections/{listed['id']}")
    assert {name: found[name] for name in listed} == listed
    for name in ("value", "issues", "products"):
        assert found[name] == shown[name]
    assert (found["accounting_date"], found["effective_from"]) == (shown["correction_date"], str(days[1]))
    assert (found["source_type"], found["source_number"]) == ("stock_adjustment", made["number"])
    entry = await tenant.get(f"/v1/journal-entries/{found['entry_id']}")
    booked = [{name: line[name] for name in ("account", "debit", "credit", "product_id")} for line in entry["lines"]]
    assert booked == shown["entry"]
    assert (entry["number"], entry["source_id"]) == (found["number"], found["id"])
    issues = (await tenant.get(f"/v1/cost-corrections/{found['id']}/issues"))["data"]
    assert [(one["quantity"], one["booked"], one["value"]) for one in issues] == [
        ("-5", "-50.00", "15.00"), ("-2", "-20.00", "6.00"),
    ]  # fmt: skip
    [move] = (await tenant.get("/v1/stock-moves", kind="correction"))["data"]
    assert (move["quantity"], move["value"], move["entry_id"]) == ("0", "21.00", found["entry_id"])
    total = await tenant.get("/v1/stock-valuation/total", as_of=str(today))
    assert total["value"] == total["inventory_account"]
    report = await tenant.get("/v1/proof")
    assert report["holds"], [check for check in report["checks"] if not check["holds"]]


async def test_a_preview_is_refused_like_the_document(tenant: Tenant, today: date) -> None:
    product = await stocked_product(tenant, "P", "10")
    fresh = await tenant.make("products", code="NEW", name="New")
    yesterday = str(today - timedelta(days=1))

    async def refused(status: int, code: str, **fields: Any) -> Any:
        for path in ("/v1/cost-corrections/preview", "/v1/stock-adjustments"):
            body = fields if path.endswith("preview") else {**fields, "reason": "count"}
            problem = await tenant.post(path, body, status)
            assert problem["code"] == code
        return problem

    takes = [{"product_id": product["id"], "quantity": "-1"}]
    await refused(409, "insufficient-stock", date=yesterday, lines=takes)
    await refused(422, "date-in-future", date=str(today + timedelta(days=3)), lines=takes)
    await refused(422, "cost-unknown", date=yesterday, lines=[{"product_id": fresh["id"], "quantity": "1"}])
    await refused(422, "unknown-reference", date=yesterday, lines=[{"product_id": tenant.id, "quantity": "1"}])
    tenant_now = await tenant.client.get("/v1/tenant")
    strict = await tenant.client.patch(
        "/v1/tenant", json={"settings": {"inventory.max_backdate_days": 0}},
        headers={"If-Match": tenant_now.headers["etag"]},
    )  # fmt: skip
    assert strict.json()["settings"] == {"inventory.max_backdate_days": 0}
    brings = [{"product_id": product["id"], "quantity": "1", "unit_cost": "9"}]
    problem = await refused(409, "backdated-too-far", date=yesterday, lines=brings)
    assert (problem["earliest"], problem["max_backdate_days"]) == (str(today), 0)
    first = [{"product_id": fresh["id"], "quantity": "1", "unit_cost": "9"}]
    shown = await tenant.post("/v1/cost-corrections/preview", {"date": yesterday, "lines": first}, 200)
    assert (shown["correction_date"], shown["issues"], shown["entry"]) == (None, 0, [])


async def test_a_purchase_is_previewed_by_its_price(tenant: Tenant, today: date) -> None:
    product = await stocked_product(tenant, "P", "10")
    await sold(tenant, product, "5", today)
    yesterday = str(today - timedelta(days=1))
    line = {"product_id": product["id"], "quantity": "10"}
    shown = await tenant.post(
        "/v1/cost-corrections/preview", {"date": yesterday, "lines": [{**line, "unit_cost": "7"}]}, 200
    )
    supplier = await tenant.make("parties", code="S", name="Supplier", is_supplier=True)
    receipt = await tenant.make(
        "direct-receipts", party_id=supplier["id"], date=yesterday, lines=[{**line, "unit_price": "7"}]
    )
    [found] = (await tenant.get("/v1/cost-corrections", source_id=receipt["id"]))["data"]
    assert (found["value"], found["source_type"]) == (shown["value"], "goods_receipt")
    assert found["value"] == "-7.50"
