"""The cache over HTTP: how this instance's stands, and dropping what is cached."""

from dataclasses import replace

from litestar import Router, get, post

from erp.http.answers import Reply
from erp.http.cache_tags import STRATEGIES
from erp.http.commands import Command, encode_json, perform
from erp.http.parameters import refuse_unknown_parameters
from erp.http.request import ApiRequest
from erp.operations.cache import Invalidation
from erp.operations.cache_schemas import CacheView, InvalidateCacheInput, InvalidatedCacheView


async def _never(*_: object) -> None:
    raise AssertionError("the route puts the command in, which needs the cache of its instance")


INVALIDATE = Command("cache.invalidate", _never, "cache:write", InvalidateCacheInput)

#: None in batches and streams: the cache is the instance's, not the transaction's.
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
    """For when a table was changed by hand: every change through the API drops what it must by itself."""
    command = Invalidation(request.context.services.cache)
    return await perform(request, replace(INVALIDATE, run=command), data)


router = Router("/v1", route_handlers=[get_cache, invalidate_cache])
