"""Circuit breakers over HTTP: which neighbours this instance asks at present."""

from typing import Literal

import msgspec
from litestar import Router, get

from erp.http.answers import Reply
from erp.http.commands import Command, encode_json
from erp.http.request import ApiRequest
from erp.tenants.operator_routes import require_operator
from fleet.breaker import breakers

COMMANDS: tuple[Command, ...] = ()


class BreakerView(msgspec.Struct, frozen=True, kw_only=True):
    """`open`: calls are refused before they are made. `half_open`: the next call is a probe, and decides.

    `for_seconds`: how long it has been so; `retry_in`: seconds until the next probe.
    """

    name: str
    state: Literal["closed", "open", "half_open"]
    for_seconds: float
    retry_in: float


class BreakersView(msgspec.Struct, frozen=True, kw_only=True):
    """Of the instance that happens to answer: a breaker is its process's own."""

    data: list[BreakerView]


@get("/breakers", summary="List circuit breakers", tags=["Databases (operator)"])
async def list_breakers(request: ApiRequest) -> Reply[BreakersView]:
    """By name: Redis per use, and every service outside. The metrics tell the same of every instance."""
    require_operator(request)
    views = [
        BreakerView(name=one.name, state=one.state, for_seconds=round(one.since, 3), retry_in=round(one.retry_in, 3))
        for one in breakers()
    ]
    return Reply(encode_json(BreakersView(data=views)))


router = Router("/v1", route_handlers=[list_breakers])
