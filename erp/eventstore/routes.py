"""The event store over HTTP: streams, appending, rebuilding, verifying."""

from datetime import datetime
from typing import Any
from uuid import UUID

from litestar import Router, get, post

from erp.eventstore import levels, orders, service
from erp.eventstore.errors import CannotRebuild
from erp.eventstore.folding import Until
from erp.eventstore.queries import EVENTS, STREAM_EVENTS, VERIFICATION, VERIFICATIONS
from erp.eventstore.rebuilding import Recipe, level_recipe, order_recipe
from erp.eventstore.repository import LEVEL, STREAM_VERSION
from erp.eventstore.schemas import (
    AppendedView,
    AppendInput,
    EventView,
    RebuiltView,
    StartVerificationInput,
    VerificationView,
)
from erp.eventstore.views import event_view, rebuilt_view, verification_view
from erp.http.answers import Reply
from erp.http.commands import Command, perform, read, read_one, read_rows, show
from erp.http.listing import Page, list_page
from erp.http.request import ApiRequest
from erp.kernel.errors import Invalid, NotFound

_READ = "events:read"
APPEND = Command("events.append", service.append_event, "events:write", AppendInput, status=201)
VERIFY = Command(
    "verifications.start",
    service.start_verification,
    "events:verify",
    StartVerificationInput,
    status=202,
    made_in="/v1/operations",
)
COMMANDS = (APPEND, VERIFY)


@get("/events", summary="List events", opt={"listing": EVENTS})
async def list_events(request: ApiRequest) -> Reply[Page[EventView]]:
    """All events of the tenant by position. Positions are taken before transactions end: a lower one may appear
    later. To follow everything without a gap, ask again from some minutes before the last one seen."""
    page: Reply[Any] = await list_page(request, _READ, EVENTS, event_view)
    return page


@post("/events", summary="Append an event")
async def append_event(request: ApiRequest, data: AppendInput) -> Reply[AppendedView]:
    """To a stream of your own, at the version you expect it to be at; refused when another came first."""
    return await perform(request, APPEND, data)


@get("/streams/{stream_id:uuid}/events", summary="Read a stream", opt={"listing": STREAM_EVENTS})
async def list_stream(request: ApiRequest, stream_id: UUID) -> Reply[Page[EventView]]:
    """The events of one aggregate in the order of their versions; its id is the stream's."""
    request.caller.require(_READ)
    [found] = await read_rows(request, STREAM_VERSION(aggregate_id=stream_id))
    if not found:
        raise NotFound(stream_id=str(stream_id))
    page: Reply[Any] = await list_page(request, _READ, STREAM_EVENTS, event_view, aggregate_id=stream_id)
    return page


@get("/streams/{stream_id:uuid}/state", summary="Rebuild a state from events")
async def rebuild_state(
    request: ApiRequest, stream_id: UUID, version: int | None = None, time: datetime | None = None
) -> Reply[RebuiltView]:
    """A sales order or stock level as it was at a version or a time; without either as it is now, compared with what
    is stored."""
    if version is not None and time is not None:
        raise Invalid("Ask for a version or a time, not both.", pointer="time", source="query")
    if time is not None and time.tzinfo is None:
        raise Invalid("A time has a zone: `2026-03-31T12:00:00Z`.", pointer="time", source="query")
    stream_type, (statements, rebuild) = await _recipe(request, stream_id, Until(version, time))
    rebuilt = rebuild(await read_rows(request, *statements))
    return show(rebuilt_view(stream_type, stream_id, rebuilt.folded, rebuilt.stored))


async def _recipe(request: ApiRequest, stream_id: UUID, until: Until) -> tuple[str, Recipe]:
    """What the id is of. Raises Forbidden, CannotRebuild for kinds that are not folded, NotFound."""
    places, found = await read(request, _READ, LEVEL(level_id=stream_id), STREAM_VERSION(aggregate_id=stream_id))
    if places:
        return levels.AGGREGATE, level_recipe(places[0], until)
    if not found:
        raise NotFound(stream_id=str(stream_id))
    [(_, kind)] = found
    if kind != orders.AGGREGATE:
        raise CannotRebuild(
            f"Streams of kind `{kind}` are read, not rebuilt.", rebuilt=[orders.AGGREGATE, levels.AGGREGATE]
        )
    return kind, order_recipe(stream_id, until)


@post("/verifications", summary="Verify streams or read models", status_code=202)
async def start_verification(request: ApiRequest, data: StartVerificationInput) -> Reply[VerificationView]:
    """An operation of the same id: it tells how far it is and may be cancelled. Read the verification to see what was
    found. Every tenant is also verified once a day."""
    return await perform(request, VERIFY, data)


@get("/verifications/{verification_id:uuid}", summary="Read a verification")
async def get_verification(request: ApiRequest, verification_id: UUID) -> Reply[VerificationView]:
    """What was compared, and the first difference by aggregate, field, stored and rebuilt value."""
    found = await read_one(
        request, _READ, VERIFICATION(verification_id=verification_id), verification_id=verification_id
    )
    return show(verification_view(found))


@get("/verifications", summary="List verifications", opt={"listing": VERIFICATIONS})
async def list_verifications(request: ApiRequest) -> Reply[Page[VerificationView]]:
    """Newest first; `?state=differs` for those that found something."""
    page: Reply[Any] = await list_page(request, _READ, VERIFICATIONS, verification_view)
    return page


router = Router(
    "/v1",
    route_handlers=[
        list_events, append_event, list_stream, rebuild_state, start_verification, get_verification,
        list_verifications,
    ],
    tags=["Events"],
)  # fmt: skip
