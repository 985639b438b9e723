"""`erp config ...`: the configuration through the public API, a tenant's or, as the operator, the system's."""

import json
import sys
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote
from uuid import uuid4

import typer

from erp.exchange.api import Api
from erp.operations.service_cli import Raw, ask, choose_service, console, print_json
from erp.operations.service_cli import table as new_table

config = typer.Typer(no_args_is_help=True, help="What is configured: the system's values, or one tenant's.")

Reason = Annotated[str, typer.Option(help="Why; it is kept in the history.", prompt=True)]


config.callback()(choose_service)


@config.command("list")
def list_keys(context: typer.Context, as_json: Raw = False) -> None:
    """Every key of the scope with the value that holds and where it comes from."""
    found = ask(context, lambda api: api.get("/v1/configuration"))
    if as_json:
        return print_json(found)
    table = new_table("key", "value", "from", "type", "range", title=f"{found['scope']}, version {found['version']}")
    for one in found["keys"]:
        table.add_row(one["key"], _text(one["value"]), one["source"], one["type"], _range(one))
    console.print(table)
    return None


@config.command()
def get(context: typer.Context, key: str, as_json: Raw = False) -> None:
    """The value that holds for a key."""
    found = ask(context, lambda api: api.get(_path(key)))
    if as_json:
        return print_json(found)
    print(_text(found["value"]))
    return None


@config.command("set")
def set_value(
    context: typer.Context,
    key: str,
    reason: Reason,
    value: Annotated[str, typer.Argument(help="The new value; left out with --inherit.")] = "",
    inherit: Annotated[bool, typer.Option("--inherit", help="Take the scope's own value back.")] = False,
    expected_version: Annotated[int, typer.Option(help="Only if the key was last changed in this version.")] = -1,
) -> None:
    """Set a key, or take its value back. Every instance works with it within a second."""
    if inherit and value:
        raise typer.BadParameter("Give a value or --inherit, not both.")

    async def change(api: Api) -> Any:
        found = await api.get(_path(key))
        wanted = {"key": key, "value": None if inherit else _typed(found["type"], value)}
        if expected_version >= 0:
            wanted["expected_version"] = expected_version
        body = {"settings": [wanted], "reason": reason}
        return await api.post("/v1/configuration/changes", body, key=uuid4().hex)

    _print_change(ask(context, change))


@config.command()
def history(
    context: typer.Context,
    key: Annotated[str, typer.Option(help="Of one key only.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=200, help="How many changes, the newest first.")] = 20,
    as_json: Raw = False,
) -> None:
    """Who changed what, when and why."""
    asked = {"limit": str(limit), **({"key": key} if key else {})}
    found = ask(context, lambda api: api.get("/v1/configuration/changes", **asked))
    if as_json:
        return print_json(found["data"])
    table = new_table("version", "at", "who", "key", "before", "after", "why")
    for one in found["data"]:
        table.add_row(
            str(one["version"]), one["at"][:19], one["principal_name"], one["key"], _text(one["before"]),
            _text(one["after"]), one["reason"],
        )  # fmt: skip
    console.print(table)
    return None


@config.command()
def diff(context: typer.Context, from_version: int, to_version: int, as_json: Raw = False) -> None:
    """What has another value in one version than in the other."""
    asked = {"from_version": str(from_version), "to_version": str(to_version)}
    found = ask(context, lambda api: api.get("/v1/configuration/diff", **asked))
    return print_json(found) if as_json else _print_changed(found["changed"])


@config.command()
def rollback(context: typer.Context, version: int, reason: Reason) -> None:
    """Make the values of an earlier version hold again, as a new version."""
    body = {"to_version": version, "reason": reason}
    _print_change(ask(context, lambda api: api.post("/v1/configuration/rollback", body, key=uuid4().hex)))


@config.command()
def export(
    context: typer.Context,
    output: Annotated[Path | None, typer.Option(dir_okay=False, help="Standard output unless given.")] = None,
) -> None:
    """The scope's own values as JSON."""
    text = json.dumps(ask(context, lambda api: api.get("/v1/configuration/export")), indent=2) + "\n"
    if output is None:
        sys.stdout.write(text)
    else:
        try:
            output.write_text(text)
        except OSError as error:
            raise typer.BadParameter(f"{output} cannot be written: {error.strerror}.") from error


@config.command("import")
def import_values(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="What `erp config export` wrote.")],
    reason: Reason,
    replace: Annotated[bool, typer.Option("--replace", help="Take back what the file does not name.")] = False,
) -> None:
    """Put exported values back, all or none."""
    try:
        values = json.loads(file.read_text())["values"]
    except (ValueError, KeyError, TypeError) as error:
        raise typer.BadParameter(f"{file} is no exported configuration.") from error
    body = {"values": values, "reason": reason, "mode": "replace" if replace else "merge"}
    _print_change(ask(context, lambda api: api.post("/v1/configuration/import", body, key=uuid4().hex)))


def _path(key: str) -> str:
    return f"/v1/configuration/keys/{quote(key, safe='')}"


def _typed(kind: str, text: str) -> Any:
    """The JSON value an argument stands for; the service says whether the key takes it."""
    if kind in ("string", "decimal"):
        return text
    try:
        value = json.loads(text)
        json.dumps(value, allow_nan=False)  # what Python reads and JSON has not: NaN, 1e999
        return value
    except ValueError as error:
        raise typer.BadParameter(f"The value is of type {kind}.") from error


def _print_change(change: dict[str, Any]) -> None:
    if not change["changed"]:
        console.print("Everything had its value already.")
        return
    console.print(f"version {change['version']}")
    _print_changed(change["changed"])


def _print_changed(changed: list[dict[str, Any]]) -> None:
    for one in changed:
        print(f"{one['key']}: {_text(one['before'])} -> {_text(one['after'])}")


def _text(value: Any) -> str:
    """As JSON writes it; texts without quotes, nothing for no value of its own."""
    return "inherited" if value is None else value if isinstance(value, str) else json.dumps(value)


def _range(one: dict[str, Any]) -> str:
    if one["choices"]:
        return ", ".join(_text(choice) for choice in one["choices"])
    bounds = [_text(one[end]) if one[end] is not None else "" for end in ("minimum", "maximum")]
    return f"{bounds[0]}..{bounds[1]} {one['unit']}".strip() if any(bounds) else one["unit"]
