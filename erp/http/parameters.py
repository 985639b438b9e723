"""Query parameters: known names only, each once, texts as strict as in a body."""

from functools import lru_cache
from typing import Any
from urllib.parse import parse_qsl

from litestar.params import ParameterKwarg
from litestar.types import HTTPScope

from erp.http.errors import BadRequest, DuplicateKey
from erp.http.request import ApiRequest
from erp.http.strict_json import check_text
from erp.kernel.errors import UnknownField

_MAX_PARAMETERS = 64


def query_of(scope: HTTPScope | Any) -> dict[str, str]:
    """The parameters. Raises BadRequest, DuplicateKey, InvalidText."""
    raw: bytes = scope["query_string"]
    if not raw:
        return {}
    try:
        pairs = parse_qsl(
            raw.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=_MAX_PARAMETERS
        )
    except ValueError:
        raise BadRequest("The query string is not URL-encoded UTF-8.") from None
    result: dict[str, str] = {}
    for name, value in pairs:
        if name in result:
            raise DuplicateKey(f"The parameter `{name[:64]}` appears twice.", pointer=name[:64], source="query")
        result[name] = check_text(value, pointer=name[:64], source="query")
    return result


def refuse_unknown_parameters(request: ApiRequest) -> None:
    """Raises UnknownField when the query names something the route does not declare."""
    if request.scope["query_string"]:
        known = _declared(request.route_handler).difference(request.scope["path_params"])
        for name in query_of(request.scope):
            if name not in known:
                raise unknown_parameter(name, known)


def unknown_parameter(name: str, known: frozenset[str]) -> UnknownField:
    return UnknownField(
        f"There is no parameter `{name[:64]}` here.", pointer=name[:64], source="query", known=sorted(known)
    )


@lru_cache(maxsize=4096)
def _declared(handler: Any) -> frozenset[str]:
    """Names of the query parameters in a handler's signature."""
    names = set()
    for name, definition in handler.parsed_fn_signature.parameters.items():
        keyword = definition.kwarg_definition
        if not isinstance(keyword, ParameterKwarg):
            names.add(name)
        elif keyword.param_type == "query":
            names.add(keyword.name or name)
    return frozenset(names - {"request", "data", "body", "scope", "state", "headers", "cookies", "query"})
