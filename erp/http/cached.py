"""Reads answered from the cache: the same permission, parameters, headers and errors as without it."""

from collections.abc import Callable
from typing import Any, TypeVar

from db.consistency import PRIMARY_ONLY
from db.statement import Bound
from erp.http.answers import Headers, Reply
from erp.http.commands import encode_json
from erp.http.parameters import refuse_unknown_parameters
from erp.http.preconditions import etag
from erp.http.request import ApiRequest
from erp.kernel.errors import NotFound
from fleet.configuration.keys import Key
from tenancy.cache.entries import Entry
from tenancy.cache.memory import Cached
from tenancy.cache.service import Load

R = TypeVar("R")


async def show_cached(
    request: ApiRequest,
    permission: str,
    entry: Entry,
    ttl: Key[float],
    statement: Bound[R],
    view: Callable[[R], Any],
    **missing: Any,
) -> Reply[Any]:
    """One record with its ETag. Raises Forbidden, UnknownField, and NotFound with the facts of `missing`."""
    request.caller.require(permission)
    refuse_unknown_parameters(request)
    version, _, body = (await cached_record(request, entry, ttl, statement, view, **missing)).partition(b"\n")
    headers: Headers = [(b"etag", etag(int(version)).encode())]
    return Reply(body, 200, headers)


async def cached_record(
    request: ApiRequest, entry: Entry, ttl: Key[float], statement: Bound[R], view: Callable[[R], Any], **missing: Any
) -> bytes:
    """The record's version, a line feed and its JSON. Raises NotFound with the facts of `missing`."""
    database, caller = request.database, request.caller

    async def load(after: int | None) -> tuple[bytes, int]:
        (rows,), seen = await database.read_with_position(caller, statement, consistency=after)
        if not rows:
            return b"", seen
        shown = view(rows[0])
        return b"%d\n%b" % (shown.version, encode_json(shown)), seen

    cached = await through_cache(request, entry, ttl, load)
    if not cached.value:
        raise NotFound(**missing)
    return cached.value


async def through_cache(request: ApiRequest, entry: Entry, ttl: Key[float], load: Load) -> Cached:
    """The entry as this caller may see it: with their own writes, and what their Consistency-Token names."""
    context = request.context
    position = request.read_position
    seconds = context.services.configuration.get(ttl, request.caller.tenant.id if ttl.per_tenant else None)
    cached = await context.services.cache.get(request.caller.tenant.id, entry, position, seconds, load)
    if b"consistency-token" in context.headers:
        named = 0 if position in (None, PRIMARY_ONLY) else position
        context.position = max(cached.seen, named or 0)
    return cached
