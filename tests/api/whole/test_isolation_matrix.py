"""Every route of the OpenAPI document, called with another tenant's ids: 404, with the body of a missing id."""

import re
import uuid
from typing import Any

import httpx
import pytest

from erp.http.gate import Gate
from tests.api.whole.conftest import Newcomer, Tenant, client_of
from tests.api.whole.trading import Trade, trade

_PARAMETER = re.compile(r"\{(\w+)\}")


async def document(client: httpx.AsyncClient) -> dict[str, Any]:
    reply = await client.get("/schema/openapi.json")
    found: dict[str, Any] = reply.json()
    return found


def routes_with_ids(api: dict[str, Any]) -> list[tuple[str, str]]:
    """(method, path) of every tenant route that names a record in its path."""
    return [
        (method.upper(), path)
        for path, operations in api["paths"].items()
        for method in operations
        if method in ("get", "post", "patch", "put", "delete")
        and "_id}" in path
        and not path.startswith("/v1/tenants")
    ]


def filled(path: str, ids: dict[str, str], fallback: str) -> str:
    return _PARAMETER.sub(lambda match: ids.get(match[1], fallback), path)


def body_of(api: dict[str, Any], method: str, path: str) -> Any:
    """A body that passes validation, so that the id is what is refused."""
    operation = api["paths"][path][method.lower()]
    content = operation.get("requestBody", {}).get("content", {}).get("application/json")
    if path.endswith("/allocations"):
        return {"allocations": [{"invoice_id": str(uuid.UUID(int=7)), "amount": "1.00"}]}
    return example_of(api, content["schema"]) if content else None


def example_of(api: dict[str, Any], schema: dict[str, Any]) -> Any:
    """The smallest instance of a schema: required members only."""
    if "$ref" in schema:
        return example_of(api, api["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]])
    if schema.get("examples"):
        return schema["examples"][0]
    for choice in ("anyOf", "oneOf", "allOf"):
        if choice in schema:
            return example_of(api, schema[choice][0])
    if "enum" in schema:
        return schema["enum"][0]
    if "const" in schema:
        return schema["const"]
    match schema.get("type"):
        case "object":
            properties = schema.get("properties", {})
            return {name: example_of(api, properties[name]) for name in schema.get("required", [])}
        case "array":
            return [example_of(api, schema["items"])] * schema.get("minItems", 0)
        case "integer" | "number":
            return schema.get("minimum", 1)
        case "boolean":
            return True
    formats = {"uuid": str(uuid.UUID(int=7)), "date": "2026-01-15", "date-time": "2099-01-15T12:00:00Z"}
    return formats.get(schema.get("format", ""), "1" * schema.get("minLength", 1))


def comparable(reply: httpx.Response) -> dict[str, Any]:
    """The problem without what names this one request."""
    problem = reply.json()
    return {
        name: value
        for name, value in problem.items()
        if name not in ("correlation_id", "instance") and not name.endswith("id")
    }


@pytest.fixture
async def traded(newcomer: Newcomer) -> Trade:
    return await trade(await newcomer())


async def test_ids_of_another_tenant_are_missing_ids_on_every_route(newcomer: Newcomer, traded: Trade) -> None:
    stranger = await newcomer()
    api = await document(stranger.client)
    routes = routes_with_ids(api)
    assert len(routes) >= 40
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


def takes_match(api: dict[str, Any], method: str, path: str) -> bool:
    parameters = api["paths"][path][method.lower()].get("parameters", [])
    return any(one.get("name") == "If-Match" or "IfMatch" in one.get("$ref", "") for one in parameters)


async def ask(tenant: Tenant, method: str, path: str, body: Any, matches: bool) -> httpx.Response:
    headers = {"Idempotency-Key": uuid.uuid4().hex}
    if matches:
        headers["If-Match"] = '"1"'
    return await tenant.client.request(method, path, json=body, headers=headers)


async def test_the_owner_finds_what_the_stranger_does_not(traded: Trade) -> None:
    """The planted bug of the test above: its ids are real."""
    for path in ("/v1/parties/{party_id}", "/v1/products/{product_id}", "/v1/sales-orders/{order_id}",
                 "/v1/invoices/{invoice_id}", "/v1/payments/{payment_id}"):  # fmt: skip
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
