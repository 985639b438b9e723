"""The health endpoints; the first two are public and touch nothing behind this process."""

import msgspec
from litestar import Router, get

from erp.http.answers import Reply
from erp.http.health import HealthView
from erp.http.request import ApiRequest

_LIVE = b'{"status":"live"}'
_READY = b'{"status":"ready"}'


class LiveView(msgspec.Struct, frozen=True):
    """`live`, `ready`, or why this instance takes no new requests."""

    status: str


@get("/health/live", summary="Is this instance alive", tags=["Health"], security=[{}])
async def live() -> Reply[LiveView]:
    return Reply(_LIVE)


@get("/health/ready", summary="May this instance get requests", tags=["Health"], security=[{}])
async def ready(request: ApiRequest) -> Reply[LiveView]:
    reason = request.context.services.health.not_ready()
    if reason is None:
        return Reply(_READY)
    return Reply(msgspec.json.encode(LiveView(reason)), 503, [(b"retry-after", b"1")])


@get("/health", summary="How every part is", tags=["Health"])
async def deep(request: ApiRequest) -> Reply[HealthView]:
    """For the operator's dashboards: PostgreSQL, replicas, Redis, queues and this instance."""
    request.caller.require("platform:read")
    return Reply(msgspec.json.encode(await request.context.services.health.deep()))


router = Router("/", route_handlers=[live, ready, deep])
