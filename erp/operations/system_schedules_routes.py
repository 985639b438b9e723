"""The system's own scheduled tasks over HTTP, for the platform's operator."""

from datetime import UTC, datetime
from typing import Any

from litestar import Router, get, patch, post

from db.two_phase import MAIN
from erp.http.answers import Reply
from erp.http.commands import Command, encode_json, show
from erp.http.listing import read_limit
from erp.http.parameters import query_of, unknown_parameter
from erp.http.preconditions import expected_version
from erp.http.request import ApiRequest
from erp.operations.operator_trail import record
from erp.operations.system_schedules import (
    change_system_schedule,
    request_run,
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

#: None in batches: the system's tasks are nobody's business transaction.
COMMANDS: tuple[Command, ...] = ()

_KNOWN = frozenset({"database", "limit", "cursor"})


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
    require_operator(request)
    expected = expected_version(request, "required")

    async def recorded(before: dict[str, Any], after: dict[str, Any]) -> None:
        target, facts = _target(database, name), {"database": database, "task": name, **after}
        await record(request.database, request.caller, "system_schedule.change", target, facts, before)

    return show(await change_system_schedule(platform_named(request, database), name, data, expected, recorded))


@post("/system-schedules/{name:str}/run", status_code=202, summary="Run a task of the system now")
async def run_system_schedule(
    request: ApiRequest, name: str, data: RunSystemScheduleInput | None = None, database: str = MAIN
) -> Reply[RequestedRunView]:
    """The leader runs it within seconds, also when it is not enabled; asked again before that, it runs once."""
    require_operator(request)
    facts = {"database": database, "task": name, "reason": (data.reason or None) if data else None}

    async def recorded() -> None:
        await record(request.database, request.caller, "system_schedule.run", _target(database, name), facts)

    return Reply(encode_json(await request_run(platform_named(request, database), name, recorded)), 202)


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


def _target(database: str, name: str) -> tuple[str, str]:
    return "system_schedule", f"{database}/{name}"


HANDLERS = [list_system_schedules, get_system_schedule, patch_system_schedule, run_system_schedule, list_system_runs]
router = Router("/v1", route_handlers=HANDLERS, tags=["Schedules (operator)"])
