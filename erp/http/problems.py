"""Refusals as RFC 9457 problem details, the same everywhere: in Litestar, in the gate, per row of a bulk."""

import logging
import math
import re
from typing import Any

import msgspec
from litestar import Request
from litestar.exceptions import HTTPException, ValidationException
from litestar.types import Scope

from db.errors import DomainError
from erp.http.answers import Headers, Reply
from erp.http.errors import BadRequest, InternalError, InvalidJson, MethodNotAllowed, MissingField, PayloadTooLarge
from erp.kernel.errors import Invalid, NotFound
from fleet.metrics import http_problems_total

PROBLEM_JSON = b"application/problem+json"

_MISSING = re.compile(r"Missing required (\w+) parameter '([^']+)'")

_log = logging.getLogger("erp.http")
_encode = msgspec.json.Encoder(enc_hook=str).encode


def problem_body(error: DomainError, instance: str, correlation_id: str) -> bytes:
    """The problem as JSON, counted. Facts are extension members; they never displace a standard one."""
    http_problems_total.at(error.code).inc()
    members: dict[str, Any] = {
        "type": f"/problems/{error.code}",
        "title": error.title,
        "status": error.status,
        "code": error.code,
        "detail": error.detail,
        "instance": instance,
    }
    if error.pointer is not None:
        members["pointer"] = error.pointer
    if error.hint is not None:
        members["hint"] = error.hint
    for name, value in error.facts.items():
        members.setdefault(name, value)
    members["retryable"] = error.retryable
    members["correlation_id"] = correlation_id
    return _encode(members)


def problem_headers(error: DomainError) -> Headers:
    """Retry-After in whole seconds (never zero), the challenge of a 401, the Allow of a 405."""
    headers: Headers = []
    wait = error.retry_after
    if wait is None and error.status in (429, 503):
        wait = 1
    if wait is not None:
        headers.append((b"retry-after", b"%d" % max(1, math.ceil(wait))))
    if error.status == 401:
        headers.append((b"www-authenticate", b'Bearer realm="erp"'))
    if error.status == 405 and isinstance(allowed := error.facts.get("allowed"), list):
        headers.append((b"allow", ", ".join(allowed).encode("latin-1")))
    return headers


def problem_reply(error: DomainError, instance: str, correlation_id: str) -> Reply[Any]:
    body = problem_body(error, instance, correlation_id)
    return Reply(body, error.status, problem_headers(error), PROBLEM_JSON)


def as_refusal(error: BaseException) -> DomainError:
    """The refusal a client sees for any exception; InternalError when it is a defect of ours."""
    if isinstance(error, DomainError):
        return error
    if isinstance(error, HTTPException):
        return _of_litestar(error)
    return InternalError()


def _of_litestar(error: HTTPException) -> DomainError:
    if isinstance(error, ValidationException):
        return _of_validation(error)
    match error.status_code:
        case 404:
            return NotFound("There is nothing under this path.")
        case 405:
            names = [name.strip() for name in (error.headers or {}).get("allow", "").split(",")]
            allowed = sorted(name for name in names if name and name != "OPTIONS")
            return MethodNotAllowed(f"Allowed: {', '.join(allowed)}.", allowed=allowed)
        case 413:
            return PayloadTooLarge()
        case status if status < 500:
            return BadRequest(error.detail if status == 400 else "")
    return InternalError()


def _of_validation(error: ValidationException) -> DomainError:
    """A path or query parameter Litestar refused, or a required one or a body that was not sent."""
    if missing := _MISSING.match(error.detail):
        return MissingField(f"The parameter `{missing[2]}` is required.", pointer=missing[2], source=missing[1])
    first: Any = error.extra[0] if isinstance(error.extra, list) and error.extra else {}
    name = str(first.get("key", ""))
    if name == "data":
        return InvalidJson("This operation needs a JSON body.")
    return Invalid(f"{first.get('message', 'The value is not valid')}.", pointer=name, source=first.get("source"))


def correlation_of(scope: Scope) -> str:
    context: Any = scope.get("erp")
    return context.correlation_id if context is not None else ""


def record_defect(error: BaseException, scope: Scope) -> None:
    """One log entry per defect; the client sees only the correlation id that leads to it."""
    _log.error(
        "Unexpected error", exc_info=error,
        extra={
            "correlation_id": correlation_of(scope),
            "method": scope.get("method"),
            "route": scope.get("path_template", ""),
        },
    )  # fmt: skip


def answer_exception(request: Request[Any, Any, Any], error: Exception) -> Reply[Any]:
    """Litestar's exception handler for everything: `exception_handlers={Exception: answer_exception}`."""
    refusal = as_refusal(error)
    if isinstance(refusal, InternalError):
        record_defect(error, request.scope)
    return problem_reply(refusal, request.scope["path"], correlation_of(request.scope))
