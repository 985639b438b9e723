"""`erp instances ...`: who runs in the fleet, and telling instances what to do, through the public API."""

from typing import Annotated, Any
from urllib.parse import quote

import typer

from erp.operations.service_cli import Raw, Why, ask, choose_as_operator, console, print_json, table

instances = typer.Typer(
    no_args_is_help=True, help="The processes of the fleet: who lives, how they do, what they do."
)
instances.callback()(choose_as_operator)

Name = Annotated[str, typer.Argument(metavar="INSTANCE", help="Id or name, as `erp instances list` shows it.")]
OfRole = Annotated[str, typer.Option(help="Only those of this role.")]


@instances.command("list")
def list_instances(context: typer.Context, role: OfRole = "", as_json: Raw = False) -> None:
    """Everybody who was heard of lately. Exit code 1: the registry is away or somebody may be missing."""
    asked = {"limit": "200", **({"role": role} if role else {})}

    async def everybody(api: Any) -> dict[str, Any]:
        page: dict[str, Any] = await api.get("/v1/instances", **asked)
        found = page["data"]
        while page["has_more"]:
            page = await api.get("/v1/instances", **asked, cursor=page["next_cursor"])
            found += page["data"]
        return {**page, "data": found}

    found = ask(context, everybody)
    if as_json:
        print_json(found)
    else:
        shown = table("instance", "role", "state", "release", "work", "cpu", "MiB", "pool", "silent")
        for one in found["data"]:
            load = one["load"]
            shown.add_row(
                one["id"], one["role"], one["state"], one["version"], str(load["requests"] + load["jobs"]),
                f"{load['cpu']:.2f}", f"{load['memory_mib']:.0f}", f"{load['pool_used']}/{load['pool_size']}",
                f"{one['silent_for_seconds']:.0f} s",
            )  # fmt: skip
        console.print(shown)
    if not found["complete"]:
        console.print("[red]The registry is away, or was lost a moment ago: somebody may be missing.[/red]")
        raise typer.Exit(1)


@instances.command()
def show(context: typer.Context, instance: Name) -> None:
    """One instance, as JSON."""
    print_json(ask(context, lambda api: api.get(_path(instance))))


@instances.command()
def cluster(context: typer.Context) -> None:
    """The fleet by role and release, as JSON."""
    print_json(ask(context, lambda api: api.get("/v1/cluster")))


@instances.command()
def drain(
    context: typer.Context,
    instance: Name,
    reason: Why,
    force: Annotated[bool, typer.Option("--force", help="Also the last ready one of its role.")] = False,
) -> None:
    """Take an instance out: not ready, no more jobs, no lead; it finishes what it has begun."""
    body = {"reason": reason, "force": force}
    _state(ask(context, lambda api: api.post(_path(instance, "/drain"), body)))


@instances.command()
def undrain(context: typer.Context, instance: Name, reason: Why) -> None:
    """Put it back."""
    _state(ask(context, lambda api: api.post(_path(instance, "/undrain"), {"reason": reason})))


@instances.command("reload-configuration")
def reload_configuration(
    context: typer.Context,
    instance: Annotated[str, typer.Argument(help="Id or name; everybody unless given.")] = "",
    role: OfRole = "",
) -> None:
    """Have the configuration read again from the database. Exit code 1: somebody did not answer."""
    path = _path(instance, "/reload-configuration") if instance else "/v1/cluster/reload-configuration"
    body = {} if instance else {"role": role or None}
    _answers(ask(context, lambda api: api.post(path, body)), everybody=not instance)


@instances.command("log-level")
def log_level(
    context: typer.Context,
    level: str,
    reason: Why,
    instance: Annotated[str, typer.Option(help="Id or name; everybody unless given.")] = "",
    role: OfRole = "",
    seconds: Annotated[int, typer.Option(min=0, max=3600, help="For how long; 0 ends it now.")] = 300,
) -> None:
    """Another log level for a while. Exit code 1: somebody did not answer."""
    path = _path(instance, "/log-level") if instance else "/v1/cluster/log-level"
    body = {"level": level, "seconds": seconds, "reason": reason, **({} if instance else {"role": role or None})}
    _answers(ask(context, lambda api: api.post(path, body)), everybody=not instance)


@instances.command()
def diagnostics(
    context: typer.Context,
    instance: Annotated[str, typer.Argument(help="Id or name; without one, of --role one is chosen.")] = "",
    role: OfRole = "api",
    selection: Annotated[str, typer.Option(help="least_loaded, round_robin or random.")] = "least_loaded",
) -> None:
    """Where its tasks and threads stand, its pools, its memory, as JSON."""
    path = _path(instance, "/diagnostics") if instance else "/v1/cluster/diagnostics"
    body = {} if instance else {"role": role, "selection": selection}
    print_json(ask(context, lambda api: api.post(path, body)))


def _path(instance: str, action: str = "") -> str:
    return f"/v1/instances/{quote(instance, safe='')}{action}"


def _state(found: dict[str, Any]) -> None:
    print(f"{found['instance']}: {found['state']}, {found['requests']} requests and {found['jobs']} jobs under way")


def _answers(found: dict[str, Any], *, everybody: bool) -> None:
    for one in found["data"]:
        print(f"{one['instance']}: {one['problem'] or one['answer']}")
    overlooked = everybody and not found["complete"]
    if overlooked or any(one["problem"] for one in found["data"]):
        raise typer.Exit(1)
