"""Instances of the fleet over HTTP, for the platform's operator."""

from dataclasses import replace
from typing import Any

from litestar import Router, get, post
from msgspec import Struct

from erp.http.answers import Reply
from erp.http.commands import Command, encode_json, perform
from erp.http.listing import read_limit
from erp.http.parameters import query_of, unknown_parameter
from erp.http.request import ApiRequest
from erp.operations.features import active_features
from erp.operations.instances import (
    Recording,
    answers_view,
    cluster_view,
    draining_alone,
    found,
    instance_view,
    known,
    refuse_last,
)
from erp.operations.instances_errors import NoInstance
from erp.operations.instances_schemas import (
    AnswersView,
    ChosenInput,
    ClusterView,
    DiagnosticsView,
    DrainedView,
    DrainInput,
    FleetLogLevelInput,
    InstancesView,
    InstanceView,
    LogLevelInput,
    ReloadInput,
    UndrainInput,
)
from erp.tenants.operator_routes import require_operator
from fleet.instances.instance import DIAGNOSE, DRAIN, LOG, RELOAD, UNDRAIN, Instance
from fleet.instances.selection import Chooser

_WRITE = "platform:write"
_KNOWN = frozenset({"limit", "cursor", "role"})
#: Seconds to wait for what an instance has to collect.
_LONG = 8.0

#: None in batches: what an instance is told is nobody's business transaction.
COMMANDS: tuple[Command, ...] = ()

_chooser = Chooser()


async def _never(*_: object) -> None:
    raise AssertionError("the route puts in what is recorded")


def _command(name: str, data: type[Struct] | None = None) -> Command:
    return Command(f"instances.{name}", _never, _WRITE, data)


_DRAIN = _command("drain", DrainInput)
_UNDRAIN = _command("undrain", UndrainInput)
_RELOAD_ONE = _command("reload_configuration")
_RELOAD = _command("reload_configuration_of_all", ReloadInput)
_LOG_ONE = _command("log_level", LogLevelInput)
_LOG = _command("log_level_of_all", FleetLogLevelInput)
_DIAGNOSE_ONE = _command("diagnostics")
_DIAGNOSE = _command("diagnostics_of_one", ChosenInput)


async def _record(request: ApiRequest, command: Command, data: Struct | None, target: str, **facts: Any) -> None:
    """In the operator's trail, before anybody is told. Repeated with the same key, it is said again: no harm."""
    await perform(request, replace(command, run=Recording(command.name.partition(".")[2], target, **facts)), data)


def _here(request: ApiRequest) -> Instance:
    return request.context.services.instance


@get("/instances", summary="List instances")
async def list_instances(request: ApiRequest) -> Reply[InstancesView]:
    """Every process that was heard of in the last twenty seconds, by id; of one role with `role`."""
    require_operator(request, parameters=False)
    query = query_of(request.scope)
    for name in query:
        if name not in _KNOWN:
            raise unknown_parameter(name, _KNOWN)
    cursors, role = request.context.services.cursors, query.get("role")
    scope = b"/instances\n" + (role or "").encode()
    after = cursors.open(scope, query["cursor"]).decode() if "cursor" in query else ""
    limit, roll = read_limit(query.get("limit")), await _here(request).registry.roll()
    members = [one for one in roll.of_role(role) if one.id > after]
    shown, more = members[:limit], len(members) > limit
    view = InstancesView(
        data=[instance_view(one) for one in shown], has_more=more,
        next_cursor=cursors.seal(scope, shown[-1].id.encode()) if more else None,
        complete=roll.whole, degraded=roll.degraded,
    )  # fmt: skip
    return Reply(encode_json(view))


@get("/instances/{instance:str}", summary="Read an instance")
async def get_instance(request: ApiRequest, instance: str) -> Reply[InstanceView]:
    """By its id, or by its name: then the one of that name that was started last."""
    require_operator(request)
    member, _ = await found(_here(request), instance)
    return Reply(encode_json(instance_view(member)))


@get("/cluster", summary="Read the state of the fleet")
async def get_cluster(request: ApiRequest) -> Reply[ClusterView]:
    """Instances, releases and load by role. Empty and `degraded` while Redis is away; requests are served anyway."""
    require_operator(request)
    roll = await _here(request).registry.roll()
    return Reply(encode_json(cluster_view(roll, active_features(request.context.services.configuration))))


@post("/instances/{instance:str}/drain", status_code=200, summary="Drain an instance")
async def drain_instance(request: ApiRequest, instance: str, data: DrainInput) -> Reply[DrainedView]:
    """It is not ready any more, fetches no more jobs, gives the lead up, and finishes what it has begun.

    Refused for the last ready instance of its role, unless with `force`. A restart ends it as well.
    """
    require_operator(request)
    member, _ = await found(_here(request), instance)
    services = request.context.services

    async def drain() -> Reply[DrainedView]:
        if not data.force:
            refuse_last(member, await known(_here(request)))
        await _record(request, _DRAIN, data, member.id)
        return _drained(member.id, await _here(request).bus.ask(member.id, DRAIN, {"reason": data.reason}))

    return await draining_alone(services.locks, services.platform, request.caller.tenant.id, member.about.role, drain)


@post("/instances/{instance:str}/undrain", status_code=200, summary="End the draining of an instance")
async def undrain_instance(request: ApiRequest, instance: str, data: UndrainInput) -> Reply[DrainedView]:
    require_operator(request)
    member, _ = await found(_here(request), instance)
    await _record(request, _UNDRAIN, data, member.id)
    return _drained(member.id, await _here(request).bus.ask(member.id, UNDRAIN, {"reason": data.reason}))


def _drained(instance: str, answer: dict[str, Any]) -> Reply[DrainedView]:
    return Reply(encode_json({"instance": instance, **answer}))


@post("/instances/{instance:str}/reload-configuration", status_code=200, summary="Have an instance read it again")
async def reload_instance(request: ApiRequest, instance: str) -> Reply[AnswersView]:
    """All of the configuration from the database, now. It follows changes by itself; this is for when in doubt."""
    require_operator(request)
    member, roll = await found(_here(request), instance)
    await _record(request, _RELOAD_ONE, None, member.id)
    answers = await _here(request).bus.ask_all([member.id], RELOAD, timeout=_LONG)
    return Reply(encode_json(answers_view(answers, roll)))


@post("/cluster/reload-configuration", status_code=200, summary="Have every instance read the configuration again")
async def reload_all(request: ApiRequest, data: ReloadInput) -> Reply[AnswersView]:
    """With what each of them works with afterwards."""
    require_operator(request)
    roll = await known(_here(request))
    await _record(request, _RELOAD, data, data.role or "all")
    asked = [one.id for one in roll.of_role(data.role)]
    answers = await _here(request).bus.ask_all(asked, RELOAD, timeout=_LONG)
    return Reply(encode_json(answers_view(answers, roll)))


@post("/instances/{instance:str}/log-level", status_code=200, summary="Change an instance's log level for a while")
async def set_log_level(request: ApiRequest, instance: str, data: LogLevelInput) -> Reply[AnswersView]:
    """An hour at most; then the configured level holds again. 0 seconds end it now."""
    require_operator(request)
    member, roll = await found(_here(request), instance)
    await _record(request, _LOG_ONE, data, member.id)
    body = {"level": data.level, "seconds": data.seconds}
    answers = await _here(request).bus.ask_all([member.id], LOG, body)
    return Reply(encode_json(answers_view(answers, roll)))


@post("/cluster/log-level", status_code=200, summary="Change the log level of all or a role for a while")
async def set_all_log_levels(request: ApiRequest, data: FleetLogLevelInput) -> Reply[AnswersView]:
    """An hour at most; then the configured level holds again. 0 seconds end it now."""
    require_operator(request)
    roll = await known(_here(request))
    await _record(request, _LOG, data, data.role or "all")
    body = {"level": data.level, "seconds": data.seconds}
    answers = await _here(request).bus.ask_all([one.id for one in roll.of_role(data.role)], LOG, body)
    return Reply(encode_json(answers_view(answers, roll)))


@post("/instances/{instance:str}/diagnostics", status_code=200, summary="Collect an instance's diagnostics")
async def diagnose_instance(request: ApiRequest, instance: str) -> Reply[DiagnosticsView]:
    """Where each of its tasks and threads stands, its connection pools, its memory. Places in the code, no values."""
    require_operator(request)
    member, _ = await found(_here(request), instance)
    await _record(request, _DIAGNOSE_ONE, None, member.id)
    return await _diagnosed(request, member.id)


@post("/cluster/diagnostics", status_code=200, summary="Collect the diagnostics of one instance of a role")
async def diagnose_one(request: ApiRequest, data: ChosenInput) -> Reply[DiagnosticsView]:
    """The one with the least to do, the next in turn, or any."""
    require_operator(request)
    roll = await known(_here(request))
    in_turn = _here(request).registry.in_turn
    member = await _chooser.choose(roll.of_role(data.role), data.selection, data.role, in_turn)
    if member is None:
        raise NoInstance(role=data.role)
    await _record(request, _DIAGNOSE, data, member.id)
    return await _diagnosed(request, member.id)


async def _diagnosed(request: ApiRequest, instance: str) -> Reply[DiagnosticsView]:
    answer = await _here(request).bus.ask(instance, DIAGNOSE, timeout=_LONG)
    return Reply(encode_json(DiagnosticsView(instance=instance, diagnostics=answer)))


router = Router(
    "/v1",
    route_handlers=[
        list_instances, get_instance, get_cluster, drain_instance, undrain_instance, reload_instance, reload_all,
        set_log_level, set_all_log_levels, diagnose_instance, diagnose_one,
    ],
    tags=["Fleet (operator)"],
)  # fmt: skip
