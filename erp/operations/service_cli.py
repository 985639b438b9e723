"""What commands that go through the public API share: which service, whose credential, how answers are shown."""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
from rich.console import Console
from rich.table import Table

from deploy.local.credentials import keep
from deploy.local.keyring import known_keys
from deploy.local.layout import state_layout
from deploy.local.status import read_status
from erp.exchange.api import Api, ApiProblem

T = TypeVar("T")

#: Into a pipe or a file nothing is cut to the width of a terminal that is not there.
console = Console(width=None if sys.stdout.isatty() else 200)

Raw = Annotated[bool, typer.Option("--json", help="For programs.")]
Why = Annotated[str, typer.Option("--reason", help="Why; it is kept in the trail.", prompt="Reason")]


@dataclass(frozen=True, slots=True)
class Where:
    """The service to ask and who asks."""

    url: str
    token: str
    ca: Path | None


Url = Annotated[str, typer.Option(help="Where the API is; the local fleet unless given.")]
Ca = Annotated[Path | None, typer.Option(help="Certificate authority to trust.")]
TenantSlug = Annotated[str, typer.Option(help="Slug of a tenant of the local fleet; without it the system.")]
ScopeKey = Annotated[str, typer.Option(envvar="ERP_API_KEY", help="Whose scope: a tenant's key, the operator's.")]


def choose_service(
    context: typer.Context, tenant: TenantSlug = "", url: Url = "", key: ScopeKey = "", ca: Ca = None
) -> None:
    """A callback of a group of commands. The scope follows from the key; of the local fleet the keys are known."""
    context.obj = _found(tenant, url, key, ca)


def choose_as_operator(
    context: typer.Context,
    url: Url = "",
    key: Annotated[str, typer.Option(envvar="ERP_OPERATOR_KEY", help="The operator's credential.")] = "",
    ca: Ca = None,
) -> None:
    """A callback of a group of the operator's commands. The local fleet's address and key are known."""
    context.obj = _found("", url, key, ca)


def _found(tenant: str, url: str, key: str, ca: Path | None) -> Where:
    layout = state_layout()
    status = read_status(layout)
    address = url or (status.url if status is not None else "") or ""
    if not address:
        raise typer.BadParameter("No fleet runs here: start it with `erp up`, or name a service with --url.")
    token = key or (known_keys(layout).get(tenant, "") if tenant else "")
    if not token and not tenant and layout.credentials.exists():
        token = keep(layout.credentials).operator_key
    if not token:
        raise typer.BadParameter(f"No key is known{f' for `{tenant}`' if tenant else ''}: pass --key.")
    return Where(address, token, ca or (layout.certificate if layout.certificate.exists() else None))


def ask(context: typer.Context, work: Callable[[Api], Awaitable[T]]) -> T:
    """What the service answers; ends the program when it refuses."""
    asked: Where = context.obj

    async def run() -> T:
        api = Api.over_tls(asked.url, asked.token, asked.ca)
        try:
            return await work(api)
        finally:
            await api.close()

    try:
        return asyncio.run(run())
    except ApiProblem as problem:
        console.print(f"[red]{problem}[/red]", highlight=False)
        raise typer.Exit(1) from problem


def print_json(found: Any) -> None:
    print(json.dumps(found, indent=2))


def table(*headings: str, title: str | None = None) -> Table:
    made = Table(title=title)
    for heading in headings:
        made.add_column(heading)
    return made
