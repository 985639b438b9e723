"""Ids in bodies: one of another tenant, or of another record's child, is one that does not exist."""

import copy
import uuid
from collections.abc import Iterator
from typing import Any

import httpx
import msgspec
import pytest

from erp.app import COMMANDS
from tests.api.whole.conftest import Newcomer, Tenant
from tests.api.whole.document import comparable, document, example_of, filled, for_operators
from tests.api.whole.trading import Trade, trade_in_everything

Api = dict[str, Any]
Where = tuple[str | int, ...]


@pytest.fixture
async def own(newcomer: Newcomer) -> Trade:
    return await trade_in_everything(await newcomer())


@pytest.fixture
async def foreign(newcomer: Newcomer) -> Trade:
    return await trade_in_everything(await newcomer())


def is_id(api: Api, schema: Api) -> bool:
    choices = schema.get("anyOf", [schema])
    return any(choice.get("format") == "uuid" for choice in choices)


def references(api: Api, schema: Api, at: Where = ()) -> Iterator[Where]:
    """Where in a body an id may stand: in its fields, and in the first element of its lists."""
    if "$ref" in schema:
        schema = api["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]]
    for choice in schema.get("anyOf", ()):
        yield from references(api, choice, at)
    if is_id(api, schema) and at and "anyOf" not in schema:
        yield at
    for name, inner in schema.get("properties", {}).items():
        yield from references(api, inner, (*at, name))
    if schema.get("type") == "array":
        yield from references(api, schema["items"], (*at, 0))


def with_id(api: Api, schema: Api, body: Any, at: Where, value: str) -> Any:
    """The body with the id in its place; lists on the way get one element that is otherwise right."""
    found = copy.deepcopy(body)
    node, kind = found, schema
    for step, following in zip(at, (*at[1:], None), strict=True):
        kind = resolved(api, kind)
        inner = kind["items"] if isinstance(step, int) else kind["properties"][step]
        if following is None:
            node[step] = value
        elif isinstance(step, int):
            node, kind = node[step], inner
        else:
            if not node.get(step):
                whole = resolved(api, inner)
                node[step] = [example_of(api, whole["items"])] if "items" in whole else example_of(api, whole)
            node, kind = node[step], inner
    return found


def resolved(api: Api, schema: Api) -> Api:
    while True:
        if "$ref" in schema:
            schema = api["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]]
        elif "anyOf" in schema:
            schema = next(one for one in schema["anyOf"] if one.get("type") != "null")
        else:
            return schema


def right_body(api: Api, schema: Api, ids: dict[str, str]) -> Any:
    """The smallest body, with real ids where it needs some."""
    body = example_of(api, schema)
    for at in references(api, schema):
        node: Any = body
        for step in at[:-1]:
            node = (node or {}).get(step) if isinstance(step, str) else (node or [None])[step]
        if node and isinstance(at[-1], str) and at[-1] in node:
            node[at[-1]] = ids[at[-1]]
    return body


#: A bill's party is its order's, a stream's id is the client's own choice; dealings between two tenants have tests of
#: their own.
_SET_BY_OTHERS = {("/v1/supplier-bills", "party_id"), ("/v1/events", "stream_id")}


def naming(api: Api) -> list[tuple[str, str, Api]]:
    """(method, path, schema of the body) of every route whose body may name a record."""
    found = []
    for path, item in api["paths"].items():
        for method, operation in item.items():
            content = operation.get("requestBody", {}).get("content", {}).get("application/json")
            if not content or not path.startswith("/v1/") or for_operators(operation):
                continue
            if path != "/v1/batch" and "intercompany" not in path and any(references(api, content["schema"])):
                found.append((method.upper(), path, content["schema"]))
    return found


async def ask(tenant: Tenant, method: str, url: str, body: Any) -> httpx.Response:
    headers = {"Idempotency-Key": uuid.uuid4().hex} | ({} if method == "POST" else {"If-Match": '"1"'})
    return await tenant.client.request(method, url, json=body, headers=headers)


async def test_a_foreign_record_cannot_be_told_from_none(own: Trade, foreign: Trade) -> None:
    api = await document(own.tenant.client)
    supplier = (await own.tenant.get("/v1/parties", code="SUPP"))["data"][0]["id"]
    wrong, asked = [], 0
    for method, path, schema in naming(api):
        buying = any(word in path for word in ("purchase", "supplier", "receipts"))
        ids = {**own.ids, "party_id": supplier if buying else own.ids["party_id"], "supplier_id": supplier}
        body = right_body(api, schema, ids)
        for at in references(api, schema):
            name = next(step for step in reversed(at) if isinstance(step, str))
            if (path, name) in _SET_BY_OTHERS:
                continue
            theirs = foreign.ids.get({"parent_id": "category_id"}.get(name, name), foreign.ids["invoice_id"])
            replies = [
                await ask(own.tenant, method, filled(path, ids, ""), with_id(api, schema, body, at, one))
                for one in (theirs, str(uuid.uuid4()))
            ]
            asked += 1
            problems = [comparable(reply) for reply in replies]
            told = problems[0]
            if problems[0] != problems[1] or told["code"] != "unknown-reference" or not told.get("pointer"):
                wrong.append(f"{method} {path} {at}: {problems}")
    assert wrong == []
    assert asked >= 40


def smallest(kind: type[msgspec.Struct] | None) -> Any:
    """An input of the type that passes validation."""
    if kind is None:
        return {}
    [schema], definitions = msgspec.json.schema_components([kind], ref_template="#/components/schemas/{name}")
    found = example_of({"components": {"schemas": definitions}}, schema)
    if "allocations" in found:
        found["allocations"] = [{"invoice_id": str(uuid.uuid4()), "amount": "1.00"}]
    return found


async def test_a_batch_reaches_no_record_of_another_tenant(own: Trade, foreign: Trade) -> None:
    wrong = []
    for command in (command for command in COMMANDS if command.target):
        theirs = foreign.ids.get(f"{command.resource.removesuffix('s')}_id", foreign.ids["order_id"])
        answers = []
        for target in (theirs, str(uuid.uuid4())):
            operation = {"op": command.name, "target": target, "data": smallest(command.input)}
            operation |= {"if_match": 1} if command.match == "required" else {}
            problem = (await ask(own.tenant, "POST", "/v1/batch", {"operations": [operation]})).json()
            answers.append((problem["status"], problem["code"], problem.get("pointer")))
        if answers != [(404, "not-found", "/operations/0")] * 2:
            wrong.append((command.name, answers))
    assert wrong == []


async def test_a_child_is_found_under_its_own_parent_only(own: Trade) -> None:
    tenant = own.tenant
    payment = await tenant.get(f"/v1/payments/{own.ids['payment_id']}")
    [allocation] = payment["allocations"]
    other = await tenant.make("payments", direction="in", party_id=own.ids["party_id"], amount="1.00")
    body = {"allocation_ids": [allocation["id"]], "reason": "not mine"}
    problem = await tenant.post(f"/v1/payments/{other['id']}/deallocate", body, 422)
    assert (problem["code"], problem["pointer"]) == ("unknown-reference", "/allocation_ids/0")
    assert await tenant.get(f"/v1/payments/{own.ids['payment_id']}") == payment
    lines = {"lines": [{"line_no": 2, "quantity": "1"}]}
    for path in (
        f"/v1/deliveries/{own.ids['delivery_id']}/returns", f"/v1/invoices/{own.ids['invoice_id']}/credit",
        f"/v1/sales-orders/{own.ids['/v1/sales-orders/{order_id}']}/deliveries",
    ):  # fmt: skip
        reply = await ask(tenant, "POST", path, {"reason": "wrong", **lines} if "orders" not in path else lines)
        assert 400 <= reply.status_code < 500, path
        assert reply.json()["code"] in ("unknown-reference", "invalid-state"), reply.text


async def test_what_was_refused_left_nothing_behind(own: Trade) -> None:
    tenant = own.tenant
    lines = [{"product_id": one, "quantity": "1"} for one in (own.ids["product_id"], str(uuid.uuid4()))]
    priced = [{**line, "unit_price": "1"} for line in lines]
    party = {"party_id": own.ids["party_id"]}
    for resource, body in (
        ("sales-orders", {**party, "lines": lines}), ("invoices", {**party, "lines": lines}),
        ("direct-sales", {**party, "lines": priced}), ("stock-adjustments", {"reason": "r", "lines": lines}),
    ):  # fmt: skip
        listed = f"/v1/{resource.replace('direct-sales', 'sales-orders')}"
        before = await tenant.get(listed, count="exact", limit="1")
        reply = await ask(tenant, "POST", f"/v1/{resource}", body)
        assert (reply.status_code, reply.json()["code"]) == (422, "unknown-reference")
        assert "location" not in reply.headers
        assert await tenant.get(listed, count="exact", limit="1") == before
    assert (await tenant.get("/v1/proof"))["holds"]
