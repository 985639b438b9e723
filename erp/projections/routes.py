"""Projections and the bus over HTTP: their state, rebuilding, replaying, dead letters."""

import asyncio
from typing import Any
from uuid import UUID

from litestar import Router, get, post

from db.errors import DomainError
from erp.http.answers import Reply
from erp.http.commands import Command, encode_json, perform, read, read_one, show
from erp.http.listing import Page, list_page
from erp.http.request import ApiRequest
from erp.kernel.errors import NotFound
from erp.projections import reports, service
from erp.projections.consumers import CONSUMERS
from erp.projections.queries import CONSUMERS_SEEN, FAILURE, FAILURES, STATE
from erp.projections.schemas import (
    BuildView,
    ConsumersView,
    ConsumerView,
    DeadLetterView,
    DecideInput,
    ProjectionsView,
    ProjectionView,
    RebuildInput,
    ReplayInput,
)
from erp.projections.views import dead_letter_view, projection_view
from erp.tenants.operator_routes import require_operator

_READ, _OPERATE = "events:read", "events:operate"
_OPERATIONS = "/v1/operations"
REBUILD = Command(
    "projections.rebuild", service.rebuild_projection, _OPERATE, RebuildInput, status=202, made_in=_OPERATIONS
)
REPLAY = Command("event_replays.start", service.replay_events, _OPERATE, ReplayInput, status=202, made_in=_OPERATIONS)
RETRY = Command(
    "dead_letters.replay", service.replay_dead_letter, _OPERATE, DecideInput, target=True, match="accepted",
    key="required",
)  # fmt: skip
DISCARD = Command(
    "dead_letters.discard", service.discard_dead_letter, _OPERATE, DecideInput, target=True, match="accepted",
    key="required",
)  # fmt: skip
COMMANDS = (REBUILD, REPLAY, RETRY, DISCARD)


@get("/projections", summary="List projections")
async def list_projections(request: ApiRequest) -> Reply[ProjectionsView]:
    """The read models, how old what they show may be, and what is being built."""
    consumers = list(CONSUMERS.values())
    rows = await read(request, _READ, *(STATE(consumer=one.name) for one in consumers))
    return show(
        ProjectionsView(data=[projection_view(one, row[0]) for one, row in zip(consumers, rows, strict=True)])
    )


@get("/projections/{projection:str}", summary="Read a projection's state")
async def get_projection(request: ApiRequest, projection: str) -> Reply[ProjectionView]:
    """`age_seconds` bounds how far it is behind the documents."""
    [rows] = await read(request, _READ, STATE(consumer=projection[:64]))
    if (consumer := CONSUMERS.get(projection)) is None:
        raise NotFound(projection=projection[:64])
    return show(projection_view(consumer, rows[0]))


@post("/projection-rebuilds", summary="Rebuild a projection", status_code=202)
async def rebuild_projection(request: ApiRequest, data: RebuildInput) -> Reply[BuildView]:
    """From zero, beside the one that is shown and goes on following; shown in its place when it is complete.

    The operation tells how many events are read, and may be cancelled between two batches: what is shown stays.
    """
    return await perform(request, REBUILD, data)


@post("/event-replays", summary="Replay events to a consumer", status_code=202)
async def replay_events(request: ApiRequest, data: ReplayInput) -> Reply[BuildView]:
    """A part of history once more, from PostgreSQL, as an operation. For consumers that an event told again does not
    change."""
    return await perform(request, REPLAY, data)


@get("/dead-letters", summary="List dead letters", opt={"listing": FAILURES})
async def list_dead_letters(request: ApiRequest) -> Reply[Page[DeadLetterView]]:
    """Events a consumer could not take; `?state=dead` for those that wait for a decision."""
    page: Reply[Any] = await list_page(request, _READ, FAILURES, dead_letter_view)
    return page


@get("/dead-letters/{dead_letter_id:uuid}", summary="Read a dead letter")
async def get_dead_letter(request: ApiRequest, dead_letter_id: UUID) -> Reply[DeadLetterView]:
    """The event, the consumer and why it could not be applied."""
    found = await read_one(request, _READ, FAILURE(dead_letter_id=dead_letter_id), dead_letter_id=dead_letter_id)
    return show(dead_letter_view(found))


@post("/dead-letters/{dead_letter_id:uuid}/replay", summary="Replay a dead letter", status_code=200)
async def replay_dead_letter(request: ApiRequest, dead_letter_id: UUID, data: DecideInput) -> Reply[DeadLetterView]:
    """Applies it now, once; when that fails it stays a dead letter."""
    return await perform(request, RETRY, data, dead_letter_id)


@post("/dead-letters/{dead_letter_id:uuid}/discard", summary="Discard a dead letter", status_code=200)
async def discard_dead_letter(request: ApiRequest, dead_letter_id: UUID, data: DecideInput) -> Reply[DeadLetterView]:
    """Leaves it out; the read model then lacks it until it is rebuilt."""
    return await perform(request, DISCARD, data, dead_letter_id)


@get("/event-consumers", summary="List consumers of events", tags=["Events (operator)"])
async def list_consumers(request: ApiRequest) -> Reply[ConsumersView]:
    """How far each has confirmed in each database that answers, and what it could not take."""
    require_operator(request)
    platforms = request.context.services.platforms.all
    asked = await asyncio.gather(*(one.ask(CONSUMERS_SEEN()) for one in platforms.values()), return_exceptions=True)
    found = []
    for name, answer in zip(platforms, asked, strict=True):
        if isinstance(answer, BaseException):
            if not isinstance(answer, DomainError | OSError):
                raise answer
            continue
        found += [
            ConsumerView(
                name=row[0], database=name, xid=row[1], position=row[2], confirmed_at=row[3],
                age_seconds=round(max(0.0, row[4]), 3), dead_letters=row[5], waiting=row[6],
            )
            for row in answer[0]
        ]  # fmt: skip
    return Reply(encode_json(ConsumersView(data=found)))


router = Router(
    "/v1",
    route_handlers=[
        list_projections, get_projection, rebuild_projection, replay_events, list_dead_letters, get_dead_letter,
        replay_dead_letter, discard_dead_letter, list_consumers, *reports.HANDLERS,
    ],
    tags=["Projections"],
)  # fmt: skip
