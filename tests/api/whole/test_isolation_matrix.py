"""Every route of the OpenAPI document, called with another tenant's ids: 404, with the body of a missing id."""

import uuid
from typing import Any

import httpx
import pytest

from erp.http.gate import Gate
from tests.api.whole.conftest import Newcomer, Tenant, client_of
from tests.api.whole.document import body_of, comparable, document, filled, parameters, routes_with_ids, takes_match
from tests.api.whole.trading import Trade, trade_in_everything

#: Records that only jobs make, or two tenants together.
NOT_MADE_HERE = {
    "check_id", "dead_letter_id", "fulfilment_id", "link_id", "notice_id", "proposal_id", "sale_id", "transaction_id",
}  # fmt: skip


@pytest.fixture
async def traded(newcomer: Newcomer) -> Trade:
    return await trade_in_everything(await newcomer())


async def test_ids_of_another_tenant_are_missing_ids_on_every_route(newcomer: Newcomer, traded: Trade) -> None:
    stranger = await newcomer()
    api = await document(stranger.client)
    routes = routes_with_ids(api)
    assert len(routes) >= 40
    # Else an id of another kind would stand in, and be missing for that reason alone.
    assert {name for _, path in routes for name in parameters(path)} - set(traded.ids) <= NOT_MADE_HERE
    wrong = []
    for method, path in routes:
        body = body_of(api, method, path)
        matches = takes_match(api, method, path)
        foreign = await ask(stranger, method, filled(path, traded.ids, traded.ids["order_id"]), body, matches)
        missing = await ask(stranger, method, filled(path, {}, str(uuid.uuid4())), body, matches)
        if foreign.status_code != 404 or comparable(foreign) != comparable(missing):
            wrong.append(
                f"{method} {path}: {foreign.status_code} {foreign.text} / {missing.status_code} {missing.text}"
            )
    assert wrong == [], "\n".join(wrong)


async def ask(tenant: Tenant, method: str, path: str, body: Any, matches: bool) -> httpx.Response:
    headers = {"Idempotency-Key": uuid.uuid4().hex}
    if matches:
        headers["If-Match"] = '"1"'
    return await tenant.client.request(method, path, json=body, headers=headers)


async def test_the_owner_finds_what_the_stranger_does_not(traded: Trade) -> None:
    """The planted bug of the test above: its ids are real."""
    for method, path in routes_with_ids(await document(traded.tenant.client)):
        if method == "GET" and NOT_MADE_HERE.isdisjoint(parameters(path)):
            await traded.tenant.get(filled(path, traded.ids, ""))


async def test_a_foreign_reference_in_a_body_is_an_unknown_reference(newcomer: Newcomer, traded: Trade) -> None:
    stranger = await newcomer()
    own = await stranger.make("parties", code="C", name="Own", is_customer=True)
    for body in (
        {"party_id": own["id"], "lines": [{"product_id": traded.ids["product_id"], "quantity": "1"}]},
        {"party_id": traded.ids["party_id"], "lines": [{"product_id": traded.ids["product_id"], "quantity": "1"}]},
    ):
        problem = await stranger.post("/v1/sales-orders", body, 422)
        assert problem["code"] == "unknown-reference"


async def test_lists_show_nothing_of_another_tenant(newcomer: Newcomer, traded: Trade) -> None:
    stranger = await newcomer()
    foreign = set(traded.ids.values())
    api = await document(stranger.client)
    lists = [path for path, operations in api["paths"].items() if "get" in operations and "{" not in path]
    for path in (path for path in lists if path.startswith("/v1/") and not path.startswith("/v1/tenants")):
        reply = await stranger.client.get(path)
        assert not any(one in reply.text for one in foreign), path


async def test_no_route_answers_without_a_credential(gate: Gate, tenant: Tenant) -> None:
    api = await document(tenant.client)
    async with client_of(gate, "") as nobody:
        nobody.headers.pop("Authorization")
        for path, operations in api["paths"].items():
            if path.startswith("/v1/"):
                for method in operations:
                    reply = await nobody.request(method.upper(), filled(path, {}, str(uuid.uuid4())))
                    assert reply.status_code == 401, f"{method} {path}: {reply.status_code}"
