"""Locks over HTTP: who holds what, and force release for those who may."""

from dataclasses import replace

import msgspec
from litestar import Router, get, post

from erp.http.answers import Reply
from erp.http.commands import Command, encode_json, perform
from erp.http.listing import read_limit
from erp.http.parameters import query_of, refuse_unknown_parameters, unknown_parameter
from erp.http.request import ApiRequest
from erp.kernel.errors import NotFound
from erp.operations.locks import LockRelease, checked, held_lock, held_locks, lock_view, open_lock
from erp.operations.locks_schemas import LocksView, LockView, ReleasedLockView, ReleaseLockInput

_READ = "locks:read"


async def _never(*_: object) -> None:
    raise AssertionError("the route puts the command in, which needs the lock service of its instance")


RELEASE = Command("locks.release", _never, "locks:release", ReleaseLockInput)

#: None in batches and streams: opening a lock concerns one instance's view of one name.
COMMANDS: tuple[Command, ...] = ()

_KNOWN = frozenset({"limit", "cursor"})


@get("/locks", summary="List held locks", tags=["Operations"])
async def list_locks(request: ApiRequest) -> Reply[LocksView]:
    """The locks commands of your tenant hold at this moment, by name, 200 a page at most.

    Locks only keep commands from waiting inside the database; seeing none is normal.
    """
    caller = request.caller
    caller.require(_READ)
    query = query_of(request.scope)
    for name in query:
        if name not in _KNOWN:
            raise unknown_parameter(name, _KNOWN)
    cursors, scope = request.context.services.cursors, caller.tenant.id.bytes + b"/locks"
    after = cursors.open(scope, query["cursor"]).decode() if "cursor" in query else ""
    limit = read_limit(query.get("limit"))
    found = await held_locks(request.context.services.locks, caller.tenant.id, limit + 1, after)
    shown, more = found.locks[:limit], len(found.locks) > limit
    following = cursors.seal(scope, shown[-1].name.encode()) if more else None
    page = LocksView(
        data=[lock_view(one) for one in shown], has_more=more, next_cursor=following,
        complete=found.complete or more,
    )  # fmt: skip
    return Reply(encode_json(page))


@get("/locks/{name:str}", summary="Read a held lock", tags=["Operations"])
async def get_lock(request: ApiRequest, name: str) -> Reply[LockView]:
    caller = request.caller
    caller.require(_READ)
    refuse_unknown_parameters(request)
    found = await held_lock(request.context.services.locks, caller.tenant.id, name)
    if found is None:
        raise NotFound(name=name)
    return Reply(encode_json(lock_view(found)))


@post("/locks/{name:str}/release", status_code=200, summary="Force a lock open", tags=["Operations"])
async def release_lock(request: ApiRequest, name: str, data: ReleaseLockInput) -> Reply[ReleasedLockView]:
    """For a lock whose holder hangs. The holder's transaction goes on; the database's own locks decide."""
    locks = request.context.services.locks
    recorded = await perform(request, replace(RELEASE, run=LockRelease(locks, checked(name))), data)
    if recorded.status == 200:
        view = msgspec.json.decode(recorded.body, type=ReleasedLockView)
        await open_lock(locks, request.caller.tenant.id, view)
    return recorded


router = Router("/v1", route_handlers=[list_locks, get_lock, release_lock])
