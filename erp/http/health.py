"""The health endpoints. The first two are public and look at this process only.

A fault of a shared server must not take every instance out of the balancer; how the servers behind are is a
question of its own, for the operator.
"""

from collections.abc import Mapping
from typing import Any, Literal

import msgspec
from litestar import Router, get

from erp.http.answers import Reply
from erp.http.request import ApiRequest
from erp.kernel.errors import NotFound

_LIVE = b'{"status":"live"}'
_READY = b'{"status":"ready","reasons":[]}'


class LiveView(msgspec.Struct, frozen=True):
    """The process runs and its event loop turns."""

    status: Literal["live", "hanging"]


class ReadyView(msgspec.Struct, frozen=True):
    """Whether this instance wants traffic, and why not."""

    status: Literal["ready", "not_ready"]
    reasons: list[str]


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
    if request.context.services.liveness.alive():
        return Reply(_LIVE)
    return Reply(b'{"status":"hanging"}', 503)


@get("/health/ready", summary="May this instance get requests", tags=["Health"], security=[{}])
async def ready(request: ApiRequest) -> Reply[ReadyView]:
    reasons = request.context.services.readiness.reasons()
    if not reasons:
        return Reply(_READY)
    return Reply(msgspec.json.encode(ReadyView("not_ready", reasons)), 503, [(b"retry-after", b"1")])


@get("/health", summary="How every part is", tags=["Health"])
async def deep(request: ApiRequest) -> Reply[HealthView]:
    """For the operator's dashboards: PostgreSQL, replicas, Redis, queues and this instance."""
    if request.caller.kind != "operator":
        # Nobody else learns that there is anything here.
        raise NotFound("There is nothing under this path.")
    report = await request.context.services.health.report()
    return Reply(msgspec.json.encode(report.as_dict()))


router = Router("/", route_handlers=[live, ready, deep])
