"""`erp payments ...`: a tenant's money in three books, through the public API."""

import asyncio
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from deploy.local.keyring import known_keys
from deploy.local.layout import state_layout
from deploy.local.status import read_status
from erp.exchange.api import Api, ApiProblem

payments = typer.Typer(no_args_is_help=True, help="Money that a payment provider holds for us.")
_console = Console()
_COLUMNS = ("payment", "state", "provider_captured", "provider_refunded", "captured", "refunded", "booked")


@payments.callback()
def _group() -> None:
    """Keeps `erp payments <what>` a group while there is one."""


@payments.command()
def reconcile(
    tenant: Annotated[str, typer.Option(help="Slug of a tenant of the local fleet.")] = "",
    url: Annotated[str, typer.Option(help="Where the API is; the local fleet unless given.")] = "",
    key: Annotated[str, typer.Option(envvar="ERP_API_KEY", help="API key of the tenant, if not made here.")] = "",
    ca: Annotated[Path | None, typer.Option(help="Certificate authority to trust.")] = None,
) -> None:
    """Compare the provider's books with ours, payment by payment. Exit code 1: they differ."""
    layout = state_layout()
    status = read_status(layout)
    address = url or (status.url if status is not None else "") or ""
    token = key or known_keys(layout).get(tenant, "")
    if not address or not token:
        raise typer.BadParameter("Name a tenant of the running local fleet, or a service with --url and --key.")
    trusted = ca or (layout.certificate if layout.certificate.exists() else None)
    try:
        found = asyncio.run(_all(address, token, trusted))
    except ApiProblem as problem:
        _console.print(f"[red]{problem}[/red]")
        raise typer.Exit(1) from problem
    odd = [one for one in found if one["state"] != "agrees"]
    if odd:
        table = Table(*_COLUMNS, title="Not the same in all books")
        for one in odd:
            table.add_row(*(one[column] for column in _COLUMNS))
        _console.print(table)
    differing = sum(one["state"] == "differs" for one in odd)
    _console.print(f"{len(found)} payments, {differing} differ, {len(odd) - differing} are under way")
    if differing:
        raise typer.Exit(1)


async def _all(url: str, token: str, ca: Path | None) -> list[dict[str, Any]]:
    api = Api.over_tls(url, token, ca)
    try:
        return [one async for one in api.every("/v1/payment-reconciliation")]
    finally:
        await api.close()
