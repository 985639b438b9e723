"""The health endpoints. The first two are public and look at this process only.

A fault of a shared server must not take every instance out of the balancer; how the servers behind are is a
question of its own, for the operator.
"""

from collections.abc import Mapping
from typing import Any, Literal

import msgspec
from litestar import Router, get

from erp.http.answers import Reply
from erp.http.errors import NotReady
from erp.http.request import ApiRequest
from tenancy.errors import Forbidden

_LIVE = b'{"status":"live"}'
_READY = b'{"status":"ready"}'


class LiveView(msgspec.Struct, frozen=True):
    """The process runs and its event loop turns."""

    status: Literal["live"]


class ReadyView(msgspec.Struct, frozen=True):
    """This instance wants traffic."""

    status: Literal["ready"]


class CheckView(msgspec.Struct, frozen=True):
    """One part of the system; `facts` depend on the part."""

    status: Literal["healthy", "degraded", "unhealthy"]
    response_time_ms: float
    detail: str
    facts: dict[str, Any]


class HealthView(msgspec.Struct, frozen=True):
    """Everything this instance leans on, looked at within the last second."""

    status: Literal["healthy", "degraded", "unhealthy"]
    instance: str
    role: str
    version: str
    region: str
    zone: str
    uptime_seconds: float
    checks: Mapping[str, CheckView]


@get("/health/live", summary="Is this instance alive", tags=["Health"], security=[{}])
async def live(request: ApiRequest) -> Reply[LiveView]:
    """503 when the event loop has not turned for seconds: only a restart helps then."""
    if not request.context.services.liveness.alive():
        raise NotReady("The event loop hangs.", reasons=["event_loop"], retry_after=1)
    return Reply(_LIVE)


@get("/health/ready", summary="May this instance get requests", tags=["Health"], security=[{}])
async def ready(request: ApiRequest) -> Reply[ReadyView]:
    """503 with `reasons` while it starts, drains or is stuck; a shared server's fault is none of them."""
    if reasons := request.context.services.readiness.reasons():
        raise NotReady(f"Not now: {', '.join(reasons)}.", reasons=reasons, retry_after=1)
    return Reply(_READY)


@get("/health", summary="How every part is", tags=["Health"])
async def deep(request: ApiRequest) -> Reply[HealthView]:
    """For the operator's dashboards: PostgreSQL, replicas, Redis, queues and this instance."""
    if request.caller.kind != "operator":
        raise Forbidden("Only the operator's credential may look at the servers behind.")
    report = await request.context.services.health.report()
    return Reply(msgspec.json.encode(report.as_dict()))


router = Router("/", route_handlers=[live, ready, deep])
