"""Sending whatever a test likes to any route, and reading the problem that comes back."""

import json
import uuid
from typing import Any

import httpx

from tests.api.whole.document import filled
from tests.api.whole.trading import Trade


async def send(shop: Trade, method: str, path: str, body: Any, **headers: str) -> httpx.Response:
    """The request with real ids in its path, and every header it could need."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    sent = {"Content-Type": "application/json", "Idempotency-Key": uuid.uuid4().hex, **headers}
    url = filled(path, {"name": f"stock:{uuid.uuid4()}:{uuid.uuid4()}", **shop.ids}, str(uuid.uuid4()))
    return await shop.tenant.client.request(method, url, content=content, headers=sent)


def told(reply: httpx.Response) -> tuple[int, str, str | None]:
    assert reply.headers["content-type"] == "application/problem+json", reply.text
    problem = reply.json()
    assert problem["correlation_id"] == reply.headers["x-correlation-id"]
    return reply.status_code, problem["code"], problem.get("pointer")
