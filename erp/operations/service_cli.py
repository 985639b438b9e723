"""What commands that go through the public API share: which service, whose credential, how answers are shown."""

import asyncio
import json
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

console = Console()

Raw = Annotated[bool, typer.Option("--json", help="For programs.")]


@dataclass(frozen=True, slots=True)
class Where:
    """The service to ask and who asks."""

    url: str
    token: str
    ca: Path | None


def choose_service(
    context: typer.Context,
    tenant: Annotated[str, typer.Option(help="Slug of a tenant of the local fleet; without it the system.")] = "",
    url: Annotated[str, typer.Option(help="Where the API is; the local fleet unless given.")] = "",
    key: Annotated[str, typer.Option(envvar="ERP_API_KEY", help="Whose scope: a tenant's key, the operator's.")] = "",
    ca: Annotated[Path | None, typer.Option(help="Certificate authority to trust.")] = None,
) -> None:
    """The scope follows from the key; of the local fleet the keys are known."""
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
    context.obj = Where(address, token, ca or (layout.certificate if layout.certificate.exists() else None))


def ask(context: typer.Context, work: Callable[[Api], Awaitable[T]]) -> T:
    """What the service answers; ends the program when it refuses."""
    where: Where = context.obj

    async def asked() -> T:
        api = Api.over_tls(where.url, where.token, where.ca)
        try:
            return await work(api)
        finally:
            await api.close()

    try:
        return asyncio.run(asked())
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
