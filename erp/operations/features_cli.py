"""`erp features ...`: what the whole fleet has agreed to do, through the public API."""

from typing import Annotated
from urllib.parse import quote
from uuid import uuid4

import typer

from erp.operations.service_cli import Raw, Why, ask, choose_as_operator, console, print_json, table

features = typer.Typer(no_args_is_help=True, help="Features that are on only when every live instance can.")
features.callback()(choose_as_operator)

Name = Annotated[str, typer.Argument(metavar="FEATURE", help="As `erp features list` shows it.")]


@features.command("list")
def list_features(context: typer.Context, as_json: Raw = False) -> None:
    """Every feature this release knows, and whether it is on."""
    found = ask(context, lambda api: api.get("/v1/features"))
    if as_json:
        return print_json(found)
    shown = table("feature", "active", "who lacks it", "what it does")
    for one in found["data"]:
        shown.add_row(one["name"], "yes" if one["active"] else "no", ", ".join(one["lacking"]), one["describe"])
    console.print(shown)
    return None


@features.command()
def activate(context: typer.Context, feature: Name, reason: Why) -> None:
    """Ask every instance whether it can, and turn it on when all have said yes. Exit code 1: refused."""
    _change(context, feature, "activate", reason)


@features.command()
def deactivate(context: typer.Context, feature: Name, reason: Why) -> None:
    """Turn it off."""
    _change(context, feature, "deactivate", reason)


def _change(context: typer.Context, feature: str, action: str, reason: str) -> None:
    path = f"/v1/features/{quote(feature, safe='')}/{action}"
    found = ask(context, lambda api: api.post(path, {"reason": reason}, key=uuid4().hex))
    state = "active" if found["active"] else "not active"
    print(f"{found['name']}: {state}{'' if found['revision'] else ' already'}")
