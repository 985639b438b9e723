"""Schedules over HTTP."""

from typing import Any
from uuid import UUID

from litestar import Router, delete, get, patch, post

from erp.http.answers import Reply
from erp.http.commands import Command, perform, read_one, read_rows, show
from erp.http.listing import Page, list_page
from erp.http.request import ApiRequest
from erp.kernel.errors import NotFound
from erp.scheduling import service
from erp.scheduling.queries import RUNS_OF_ONE, SCHEDULE, SCHEDULES
from erp.scheduling.schemas import (
    CreateScheduleInput,
    ScheduleRunView,
    ScheduleSummary,
    ScheduleView,
    UpdateScheduleInput,
)
from erp.scheduling.views import run_view, schedule_summary, schedule_view

_READ, _WRITE = "schedules:read", "schedules:write"
CREATE = Command("schedules.create", service.create_schedule, _WRITE, CreateScheduleInput, status=201)
UPDATE = Command(
    "schedules.update", service.update_schedule, _WRITE, UpdateScheduleInput, target=True, match="required"
)
DELETE = Command(
    "schedules.delete", service.delete_schedule, _WRITE, target=True, match="accepted", status=204
)  # fmt: skip
RUN = Command("schedules.run", service.run_schedule, _WRITE, target=True, status=202, key="required")
COMMANDS = (CREATE, UPDATE, DELETE, RUN)


@post("/schedules", summary="Create a schedule")
async def create_schedule(request: ApiRequest, data: CreateScheduleInput) -> Reply[ScheduleView]:
    """Work that runs by the clock, once a moment of its cron expression. You need the permission for what it does.

    A local time that does not exist, when clocks go forward, runs at the first moment after; one that exists twice
    runs the first time.
    """
    return await perform(request, CREATE, data)


@patch("/schedules/{schedule_id:uuid}", summary="Change a schedule")
async def update_schedule(request: ApiRequest, schedule_id: UUID, data: UpdateScheduleInput) -> Reply[ScheduleView]:
    """Only the fields that are sent change."""
    return await perform(request, UPDATE, data, schedule_id)


@delete("/schedules/{schedule_id:uuid}", summary="Remove a schedule")
async def delete_schedule(request: ApiRequest, schedule_id: UUID) -> Reply[None]:
    """With the history of its runs. Work it has asked for already goes on."""
    return await perform(request, DELETE, target=schedule_id)


@post("/schedules/{schedule_id:uuid}/run", status_code=202, summary="Run a schedule now")
async def run_schedule(request: ApiRequest, schedule_id: UUID) -> Reply[ScheduleRunView]:
    """Beside its moments, enabled or not. While a run of it is not over, that run is the answer."""
    return await perform(request, RUN, target=schedule_id)


@get("/schedules/{schedule_id:uuid}", summary="Read a schedule")
async def get_schedule(request: ApiRequest, schedule_id: UUID) -> Reply[ScheduleView]:
    found = await read_one(request, _READ, SCHEDULE(schedule_id=schedule_id), schedule_id=schedule_id)
    return show(schedule_view(found))


@get("/schedules", summary="List schedules", opt={"listing": SCHEDULES})
async def list_schedules(request: ApiRequest) -> Reply[Page[ScheduleSummary]]:
    page: Reply[Any] = await list_page(request, _READ, SCHEDULES, schedule_summary)
    return page


@get("/schedules/{schedule_id:uuid}/runs", summary="List the runs of a schedule", opt={"listing": RUNS_OF_ONE})
async def list_runs(request: ApiRequest, schedule_id: UUID) -> Reply[Page[ScheduleRunView]]:
    """Newest first, of the last 30 days: when each was due, why it ran, and what came of it."""
    request.caller.require(_READ)
    [found] = await read_rows(request, SCHEDULE(schedule_id=schedule_id))
    if not found:
        raise NotFound(schedule_id=str(schedule_id))
    page: Reply[Any] = await list_page(request, _READ, RUNS_OF_ONE, run_view, schedule_id=schedule_id)
    return page


router = Router(
    "/v1",
    route_handlers=[
        create_schedule, update_schedule, delete_schedule, run_schedule, get_schedule, list_schedules, list_runs,
    ],
    tags=["Schedules"],
)  # fmt: skip
