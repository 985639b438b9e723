"""What the OpenAPI document says of an operation beyond its own types."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from erp.http.catalogue import problem_classes
from erp.http.commands import Command
from erp.http.filters import Parameter
from erp.http.listing import MAX_LIMIT, Listing

Json = dict[str, Any]

_STRING: Json = {"type": "string"}

_KEY: Json = {
    "name": "Idempotency-Key", "in": "header",
    "description": "16 to 255 visible ASCII characters, new for each intention, the same for each repeat.",
    "schema": {"type": "string", "pattern": "^[!-~]{16,255}$"},
}  # fmt: skip
_MATCH: Json = {
    "name": "If-Match", "in": "header", "description": "The ETag of the version you saw.",
    "schema": {"type": "string", "pattern": '^"[1-9][0-9]{0,9}"$'}, "example": '"3"',
}  # fmt: skip
_TOKEN: Json = {
    "name": "Consistency-Token", "in": "header", "required": False, "schema": _STRING,
    "description": "From an earlier answer: this read sees at least what that answer told.",
}  # fmt: skip

_HEADERS: dict[str, tuple[str, Json]] = {
    "X-Correlation-Id": ("Names this request in logs and problems.", _STRING),
    "X-RateLimit-Limit": ("Requests per minute under the tightest limit.", {"type": "integer"}),
    "X-RateLimit-Remaining": ("Requests left in this window.", {"type": "integer"}),
    "X-RateLimit-Reset": ("Seconds until the window has room again.", {"type": "integer"}),
    "ETag": ("The resource's version.", _STRING),
    "Location": ("Where the created resource is.", _STRING),
    "Consistency-Token": ("Send it with a read that must see this write.", _STRING),
    "Idempotency-Replayed": ("`true` when this is the answer to an earlier request with the same key.", _STRING),
    "Retry-After": ("Seconds to wait before repeating.", {"type": "integer"}),
}

_PROBLEMS: dict[int, str] = {
    400: "The request cannot be understood.",
    401: "A valid credential is required.",
    403: "The credential lacks the permission.",
    404: "No such record in this tenant.",
    405: "The method is not allowed here.",
    409: "A rule or the current state refuses this.",
    412: "The resource has another version.",
    413: "The body is too large.",
    415: "The media type is not supported.",
    422: "A field or parameter is not valid.",
    428: "An If-Match header is required.",
    429: "Too many requests.",
    500: "A defect on our side, recorded under the correlation id.",
    503: "Try again after Retry-After.",
}


@dataclass(frozen=True, slots=True)
class Declared:
    """What a route handler serves, and its `opt`. `words`: those that fields of the listed records hold."""

    command: Command | None
    listing: Listing[Any] | None
    options: Mapping[str, Any]
    #: The handler's docstring, and the schemas of its body and its answer.
    text: str = ""
    words: Mapping[str, Sequence[str]] = field(default_factory=dict)
    request: Json | None = None
    request_required: bool = True
    answer: Json | None = None


def shared_components() -> dict[str, Json]:
    """Headers, problem answers and the problem schema that operations refer to."""
    codes = problem_classes()
    return {
        "headers": {name: {"description": text, "schema": schema} for name, (text, schema) in _HEADERS.items()},
        "responses": {f"Problem{status}": _problem_response(status, text) for status, text in _PROBLEMS.items()},
        "schemas": {"Problem": _problem_schema(sorted(codes))},
    }


def describe_operation(path: str, method: str, operation: Json, declared: Declared) -> None:
    """Completes the operation in place."""
    options = declared.options
    _describe_in_words(operation, declared.text)
    public = operation.get("security") == [{}]
    if public:
        operation["security"] = []
    parameters: list[Json] = operation.setdefault("parameters", [])
    parameters += _parameters(method, declared, public)
    if not parameters:
        del operation["parameters"]
    if (lines := options.get("request_lines")) is not None:
        operation["requestBody"] = _lines(lines)
    elif declared.request is not None:
        operation["requestBody"]["content"]["application/json"]["schema"] = declared.request
        operation["requestBody"]["required"] = declared.request_required
    responses: Json = operation["responses"]
    _describe_success(responses, declared)
    # Litestar's own 400 has another shape than what is really sent.
    responses.pop("400", None)
    for status in _statuses(path, method, operation, declared, public):
        responses[str(status)] = {"$ref": f"#/components/responses/Problem{status}"}
    operation["responses"] = dict(sorted(responses.items()))


def _describe_in_words(operation: Json, text: str) -> None:
    """The docstring's first line is the summary unless the route has its own."""
    first, _, rest = text.partition("\n")
    if text and operation.get("description") == text and operation["summary"].replace(" ", "").isalnum():
        operation["summary"], operation["description"] = first.rstrip("."), rest.strip() or first


def _parameters(method: str, declared: Declared, public: bool) -> list[Json]:
    found: list[Json] = []
    command, listing = declared.command, declared.listing
    if command is not None:
        found.append({**_KEY, "required": command.key == "required"})
        if command.match != "none":
            found.append({**_MATCH, "required": command.match == "required"})
    elif "key" in declared.options or (method == "post" and "reads" not in declared.options):
        found.append({**_KEY, "required": declared.options.get("key") == "required"})
        found += [_MATCH] if "match" in declared.options else []
    elif not public:
        found.append(_TOKEN)
    if listing is not None:
        found += _listing_parameters(listing, declared.options.get("required", ()), declared.words)
    return found


def _query(name: str, description: str, schema: Json) -> Json:
    return {"name": name, "in": "query", "required": False, "description": description, "schema": schema}


def _listing_parameters(
    listing: Listing[Any], required: Collection[str], words: Mapping[str, Sequence[str]]
) -> list[Json]:
    orders = [order for name in listing.sorts for order in (name, f"-{name}")]
    return [
        *(
            _filter(parameter, parameter.name in required, words.get(parameter.name, ()))
            for parameter in listing.parameters.values()
        ),
        _query("sort", "Order; a minus means descending.", {"enum": orders, "default": listing.default}),
        _query("limit", "Records per page.", {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": 50}),
        _query("cursor", "`next_cursor` of the page before, with the same filters and sort.", _STRING),
        _query(
            "count", "Count the records too: exactly, or as the planner guesses.", {"enum": ["exact", "estimated"]}
        ),
        _query("fields", "Only these fields, separated by commas.", _STRING),
    ]


def _filter(parameter: Parameter, required: bool, words: Sequence[str]) -> Json:
    text = f"{parameter.description} Values: {', '.join(words)}." if words else parameter.description
    return {**_query(parameter.name, text, msgspec.json.schema(parameter.kind)), "required": required}


def _lines(row: type[msgspec.Struct]) -> Json:
    (schema,), definitions = msgspec.json.schema_components([row], ref_template="#/components/schemas/{name}")
    found = definitions.get(row.__name__, schema)
    return {
        "required": True,
        "description": "One JSON object per line.",
        "content": {"application/x-ndjson": {"schema": found}},
    }


def _describe_success(responses: Json, declared: Declared) -> None:
    command = declared.command
    success = next(status for status in responses if status.startswith("2"))
    answer = responses.pop(success)
    content = answer.get("content", {})
    if declared.answer is not None and "application/json" in content:
        content["application/json"]["schema"] = declared.answer
    if "response_lines" in declared.options:
        content["application/x-ndjson"] = content.pop("application/json")
    if command is not None:
        success = str(command.status)
    headers = ["X-Correlation-Id", "X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset"]
    if command is not None:
        headers += ["ETag", "Consistency-Token", "Idempotency-Replayed"]
        headers += ["Location"] if command.tells_location else []
    answer["headers"] = {name: {"$ref": f"#/components/headers/{name}"} for name in headers}
    responses[success] = answer


def _statuses(path: str, method: str, operation: Json, declared: Declared, public: bool) -> list[int]:
    command, listing = declared.command, declared.listing
    statuses = {429, 500, 503}
    if not public:
        statuses |= {400, 401, 403, 422}
    if "{" in path or (listing is None and not public):
        statuses.add(404)
    if method != "get":
        statuses |= {404, 409, 422}
        if "requestBody" in operation:
            statuses |= {413, 415}
    if command is not None and command.match != "none":
        statuses |= {412} | ({428} if command.match == "required" else set())
    if "match" in declared.options:
        statuses.add(412)
    return sorted(statuses)


def _problem_response(status: int, text: str) -> Json:
    headers = ["X-Correlation-Id"] + (["Retry-After"] if status in (409, 429, 503) else [])
    return {
        "description": text,
        "headers": {name: {"$ref": f"#/components/headers/{name}"} for name in headers},
        "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }


def _problem_schema(codes: list[str]) -> Json:
    return {
        "type": "object",
        "description": "Problem details (RFC 9457). Further members are facts of this one occurrence.",
        "required": ["type", "title", "status", "code", "detail", "instance", "retryable", "correlation_id"],
        "properties": {
            "type": {"type": "string", "format": "uri-reference", "description": "The problem's page."},
            "title": _STRING,
            "status": {"type": "integer"},
            "code": {"enum": codes, "description": "Stable; branch on this."},
            "detail": _STRING,
            "instance": {"type": "string", "description": "The path of the request."},
            "pointer": {"type": "string", "description": "JSON pointer or name of what is wrong."},
            "hint": _STRING,
            "retryable": {"type": "boolean", "description": "Whether repeating the same request may succeed."},
            "correlation_id": _STRING,
        },
        "additionalProperties": True,
        "examples": [
            {
                "type": "/problems/not-found", "title": "Not found", "status": 404, "code": "not-found",
                "detail": "Not found", "instance": "/v1/products/0197f3a2-6c1e-7b7e-9d1c-4a6b0e1d2c3f",
                "retryable": False, "correlation_id": "5f0c0a52b3b14f7f9be0d1a7b2c4d6e8",
            }
        ],
    }  # fmt: skip
