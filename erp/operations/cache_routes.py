"""The cache over HTTP: how this instance's stands, and dropping what is cached."""

import msgspec
from litestar import Router, get, post

from erp.http.answers import Reply
from erp.http.cache_tags import STRATEGIES
from erp.http.commands import Command, encode_json, perform
from erp.http.parameters import refuse_unknown_parameters
from erp.http.request import ApiRequest
from erp.operations.cache import Keepers, record_invalidation
from erp.operations.cache_schemas import CacheView, InvalidateCacheInput, InvalidatedCacheView

INVALIDATE = Command("cache.invalidate", record_invalidation, "cache:write", InvalidateCacheInput)

#: None in batches and streams: what is recorded is then done, by the route.
COMMANDS: tuple[Command, ...] = ()


@get("/cache", summary="Read the state of the cache", tags=["Operations"])
async def get_cache(request: ApiRequest) -> Reply[CacheView]:
    """Of the instance that happens to answer."""
    request.caller.require("cache:read")
    refuse_unknown_parameters(request)
    cache = request.context.services.cache
    view = CacheView(
        entries=cache.kept, listening=cache.listening, degraded=cache.degraded, strategies=sorted(STRATEGIES)
    )
    return Reply(encode_json(view))


@post("/cache/invalidations", status_code=200, summary="Drop cached answers", tags=["Operations"])
async def invalidate_cache(request: ApiRequest, data: InvalidateCacheInput) -> Reply[InvalidatedCacheView]:
    """For when a table was changed by hand: every change through the API drops what it must by itself.

    503 when somebody who keeps such answers does not answer: then repeat it.
    """
    recorded = await perform(request, INVALIDATE, data)
    if recorded.status == 200:
        services, tags = request.context.services, msgspec.json.decode(recorded.body, type=InvalidatedCacheView).tags
        keepers = Keepers(services.cache, services.gatekeeper, services.instance)
        await keepers.drop(request.caller.tenant.id, tags, request.context.committed)
    return recorded


router = Router("/v1", route_handlers=[get_cache, invalidate_cache])
