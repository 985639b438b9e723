"""The Idempotency-Key header: who repeats a request under the same key gets the same answer, not a second effect.

The key is unique per tenant and principal; the fingerprint ties it to the request it was used for.
"""

import re
from hashlib import sha256
from typing import Literal

from erp.http.body import check_json
from erp.http.errors import IdempotencyKeyRequired, InvalidIdempotencyKey
from erp.http.request import ApiRequest
from tenancy.database import Idempotency

KeyRule = Literal["required", "accepted"]

_KEY = re.compile(rb"[!-~]{16,255}")


def parse_key(value: bytes) -> str:
    """Raises InvalidIdempotencyKey."""
    if not _KEY.fullmatch(value):
        raise InvalidIdempotencyKey("An Idempotency-Key has 16 to 255 visible ASCII characters.")
    return value.decode("ascii")


def fingerprint(method: str, path: str, media_type: bytes, body: bytes) -> bytes:
    """SHA-256 of what makes two requests the same; the path carries the route and its parameters."""
    head = b"\n".join((method.encode(), path.encode(), media_type, b""))
    return sha256(head + body).digest()


def idempotency_of(request: ApiRequest, rule: KeyRule, body: bytes) -> Idempotency | None:
    """The request's key, None when it has none and needs none. Raises the errors of this module's header."""
    value = request.context.headers.get(b"idempotency-key")
    if value is None:
        if rule == "required":
            raise IdempotencyKeyRequired
        return None
    # Every accepted spelling of the media type means the same.
    media_type = b"application/json" if body else b""
    return Idempotency(
        parse_key(value), fingerprint(request.scope["method"], request.scope["path"], media_type, body)
    )


def check_body_headers(request: ApiRequest) -> None:
    """Raises UnsupportedMediaType unless the body is announced as plain JSON."""
    headers = request.context.headers
    check_json(headers.get(b"content-type"), headers.get(b"content-encoding"))
