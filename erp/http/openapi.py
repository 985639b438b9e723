"""The OpenAPI 3.1 document: what Litestar reads off the routes, completed by what they have in common.

A route names one module constant, its `Command` or its `Listing`; what the document says of headers, query
parameters and status codes comes from there, so that it cannot differ from what the code does.
"""

import inspect
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, cast

import msgspec
from litestar import Litestar, Request, Router
from litestar.enums import OpenAPIMediaType
from litestar.handlers import HTTPRouteHandler
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import OpenAPIRenderPlugin
from litestar.openapi.spec import Components, Contact, SecurityScheme, Server
from litestar.routes import HTTPRoute

from erp.http.commands import Command
from erp.http.document import Declared, describe_operation, shared_components
from erp.http.listing import Listing
from erp.http.views import record_of, words_of
from erp.kernel.errors import NotFound

SCHEMA_PATH = "/schema/openapi.json"

_DESCRIPTION = """
Multi-tenant ERP: parties, products, stock, sales, purchasing, invoices, payments and a double-entry ledger.

Every request carries `Authorization: Bearer <API key>`; the key names the tenant. Amounts and quantities are
strings. Writes accept an `Idempotency-Key`; those that move money or stock require one. Errors are problem
details (RFC 9457) with a stable `code`, listed under `/problems`.
"""


def declared_by(handler: HTTPRouteHandler) -> Declared:
    """The Command or Listing in the handler's `opt`, else among the module constants its code names."""
    function: Any = inspect.unwrap(handler.fn)
    constants = [*handler.opt.values(), *(function.__globals__.get(name) for name in function.__code__.co_names)]
    command = next((found for found in constants if isinstance(found, Command)), None)
    listing = next((found for found in constants if isinstance(found, Listing)), None)
    words = words_of(record_of(handler)) if listing is not None else {}
    return Declared(command, listing, dict(handler.opt), inspect.cleandoc(function.__doc__ or ""), words)


def served_handlers(app: Litestar) -> Iterator[tuple[str, str, HTTPRouteHandler]]:
    """Path, method and handler of every route in the document."""
    for route in app.routes:
        if isinstance(route, HTTPRoute):
            for method, (handler, _) in route.route_handler_map.items():
                if handler.resolve_include_in_schema():
                    yield route.path_format or "/", method.lower(), handler


def operation_id(handler: HTTPRouteHandler, method: Any, path_components: list[Any]) -> str:
    """`sales_orders.create_order`: the resource, then the name of the handler."""
    named = [part for part in path_components if isinstance(part, str) and part != "v1"]
    resource = named[0].replace("-", "_") if named else "root"
    return f"{resource}.{handler.handler_name}"


def complete(document: dict[str, Any], app: Litestar) -> dict[str, Any]:
    """The document with parameters, headers, problems and security of every operation.

    Bodies and answers are described by msgspec, which also decodes them: its schemas know which objects take
    no further members and where a bound belongs.
    """
    served = list(served_handlers(app))
    inputs = [_input_of(handler) for _, _, handler in served]
    outputs = [_output_of(handler) for _, _, handler in served]
    types = [found for found in (*inputs, *outputs) if found is not None]
    schemas, definitions = msgspec.json.schema_components(types, ref_template="#/components/schemas/{name}")
    described = iter(schemas)
    bodies = [None if found is None else next(described) for found in inputs]
    answers = [None if found is None else next(described) for found in outputs]
    for (path, method, handler), body, answer in zip(served, bodies, answers, strict=True):
        required = not (handler.parsed_data_field is not None and handler.parsed_data_field.is_optional)
        declared = replace(declared_by(handler), request=body, request_required=required, answer=answer)
        describe_operation(path, method, document["paths"][path][method], declared)
    components = document.setdefault("components", {})
    components["schemas"] = {**components.get("schemas", {}), **definitions}
    for kind, entries in shared_components().items():
        components.setdefault(kind, {}).update(entries)
    _drop_unused_schemas(document)
    return document


def _input_of(handler: HTTPRouteHandler) -> Any:
    found = handler.parsed_data_field
    return None if found is None else found.annotation


def _output_of(handler: HTTPRouteHandler) -> Any:
    found = handler.parsed_fn_signature.return_type
    return found.inner_types[0].annotation if found.inner_types else None


def _drop_unused_schemas(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    while True:
        text = msgspec.json.encode(document).decode()
        unused = [name for name in schemas if f'"#/components/schemas/{name}"' not in text]
        if not unused:
            return
        for name in unused:
            del schemas[name]


class SchemaFile(OpenAPIRenderPlugin):
    """Serves the completed document, built once."""

    def __init__(self) -> None:
        super().__init__(path="/openapi.json", media_type=OpenAPIMediaType.OPENAPI_JSON)
        self._rendered: bytes | None = None

    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:
        if self._rendered is None:
            copied = cast(dict[str, Any], msgspec.json.decode(msgspec.json.encode(openapi_schema)))
            self._rendered = msgspec.json.encode(complete(copied, request.app))
        return self._rendered


async def _only_the_document(request: Request[Any, Any, Any]) -> None:
    if request.scope["path"] != SCHEMA_PATH:
        raise NotFound("There is nothing under this path.")


def openapi_config(version: str, public_url: str) -> OpenAPIConfig:
    """Served at /schema/openapi.json; `public_url` comes from configuration, never from the Host header."""
    return OpenAPIConfig(
        title="ERP API",
        version=version,
        description=_DESCRIPTION.strip(),
        contact=Contact(name="API support"),
        servers=[Server(url=public_url)],
        use_handler_docstrings=True,
        operation_id_creator=operation_id,
        security=[{"api_key": []}],
        components=Components(
            security_schemes={
                "api_key": SecurityScheme(
                    type="http", scheme="bearer", bearer_format="erp_<tenant>_<prefix>_<secret>",
                    description="An API key of the tenant, shown once when it was created.",
                )
            }
        ),
        openapi_router=Router(
            "/schema", route_handlers=[], include_in_schema=False, dto=None, return_dto=None,
            before_request=_only_the_document,
        ),
        render_plugins=[SchemaFile()],
    )  # fmt: skip
