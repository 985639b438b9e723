"""`erp payments ...`: a tenant's money in three books, through the public API."""

from typing import Any

import typer

from erp.exchange.api import Api
from erp.operations.service_cli import Ca, ScopeKey, TenantSlug, Url, ask, choose_service, console, table

payments = typer.Typer(no_args_is_help=True, help="Money that a payment provider holds for us.")
_COLUMNS = ("payment", "state", "provider_captured", "provider_refunded", "captured", "refunded", "booked")


@payments.callback()
def _group() -> None:
    """Keeps `erp payments <what>` a group while there is one."""


@payments.command()
def reconcile(
    context: typer.Context, tenant: TenantSlug = "", url: Url = "", key: ScopeKey = "", ca: Ca = None
) -> None:
    """Compare the provider's books with ours, payment by payment. Exit code 1: they differ."""
    if not tenant and not key:
        raise typer.BadParameter("Name a tenant of the local fleet, or pass --key.")
    choose_service(context, tenant, url, key, ca)
    found = ask(context, _all)
    odd = [one for one in found if one["state"] != "agrees"]
    if odd:
        shown = table(*_COLUMNS, title="Not the same in all books")
        for one in odd:
            shown.add_row(*(one[column] for column in _COLUMNS))
        console.print(shown)
    differing = sum(one["state"] == "differs" for one in odd)
    console.print(f"{len(found)} payments, {differing} differ, {len(odd) - differing} are under way")
    if differing:
        raise typer.Exit(1)


async def _all(api: Api) -> list[dict[str, Any]]:
    return [one async for one in api.every("/v1/payment-reconciliation")]
