"""Requests nobody means well with, on every route of the application: refused with the right word, never a 5xx."""

import copy
import json
import uuid
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest

from erp.http.gate import Gate
from tests.api.whole.asking import send, told
from tests.api.whole.conftest import new_tenant
from tests.api.whole.document import body_of, document, for_operators
from tests.api.whole.trading import Trade, trade_in_everything

Api = dict[str, Any]
#: Method, path, operation.
Operation = tuple[str, str, Api]

STOLEN = str(uuid.uuid4())
#: What some API somewhere took from a body and should not have.
MASS_ASSIGNMENT = (
    "tenant_id", "id", "role", "status", "state", "total", "version", "created_by", "created_at", "number",
    "is_admin", "posted_at", "entry_id",
)  # fmt: skip


@pytest.fixture(scope="module")
async def shop(gate: Gate, operator: httpx.AsyncClient) -> AsyncIterator[Trade]:
    tenant = await new_tenant(gate, operator)
    async with tenant.client:
        yield await trade_in_everything(tenant)


@pytest.fixture(scope="module")
async def api(shop: Trade) -> Api:
    return await document(shop.tenant.client)


def operations(api: Api) -> Iterator[Operation]:
    """Every route for a tenant's key."""
    for path, item in api["paths"].items():
        if path.startswith("/v1/"):
            yield from ((method.upper(), path, one) for method, one in item.items() if not for_operators(one))


def taking_json(api: Api) -> list[tuple[str, str, Api]]:
    """Routes with a JSON body, and the schema of that body."""
    found = []
    for method, path, operation in operations(api):
        content = operation.get("requestBody", {}).get("content", {}).get("application/json")
        if content:
            found.append((method, path, resolved(api, content["schema"])))
    assert len(found) > 30
    return found


def resolved(api: Api, schema: Api) -> Api:
    """The object schema behind references and `anyOf` with null."""
    while "properties" not in schema:
        [schema] = [schema] if "$ref" in schema else [one for one in schema["anyOf"] if one.get("type") != "null"]
        if "$ref" in schema:
            schema = api["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]]
    return schema


def lists(api: Api) -> list[str]:
    """Paths of lists, with the query they cannot do without."""
    return [
        asking(path, operation)
        for method, path, operation in operations(api)
        if method == "GET" and any(one["name"] == "cursor" for one in operation.get("parameters", []))
    ]


def asking(path: str, operation: Api) -> str:
    """The path, ready for one more parameter."""
    required = [one for one in operation.get("parameters", []) if one["in"] == "query" and one["required"]]
    formats = {"date": "2026-01-31", "uuid": str(uuid.UUID(int=7))}
    examples = {one["name"]: formats.get(one["schema"].get("format", ""), "1") for one in required}
    return path + "?" + "".join(f"{name}={value}&" for name, value in examples.items())


# -- fields nobody may set ---------------------------------------------------------------------------


async def test_no_body_takes_a_field_that_is_not_the_clients_to_set(shop: Trade, api: Api) -> None:
    wrong = []
    for method, path, schema in taking_json(api):
        for field in MASS_ASSIGNMENT:
            if field in schema["properties"]:
                continue
            reply = await send(shop, method, path, {**body_of(api, method, path), field: STOLEN})
            if told(reply) != (422, "unknown-field", f"/{field}"):
                wrong.append(f"{method} {path} {field}: {reply.text}")
    assert wrong == []


async def test_no_line_of_a_document_takes_one_either(shop: Trade, api: Api) -> None:
    wrong, lines = [], 0
    for method, path, _ in taking_json(api):
        body = body_of(api, method, path)
        for name, value in body.items():
            if isinstance(value, list) and value and isinstance(value[0], dict):
                lines += 1
                planted = copy.deepcopy(body)
                planted[name][0]["tenant_id"] = STOLEN
                reply = await send(shop, method, path, planted)
                if told(reply) != (422, "unknown-field", f"/{name}/0/tenant_id"):
                    wrong.append(f"{method} {path}: {reply.text}")
    assert wrong == []
    assert lines > 5


async def test_no_route_takes_the_tenant_from_its_query(shop: Trade, api: Api) -> None:
    wrong = []
    for method, path, operation in operations(api):
        body = body_of(api, method, path)
        headers = {"If-Match": '"1"'} if method in ("PATCH", "PUT") else {}
        if "bulk" in path or "imports" in path:
            headers["Content-Type"], path = "application/x-ndjson", path.replace("{resource}", "products")
        reply = await send(
            shop, method, f"{asking(path, operation)}tenant_id={STOLEN}", {} if body is None else body, **headers
        )
        if told(reply) != (422, "unknown-field", "tenant_id") or reply.json()["source"] != "query":
            wrong.append(f"{method} {path}: {reply.text}")
    assert wrong == []


async def test_a_parameter_that_is_missing_is_named(shop: Trade, api: Api) -> None:
    needing = 0
    for method, path, operation in operations(api):
        for one in operation.get("parameters", []):
            if one["in"] == "query" and one["required"]:
                others = asking(path, {"parameters": [other for other in operation["parameters"] if other != one]})
                reply = await send(shop, method, others, b"")
                assert told(reply) == (422, "missing-field", one["name"])
                assert reply.json()["source"] == "query"
                needing += 1
    assert needing


async def test_headers_name_no_tenant(shop: Trade) -> None:
    forged = {"X-Tenant-Id": STOLEN, "X-Tenant": "platform", "X-Organization-Id": STOLEN, "X-User-Id": STOLEN}
    reply = await send(shop, "POST", "/v1/units", {"code": "FORGED", "name": "Forged"}, **forged)
    assert reply.status_code == 201
    mine = await shop.tenant.get("/v1/units", code="FORGED")
    assert [unit["id"] for unit in mine["data"]] == [reply.json()["id"]]


# -- lists -------------------------------------------------------------------------------------------

SQL = "created_at; DROP TABLE tenants--"


async def test_a_filter_of_few_words_takes_each_of_them_and_no_other(shop: Trade, api: Api) -> None:
    """A slip in a state would otherwise read as "there is none"."""
    wrong, seen = [], 0
    for method, path, operation in operations(api):
        for one in operation.get("parameters", []) if method == "GET" else []:
            if " Values: " not in one.get("description", ""):
                continue
            seen += 1
            words = one["description"].split(" Values: ")[1].rstrip(".").split(", ")
            for value in (*words, ",".join(words)) if one["description"].startswith("Any of") else words:
                reply = await send(shop, "GET", f"{asking(path, operation)}{one['name']}={value}", b"")
                if reply.status_code >= 300 and told(reply)[2] == one["name"]:
                    wrong.append(f"{path} {one['name']}={value}: {reply.text}")
            reply = await send(shop, "GET", f"{asking(path, operation)}{one['name']}={words[0]}x", b"")
            if reply.status_code not in (403, 404) and told(reply) != (422, "invalid-value", one["name"]):
                wrong.append(f"{path} {one['name']}={words[0]}x: {reply.text}")
    assert wrong == []
    assert seen > 20


async def test_no_list_takes_sql_for_a_name(shop: Trade, api: Api) -> None:
    wrong = []
    for path in lists(api):
        for name in ("sort", "fields"):
            reply = await send(shop, "GET", f"{path}{name}={SQL}", b"")
            if told(reply)[:2] != (422, "unknown-field") or told(reply)[2] != name:
                wrong.append(f"{path} {name}: {reply.text}")
        for name in ("code'--", "1=1", "offset", "page", "expand", "where", "filter[code]", "q"):
            reply = await send(shop, "GET", f"{path}{name}=1", b"")
            if told(reply)[:2] != (422, "unknown-field"):
                wrong.append(f"{path} {name}: {reply.text}")
    assert wrong == []


LIMITS = {
    "201": "limit-exceeded", "1000000000": "limit-exceeded", "0": "invalid-value", "-1": "invalid-value",
    "1e3": "invalid-value", "１": "invalid-value", "9" * 40: "invalid-value",
}  # fmt: skip


async def test_every_list_is_a_page_of_at_most_two_hundred(shop: Trade, api: Api) -> None:
    wrong = []
    for path in lists(api):
        for limit, code in LIMITS.items():
            reply = await send(shop, "GET", f"{path}limit={limit}", b"")
            if told(reply) != (422, code, "limit"):
                wrong.append(f"{path} {limit}: {reply.text}")
    assert wrong == []


async def test_no_list_takes_a_cursor_that_is_not_its_own(shop: Trade, api: Api) -> None:
    foreign = (await shop.tenant.get("/v1/accounts", limit="1"))["next_cursor"]
    assert foreign
    wrong = []
    for path in lists(api):
        for cursor in (foreign[:-2] + "AA", "x", "' OR 1=1", foreign if path != "/v1/accounts?" else "A" * 40):
            reply = await send(shop, "GET", f"{path}cursor={cursor}", b"")
            if told(reply)[:2] != (400, "invalid-cursor"):
                wrong.append(f"{path} {cursor}: {reply.text}")
    assert wrong == []


async def test_long_lists_of_values_and_long_texts_have_a_bound(shop: Trade, api: Api) -> None:
    for path, name in (("/v1/sales-orders", "state"), ("/v1/products", "id"), ("/v1/jobs", "kind")):
        value = ",".join([str(uuid.UUID(int=7))] * 101)
        assert told(await send(shop, "GET", f"{path}?{name}={value}", b"")) == (422, "limit-exceeded", name)
    for path in ("/v1/parties", "/v1/products"):
        reply = await send(shop, "GET", f"{path}?search={'a' * 10_000}", b"")
        assert told(reply) == (422, "limit-exceeded", "search")


@pytest.mark.parametrize("text", ["%", "%%%%", "_", "*", ".*", "(a+)+$", "\\", "'", "a|b", "[", "Cust%"])
async def test_a_search_takes_every_character_for_itself(shop: Trade, text: str) -> None:
    for path in ("/v1/parties", "/v1/products"):
        for name in ("search", "name.prefix", "code.prefix"):
            reply = await shop.tenant.client.get(path, params={name: text})
            assert (reply.status_code, reply.json()["data"]) == (200, []), (path, name)
    assert len((await shop.tenant.get("/v1/parties", search="cust"))["data"]) == 1


# -- how a body is sent ------------------------------------------------------------------------------


async def test_every_body_is_plain_json_in_utf8(shop: Trade, api: Api) -> None:
    refused: list[dict[str, str]] = [
        {"Content-Type": "text/plain"}, {"Content-Type": "application/json; charset=utf-16"}, {"Content-Type": ""},
        {"Content-Type": "application/x-www-form-urlencoded"}, {"Content-Encoding": "gzip"},
        {"Content-Encoding": "identity, br"},
    ]  # fmt: skip
    wrong = []
    for method, path, _ in taking_json(api):
        for headers in refused:
            reply = await send(shop, method, path, body_of(api, method, path), **headers)
            if told(reply)[:2] != (415, "unsupported-media-type"):
                wrong.append(f"{method} {path} {headers}: {reply.text}")
    assert wrong == []


async def test_a_stream_is_plain_lines_and_no_archive(shop: Trade) -> None:
    archives = (b"\x1f\x8b\x08\x00", b"PK\x03\x04", b"BZh9")
    for path in ("/v1/bulk/products", "/v1/imports/products"):
        for media in ("application/zip", "application/gzip", "application/json", "text/csv",
                      "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"):  # fmt: skip
            reply = await send(shop, "POST", path, archives[0], **{"Content-Type": media})
            assert told(reply)[:2] == (415, "unsupported-media-type")
        for encoding in ("gzip", "deflate", "br", "zstd"):
            reply = await send(
                shop, "POST", path, archives[0],
                **{"Content-Type": "application/x-ndjson", "Content-Encoding": encoding},
            )  # fmt: skip
            assert told(reply)[:2] == (415, "unsupported-media-type")
    for archive in archives:  # sent as lines it is one line that cannot be read
        reply = await send(shop, "POST", "/v1/bulk/products", archive, **{"Content-Type": "application/x-ndjson"})
        assert [json.loads(line)["problem"]["code"] for line in reply.text.splitlines()] == ["invalid-json"]


async def test_no_path_has_a_method_it_does_not_declare(shop: Trade, api: Api) -> None:
    wrong = []
    for path, item in api["paths"].items():
        allowed = {method.upper() for method in item}
        for method in {"GET", "POST", "PUT", "PATCH", "DELETE", "TRACE", "OPTIONS", "HEAD", "BREW"} - allowed:
            override = {"X-HTTP-Method-Override": sorted(allowed)[0], "X-Method-Override": sorted(allowed)[0]}
            reply = await send(shop, method, path, b"", **override)
            if reply.status_code != 405 or {one.strip() for one in reply.headers["allow"].split(",")} != allowed:
                wrong.append(f"{method} {path}: {reply.status_code} {reply.headers.get('allow')} {reply.text}")
    assert wrong == []
