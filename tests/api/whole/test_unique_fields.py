"""What must be unique and is not: the answer names the field, whichever constraint of the database noticed."""

import uuid
from typing import Any

import httpx
import psycopg
import pytest

from db.constraints import translation_of
from db.errors import Duplicate
from erp.app import COMMANDS
from erp.tenants.schemas import CreateTenantInput
from tests.api.whole.conftest import Newcomer, Tenant
from tests.api.whole.trading import Trade, trade
from tests.services import Services

#: Made of columns that inputs have too, but written by the service itself.
OURS = {
    "journals_pkey", "product_costs_pkey", "stock_levels_pkey", "purchase_proposals_order_key",
    "recurring_order_runs_order_key", "event_generations_building", "event_generations_live",
}  # fmt: skip
_KEYS = (
    "SELECT c.relname, array_agg(a.attname::text) FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid"
    " JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey)"
    " WHERE i.indisunique AND c.relnamespace = 'public'::regnamespace AND c.relname NOT LIKE 'test\\_%'"
    " GROUP BY c.relname HAVING bool_or(a.attname IN ('tenant_id', 'slug'))"
)


def test_every_key_a_client_can_hit_names_its_field(services: Services) -> None:
    """What an input can name, a collision must name: found by the columns of every unique index."""
    inputs: list[Any] = [CreateTenantInput, *(command.input for command in COMMANDS if command.input)]
    sendable = {name for one in inputs for name in one.__struct_fields__} | {"tenant_id"}
    with psycopg.connect(services.superuser_url) as connection:
        keys = connection.execute(_KEYS).fetchall()
    nameless, checked = [], 0
    for key, columns in keys:
        translation = translation_of(key)
        given_out = columns == ["tenant_id"] or not sendable.issuperset(columns)
        if translation is None and (key in OURS or given_out):
            continue
        checked += 1
        if translation is None or (translation.error is Duplicate and not translation.arguments.get("pointer")):
            nameless.append(key)
    assert nameless == []
    assert checked > 30


async def repeat(tenant: Tenant, path: str, body: Any) -> httpx.Response:
    return await tenant.client.post(path, json=body, headers={"Idempotency-Key": uuid.uuid4().hex})


def assert_names(reply: httpx.Response, field: str) -> None:
    problem = reply.json()
    assert (reply.status_code, problem["code"]) == (409, "duplicate"), problem
    assert (problem["pointer"], problem["fields"]) == (f"/{field}", [field]), problem


_RATES = [{"rate": "1", "valid_from": "2020-01-01"}]
#: Resource, two free codes, and what else a record needs.
MASTERS: list[tuple[str, tuple[str, str], dict[str, Any]]] = [
    ("products", ("A", "B"), {}), ("parties", ("A", "B"), {"is_customer": True}), ("units", ("A", "B"), {}),
    ("categories", ("A", "B"), {}), ("tax-groups", ("A", "B"), {"rates": _RATES}), ("warehouses", ("A", "B"), {}),
    ("price-lists", ("A", "B"), {}), ("accounts", ("9998", "9999"), {"type": "expense"}),
]  # fmt: skip


@pytest.mark.parametrize(("resource", "codes", "fields"), MASTERS)
async def test_a_master_record_names_what_it_shares(
    tenant: Tenant, resource: str, codes: tuple[str, str], fields: dict[str, Any]
) -> None:
    record = {"name": "N", **fields}
    await tenant.make(resource, **record, code=codes[0], external_id="E")
    same_code = {**record, "code": codes[0], "external_id": "F"}
    assert_names(await repeat(tenant, f"/v1/{resource}", same_code), "code")
    same_external_id = {**record, "code": codes[1], "external_id": "E"}
    assert_names(await repeat(tenant, f"/v1/{resource}", same_external_id), "external_id")


async def test_a_product_names_a_shared_bar_code(tenant: Tenant) -> None:
    await tenant.make("products", code="A", name="A", barcode="4006381333931")
    body = {"code": "B", "name": "B", "barcode": "4006381333931"}
    assert_names(await repeat(tenant, "/v1/products", body), "barcode")


async def test_what_comes_twice_within_one_record_is_refused_by_its_place(tenant: Tenant) -> None:
    unit = {"unit": "BOX", "numerator": 12, "denominator": 1}
    await tenant.make("units", code="BOX", name="Box")
    body = {"code": "A", "name": "A", "units": [unit, unit]}
    problem = (await repeat(tenant, "/v1/products", body)).json()
    assert problem["status"] in (409, 422), problem
    assert problem["pointer"].startswith("/units"), problem
    rates = {"code": "T", "name": "T", "rates": [*_RATES, *_RATES]}
    problem = (await repeat(tenant, "/v1/tax-groups", rates)).json()
    assert problem["status"] in (409, 422), problem
    assert problem["pointer"].startswith("/rates"), problem


async def test_a_changed_record_names_what_it_shares(tenant: Tenant) -> None:
    await tenant.make("products", code="ONE", name="One")
    two = await tenant.make("products", code="TWO", name="Two")
    reply = await tenant.client.patch(f"/v1/products/{two['id']}", json={"code": "ONE"}, headers={"If-Match": '"1"'})
    assert_names(reply, "code")


async def test_a_location_shares_its_code_with_none_of_its_warehouse(tenant: Tenant) -> None:
    one, two = [await tenant.make("warehouses", code=f"W{n}", name="W") for n in (1, 2)]
    await tenant.make("locations", warehouse_id=one["id"], code="A", name="A")
    await tenant.make("locations", warehouse_id=two["id"], code="A", name="A")
    body = {"warehouse_id": one["id"], "code": "A", "name": "B"}
    assert_names(await repeat(tenant, "/v1/locations", body), "code")


@pytest.fixture
async def traded(newcomer: Newcomer) -> Trade:
    return await trade(await newcomer())


def documents(ids: dict[str, str], supplier: str) -> list[tuple[str, dict[str, Any]]]:
    """Every kind of document that takes an `external_id`, by its path; each may be asked for twice."""
    line = {"product_id": ids["product_id"], "quantity": "1"}
    priced = {**line, "unit_price": "1"}
    entry = [{"account": "@expense", "debit": "1.00"}, {"account": "@bank", "credit": "1.00"}]
    return [
        ("sales-orders", {"party_id": ids["party_id"], "lines": [line]}),
        ("direct-sales", {"party_id": ids["party_id"], "lines": [priced]}),
        ("direct-credits", {"party_id": ids["party_id"], "lines": [priced], "reason": "rebate"}),
        ("invoices", {"party_id": ids["party_id"], "lines": [line]}),
        ("payments", {"direction": "in", "party_id": ids["party_id"], "amount": "1.00"}),
        ("journal-entries", {"date": "", "lines": entry}),
        ("stock-adjustments", {"reason": "count", "lines": [{**line, "unit_cost": "1"}]}),
        ("reservations", line),
        ("purchase-orders", {"party_id": supplier, "lines": [priced]}),
        ("direct-receipts", {"party_id": supplier, "lines": [priced]}),
    ]  # fmt: skip


async def test_every_document_names_a_shared_external_id(traded: Trade) -> None:
    tenant = traded.tenant
    supplier = (await tenant.get("/v1/parties", code="SUPP"))["data"][0]["id"]
    day = (await tenant.get(f"/v1/journal-entries/{traded.ids['entry_id']}"))["date"]
    for resource, body in documents(traded.ids, supplier):
        asked = {**body, "external_id": f"E-{resource}"} | ({"date": day} if "date" in body else {})
        await tenant.make(resource, **asked)
        assert_names(await repeat(tenant, f"/v1/{resource}", asked), "external_id")


async def test_every_step_of_an_order_names_a_shared_external_id(traded: Trade) -> None:
    tenant, ids = traded.tenant, traded.ids
    line = {"product_id": ids["product_id"], "quantity": "2"}
    order = await tenant.make("sales-orders", party_id=ids["party_id"], lines=[line], confirm=True)
    step = {"lines": [{"line_no": 1, "quantity": "1"}], "external_id": "E"}
    for kind in ("deliveries", "invoices"):
        path = f"/v1/sales-orders/{order['id']}/{kind}"
        await tenant.post(path, step)
        if kind == "invoices":
            await tenant.post(f"/v1/sales-orders/{order['id']}/deliveries", {})
        assert_names(await repeat(tenant, path, step), "external_id")
    back = {"reason": "broken", "lines": [{"line_no": 1, "quantity": "1"}], "external_id": "E"}
    path = f"/v1/deliveries/{ids['delivery_id']}/returns"
    await tenant.post(path, back)
    assert_names(await repeat(tenant, path, back), "external_id")
    credit = {"reason": "rebate", "lines": [{"line_no": 1, "quantity": "1"}], "external_id": "C", "allocate": False}
    path = f"/v1/invoices/{ids['invoice_id']}/credit"
    await tenant.post(path, credit)
    assert_names(await repeat(tenant, path, credit), "external_id")


async def test_every_step_of_a_purchase_names_what_it_shares(traded: Trade) -> None:
    tenant = traded.tenant
    supplier = (await tenant.get("/v1/parties", code="SUPP"))["data"][0]["id"]
    line = {"product_id": traded.ids["product_id"], "quantity": "3", "unit_price": "1"}
    order = await tenant.make("purchase-orders", party_id=supplier, lines=[line], confirm=True)
    path = f"/v1/purchase-orders/{order['id']}"
    received = {"lines": [{"line_no": 1, "quantity": "1"}], "external_id": "E"}
    await tenant.post(f"{path}/receipts", received)
    assert_names(await repeat(tenant, f"{path}/receipts", received), "external_id")
    await tenant.post(f"{path}/receipts", {"lines": [{"line_no": 1, "quantity": "1"}]})
    billed = {"lines": [{"line_no": 1, "quantity": "1"}], "external_id": "E", "supplier_number": "77"}
    await tenant.post(f"{path}/bills", billed)
    assert_names(await repeat(tenant, f"{path}/bills", {**billed, "external_id": "F"}), "supplier_number")
    assert_names(await repeat(tenant, f"{path}/bills", {**billed, "supplier_number": "78"}), "external_id")


async def test_a_part_of_a_larger_request_is_named_with_its_place(tenant: Tenant) -> None:
    await tenant.make("products", code="TAKEN", name="Taken")
    data = {"code": "TAKEN", "name": "Again"}
    operations = [
        {"op": "products.create", "data": {"code": "FREE", "name": "Free"}},
        {"op": "products.create", "data": data},
    ]
    batch = (await repeat(tenant, "/v1/batch", {"operations": operations})).json()
    assert (batch["code"], batch["pointer"]) == ("duplicate", "/operations/1/data/code")
    for _ in range(2):  # said the second time as the first
        bulk = await tenant.client.post(
            "/v1/bulk/products", json={"key": "k", "data": data}, headers={"content-type": "application/x-ndjson"}
        )
        problem = bulk.json()["problem"]
        assert (problem["code"], problem["pointer"]) == ("duplicate", "/data/code")


async def test_a_tenant_names_what_it_shares(
    newcomer: Newcomer, operator: httpx.AsyncClient, services: Services
) -> None:
    first = await newcomer()
    body = {
        "slug": first.slug, "name": "Again", "base_currency": "GBP", "country": "GB", "time_zone": "Europe/London",
    }  # fmt: skip
    assert_names(await operator.post("/v1/tenants", json=body), "slug")
    key = {"Idempotency-Key": uuid.uuid4().hex}
    made = await operator.post("/v1/tenants", json={**body, "slug": f"{first.slug}-b"}, headers=key)
    with psycopg.connect(services.superuser_url, autocommit=True) as connection:
        # As after three days, when answers are forgotten.
        connection.execute("DELETE FROM idempotency_keys WHERE tenant_id = %s", (made.json()["id"],))
    problem = (await operator.post("/v1/tenants", json={**body, "slug": f"{first.slug}-c"}, headers=key)).json()
    assert (problem["code"], problem["pointer"], problem["source"]) == ("duplicate", "Idempotency-Key", "header")
