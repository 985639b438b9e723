"""The system's own scheduled tasks over HTTP, for the platform's operator."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from litestar import Router, get, patch, post
from msgspec import Struct

from db.two_phase import MAIN
from erp.http.answers import Reply
from erp.http.commands import Command, encode_json, perform, show
from erp.http.listing import read_limit
from erp.http.parameters import query_of, unknown_parameter
from erp.http.request import ApiRequest
from erp.operations.operator_trail import note, record
from erp.operations.system_schedules import (
    ChangeSchedule,
    Record,
    RequestRun,
    runs_of,
    system_schedule,
    system_schedules_of,
)
from erp.operations.system_schedules_schemas import (
    ChangeSystemScheduleInput,
    RequestedRunView,
    RunSystemScheduleInput,
    SystemRunsView,
    SystemSchedulesView,
    SystemScheduleView,
)
from erp.tenants.operator_routes import platform_named, require_operator
from tenancy.work import UnitOfWork

#: None in batches: the system's tasks are nobody's business transaction.
COMMANDS: tuple[Command, ...] = ()

_KNOWN = frozenset({"database", "limit", "cursor"})


async def _never(*_: object) -> None:
    raise AssertionError("the route puts the command in, which needs to know where its trail is kept")


_CHANGE = Command(
    "system_schedule.change", _never, "platform:write", ChangeSystemScheduleInput, match="required"
)  # fmt: skip
_RUN = Command("system_schedule.run", _never, "platform:write", RunSystemScheduleInput, status=202)


@get("/system-schedules", summary="List the system's scheduled tasks")
async def list_system_schedules(request: ApiRequest, database: str = MAIN) -> Reply[SystemSchedulesView]:
    """Of one database: each has its own leader and its own tasks."""
    require_operator(request)
    data = await system_schedules_of(platform_named(request, database))
    return Reply(encode_json(SystemSchedulesView(database=database, data=data)))


@get("/system-schedules/{name:str}", summary="Read a scheduled task of the system")
async def get_system_schedule(request: ApiRequest, name: str, database: str = MAIN) -> Reply[SystemScheduleView]:
    require_operator(request)
    return show(await system_schedule(platform_named(request, database), name))


@patch("/system-schedules/{name:str}", summary="Change when a task of the system runs")
async def patch_system_schedule(
    request: ApiRequest, name: str, data: ChangeSystemScheduleInput, database: str = MAIN
) -> Reply[SystemScheduleView]:
    """Its leader follows within seconds. `null` takes back what the code declares."""
    command = replace(_CHANGE, run=ChangeSchedule(name, _keeping(request, _CHANGE, database, name)))
    return await _perform(request, command, data, database)


@post("/system-schedules/{name:str}/run", status_code=202, summary="Run a task of the system now")
async def run_system_schedule(
    request: ApiRequest, name: str, data: RunSystemScheduleInput | None = None, database: str = MAIN
) -> Reply[RequestedRunView]:
    """The leader runs it within seconds, also when it is not enabled; asked again before that, it runs once."""
    command = replace(_RUN, run=RequestRun(name, _keeping(request, _RUN, database, name)))
    return await _perform(request, command, data, database)


async def _perform(request: ApiRequest, command: Command, data: Struct | None, database: str) -> Reply[Any]:
    require_operator(request)
    platform_named(request, database)
    return await perform(request, command, data, database=database)


def _keeping(request: ApiRequest, command: Command, database: str, name: str) -> Record:
    """In the operator's trail in the main database: in the change's own transaction there, before it elsewhere."""
    target = "system_schedule", f"{database}/{name}"

    async def keep(work: UnitOfWork, after: dict[str, Any], before: dict[str, Any] | None) -> None:
        facts = {"database": database, "task": name, **after}
        if database == MAIN:
            note(work, command.name, target, facts, before)
        else:
            await record(request.database, request.caller, command.name, target, facts, before)

    return keep


@get("/system-schedules/{name:str}/runs", summary="List the runs of a task of the system")
async def list_system_runs(
    request: ApiRequest, name: str, database: str = MAIN, limit: str | None = None, cursor: str | None = None
) -> Reply[SystemRunsView]:
    """Newest first, of the last 30 days."""
    require_operator(request, parameters=False)
    for parameter in query_of(request.scope):
        if parameter not in _KNOWN:
            raise unknown_parameter(parameter, _KNOWN)
    cursors, scope = request.context.services.cursors, f"{database}/system-schedules/{name}".encode()
    before = datetime.now(UTC).replace(year=9999)
    if cursor is not None:
        before = datetime.fromisoformat(cursors.open(scope, cursor).decode())
    most = read_limit(limit)
    found = await runs_of(platform_named(request, database), name, before, most + 1)
    shown, more = found[:most], len(found) > most
    following = cursors.seal(scope, shown[-1].slot.isoformat().encode()) if more else None
    return Reply(encode_json(SystemRunsView(data=shown, has_more=more, next_cursor=following)))


HANDLERS = [list_system_schedules, get_system_schedule, patch_system_schedule, run_system_schedule, list_system_runs]
router = Router("/v1", route_handlers=HANDLERS, tags=["Schedules (operator)"])
