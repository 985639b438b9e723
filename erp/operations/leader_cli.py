"""`erp leader ...`: who leads the fleet, who did, and handing the lead over, through the public API."""

from typing import Annotated
from uuid import uuid4

import typer

from erp.operations.service_cli import Raw, Why, ask, choose_as_operator, console, print_json, table

leader = typer.Typer(no_args_is_help=True, help="The lead of the fleet: one coordinator has it.")
leader.callback()(choose_as_operator)

OfDatabase = Annotated[str, typer.Option(help="Whose work is led; `erp leader show` names the databases.")]


@leader.command()
def show(context: typer.Context, as_json: Raw = False) -> None:
    """Who leads. Exit code 1: nobody does, or a database does not answer."""
    found = ask(context, lambda api: api.get("/v1/leader"))
    if as_json:
        print_json(found)
    else:
        for one in found["data"]:
            state = "leads" if one["held"] else "led, and nobody has taken over yet"
            print(f"{one['database']}: {one['holder']} {state}, term {one['term']} since {one['since'][:19]}")
        for name in found["unreachable"]:
            print(f"{name}: does not answer")
    if found["unreachable"] or not all(one["held"] for one in found["data"]):
        raise typer.Exit(1)


@leader.command()
def history(
    context: typer.Context,
    limit: Annotated[int, typer.Option(min=1, max=200, help="How many terms, the newest first.")] = 20,
    database: OfDatabase = "main",
    as_json: Raw = False,
) -> None:
    """Who led, from when to when, and why it ended."""
    found = ask(context, lambda api: api.get("/v1/leader/history", limit=str(limit), database=database))["data"]
    if as_json:
        return print_json(found)
    shown = table("term", "holder", "since", "until", "ended", "by", "why")
    for one in found:
        shown.add_row(
            str(one["term"]), one["holder"], one["since"][:19], (one["ended_at"] or "")[:19], one["ended"] or "",
            one["ended_by"] or "", one["reason"] or "",
        )  # fmt: skip
    console.print(shown)
    return None


@leader.command()
def transfer(
    context: typer.Context,
    reason: Why,
    to: Annotated[str, typer.Option(help="Id or name of a coordinator; any other unless given.")] = "",
    term: Annotated[int, typer.Option(help="Only if this term still lasts.")] = 0,
    database: OfDatabase = "main",
) -> None:
    """Hand the lead over."""
    body = {"reason": reason, "to": to or None, "database": database, **({"term": term} if term else {})}
    found = ask(context, lambda api: api.post("/v1/leader/transfer", body, key=uuid4().hex))
    print(f"{found['holder']} leads no more; term {found['term']} ended")
    print(f"offered to {found['offered_to'] or 'any other coordinator'}")
