"""`erp schedules ...`: what runs by the clock, a tenant's or, as the operator, the system's."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import quote
from uuid import uuid4

import typer

from erp.exchange.api import Api, ApiProblem
from erp.operations.service_cli import Raw, ask, choose_service, console, print_json, table

schedules = typer.Typer(no_args_is_help=True, help="What runs by the clock: the system's tasks, or one tenant's.")
schedules.callback()(choose_service)

Name = Annotated[str, typer.Argument(help="The schedule's name, as `list` shows it.")]


@dataclass(frozen=True, slots=True)
class Schedule:
    """One schedule: where it is, and as it is."""

    path: str
    now: dict[str, Any]
    system: bool


@schedules.command("list")
def list_schedules(context: typer.Context, as_json: Raw = False) -> None:
    """Every schedule with its rhythm and its next moment."""
    found = ask(context, _all)
    if as_json:
        return print_json(found)
    shown = table("name", "does", "when", "zone", "missed", "enabled", "next")
    for one in found:
        shown.add_row(
            one["name"], one.get("kind", ""), one["cron"] or f"every {one['every_seconds']:g} s",
            one["time_zone"] or "", one["missed"], "yes" if one["enabled"] else "no", _moment(one["next_at"]),
        )  # fmt: skip
    console.print(shown)
    return None


@schedules.command()
def runs(
    context: typer.Context,
    name: Name,
    limit: Annotated[int, typer.Option(min=1, max=200, help="How many, the newest first.")] = 20,
    as_json: Raw = False,
) -> None:
    """What ran, for which moment, why, and what came of it."""
    found = ask(context, _of(name, lambda api, one: api.get(f"{one.path}/runs", limit=str(limit))))["data"]
    if as_json:
        return print_json(found)
    shown = table("slot", "trigger", "missed", "outcome", "finished")
    for one in found:
        outcome = one["state"] if "state" in one else f"{one['affected'] or 0} affected"
        shown.add_row(_moment(one["slot"]), one["trigger"], str(one["missed"]), outcome, _moment(one["finished_at"]))
    console.print(shown)
    return None


@schedules.command()
def run(context: typer.Context, name: Name, reason: Annotated[str, typer.Option()] = "run by hand") -> None:
    """Run it now, once, beside its moments."""

    def post(api: Api, one: Schedule) -> Awaitable[Any]:
        return api.post(f"{one.path}/run", {"reason": reason} if one.system else {}, key=uuid4().hex)

    found = ask(context, _of(name, post))
    console.print(f"asked for: {found.get('id') or _moment(found.get('requested_at'))}")


@schedules.command()
def enable(context: typer.Context, name: Name, reason: Annotated[str, typer.Option()] = "enabled by hand") -> None:
    """Let it run again, from now on."""
    _change(context, name, {"enabled": True}, reason)


@schedules.command()
def disable(context: typer.Context, name: Name, reason: Annotated[str, typer.Option()] = "disabled by hand") -> None:
    """Let it rest; by hand it still runs."""
    _change(context, name, {"enabled": False}, reason)


@schedules.command()
def change(
    context: typer.Context,
    name: Name,
    cron: Annotated[str, typer.Argument(help="Five fields, in quotes.")],
    reason: Annotated[str, typer.Option()] = "changed by hand",
) -> None:
    """Give it another rhythm."""
    _change(context, name, {"cron": cron}, reason)


def _change(context: typer.Context, name: str, fields: dict[str, Any], reason: str) -> None:
    def patch(api: Api, one: Schedule) -> Awaitable[Any]:
        body = fields | ({"reason": reason} if one.system else {})
        return api.patch(one.path, body, version=one.now["version"])

    found = ask(context, _of(name, patch))
    console.print(f"{found['name']}: version {found['version']}, next {_moment(found['next_at']) or 'never'}")


async def _system(api: Api) -> bool:
    """Whose key it is: the operator's scope is the system."""
    found: str = (await api.get("/v1/configuration"))["scope"]
    return found == "system"


async def _all(api: Api) -> list[dict[str, Any]]:
    if await _system(api):
        found: list[dict[str, Any]] = (await api.get("/v1/system-schedules"))["data"]
        return found
    return [one async for one in api.every("/v1/schedules")]


def _of(name: str, work: Callable[[Api, Schedule], Awaitable[Any]]) -> Callable[[Api], Awaitable[Any]]:
    """The work on the schedule of this name. Raises ApiProblem."""

    async def found(api: Api) -> Any:
        if await _system(api):
            path = f"/v1/system-schedules/{quote(name, safe='')}"
            return await work(api, Schedule(path, await api.get(path), system=True))
        named = (await api.get("/v1/schedules", name=name))["data"]
        if not named:
            raise ApiProblem(f"There is no schedule called {name}.")
        return await work(api, Schedule(f"/v1/schedules/{named[0]['id']}", named[0], system=False))

    return found


def _moment(text: str | None) -> str:
    return text[:19].replace("T", " ") if text else ""
