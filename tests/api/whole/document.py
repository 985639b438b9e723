"""The OpenAPI document of the application, for tests that walk all of its routes."""

import re
import uuid
from typing import Any

import httpx

_PARAMETER = re.compile(r"\{(\w+)\}")


async def document(client: httpx.AsyncClient) -> dict[str, Any]:
    reply = await client.get("/schema/openapi.json")
    found: dict[str, Any] = reply.json()
    return found


def for_operators(operation: dict[str, Any]) -> bool:
    """Whether only the operator's credential may use it, as its tag says."""
    return any("(operator)" in tag for tag in operation.get("tags", ()))


def routes_with_ids(api: dict[str, Any]) -> list[tuple[str, str]]:
    """(method, path) of every tenant route that names a record in its path."""
    return [
        (method.upper(), path)
        for path, operations in api["paths"].items()
        for method, operation in operations.items()
        if "_id}" in path and not for_operators(operation)
    ]


async def ids_of_lists(client: httpx.AsyncClient, api: dict[str, Any]) -> dict[str, str]:
    """Path parameter -> id of the first record of its list, for every `/things/{thing_id}` beside `/things`."""
    found = {}
    for path in api["paths"]:
        collection, _, name = path.removesuffix("}").rpartition("/{")
        if collection.count("/") == 2 and "get" in api["paths"].get(collection, {}) and name.endswith("_id"):
            reply = await client.get(collection, params={"limit": "1"})
            if reply.is_success and reply.json()["data"]:
                found[name] = str(reply.json()["data"][0]["id"])
    return found


def parameters(path: str) -> list[str]:
    """The names between braces."""
    return _PARAMETER.findall(path)


def filled(path: str, ids: dict[str, str], fallback: str) -> str:
    """The path with ids in it: the one kept for this very path, else the one of that name."""
    return _PARAMETER.sub(lambda match: ids.get(path) or ids.get(match[1], fallback), path)


def body_of(api: dict[str, Any], method: str, path: str) -> Any:
    """A body that passes validation, so that the id is what is refused."""
    operation = api["paths"][path][method.lower()]
    content = operation.get("requestBody", {}).get("content", {}).get("application/json")
    if path == "/v1/batch":
        return {"operations": [{"op": "units.create", "data": {"code": "BATCH", "name": "Batch"}}]}
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


def takes_match(api: dict[str, Any], method: str, path: str) -> bool:
    parameters = api["paths"][path][method.lower()].get("parameters", [])
    return any(one.get("name") == "If-Match" or "IfMatch" in one.get("$ref", "") for one in parameters)


def comparable(reply: httpx.Response) -> dict[str, Any]:
    """The problem without what names this one request."""
    problem = reply.json()
    return {
        name: value
        for name, value in problem.items()
        if name not in ("correlation_id", "instance") and not name.endswith("id")
    }
