"""`erp usage` of a tenant, and `erp quotas ...` for the operator, through the public API."""

from typing import Annotated, Any
from urllib.parse import quote
from uuid import UUID

import typer

from erp.exchange.api import Api
from erp.operations.service_cli import (
    Ca,
    Raw,
    ScopeKey,
    TenantSlug,
    Url,
    Why,
    ask,
    choose_as_operator,
    choose_service,
    console,
    print_json,
    table,
)
from tenancy.quotas import QUOTAS

quotas = typer.Typer(no_args_is_help=True, help="What tenants may use: set for one tenant, or for a plan.")
quotas.callback()(choose_as_operator)

OfTenant = Annotated[str, typer.Argument(metavar="[TENANT]", help="Slug or id of a tenant.")]
OfPlan = Annotated[str, typer.Option("--plan", help="Of this plan instead; `default` is what all inherit from.")]

#: What a quota is set to besides a number.
_NO_BOUND, _INHERITED = "none", "inherit"


def usage(
    context: typer.Context,
    tenant: TenantSlug = "",
    url: Url = "",
    key: ScopeKey = "",
    ca: Ca = None,
    months: Annotated[bool, typer.Option("--months", help="Also the months before.")] = False,
    as_json: Raw = False,
) -> None:
    """What a tenant used this month, beside what it may use."""
    if not tenant and not key:
        raise typer.BadParameter("Name a tenant of the local fleet, or pass --key.")
    choose_service(context, tenant, url, key, ca)
    now = ask(context, lambda api: api.get("/v1/usage"))
    past = ask(context, lambda api: api.get("/v1/usage/months"))["data"] if months else []
    if as_json:
        return print_json({**now, "months": past} if months else now)
    _show_usage(now)
    if months:
        before = table("month", "requests", "job seconds", "rows", "bytes")
        for one in past:
            figures = (one[name] for name in ("requests", "job_seconds", "rows", "storage_bytes"))
            before.add_row(one["month"][:7], *(_amount(figure) for figure in figures))
        console.print(before)
    return None


@quotas.command()
def show(context: typer.Context, tenant: OfTenant = "", plan: OfPlan = "", as_json: Raw = False) -> None:
    """What holds, and where it comes from."""

    async def found(api: Api) -> Any:
        return await api.get(await _path(api, tenant, plan))

    _show(ask(context, found), as_json)


@quotas.command("usage")
def usage_of(
    context: typer.Context,
    tenant: Annotated[str, typer.Argument(metavar="TENANT", help="Slug or id of a tenant.")],
    as_json: Raw = False,
) -> None:
    """What a tenant used this month, beside what it may use: as the tenant sees it, for the operator."""

    async def found(api: Api) -> Any:
        return await api.get(f"{await _tenant_path(api, tenant)}/usage")

    used = ask(context, found)
    if as_json:
        print_json(used)
    else:
        _show_usage(used)


@quotas.command("set")
def set_quotas(
    context: typer.Context,
    values: Annotated[list[str], typer.Argument(metavar="NAME=VALUE...", help="A number, `none` or `inherit`.")],
    reason: Why,
    tenant: Annotated[str, typer.Option(help="Slug or id of a tenant.")] = "",
    plan: OfPlan = "",
    as_json: Raw = False,
) -> None:
    """Change the quotas that are named; the others stay. They bind what is created from now on."""
    changes = dict(_parsed(value) for value in values)

    async def change(api: Api) -> Any:
        path = await _path(api, tenant, plan)
        seen = await api.get(path)
        wanted = {**seen["quotas"], **changes}
        kept = {name: value for name, value in wanted.items() if value != _INHERITED}
        return await api.put(path, {"quotas": kept, "reason": reason}, version=seen["version"])

    _show(ask(context, change), as_json)


async def _path(api: Api, tenant: str, plan: str) -> str:
    """Raises typer.BadParameter."""
    if bool(tenant) == bool(plan):
        raise typer.BadParameter("Name either a tenant or a plan.")
    if plan:
        return f"/v1/plans/{quote(plan, safe='')}/quotas"
    return f"{await _tenant_path(api, tenant)}/quotas"


async def _tenant_path(api: Api, tenant: str) -> str:
    """By slug or id. Raises typer.BadParameter."""
    try:
        return f"/v1/tenants/{UUID(tenant)}"
    except ValueError:
        found = (await api.get("/v1/tenants", slug=tenant))["data"]
    if not found:
        raise typer.BadParameter(f"There is no tenant `{tenant}`.")
    return f"/v1/tenants/{found[0]['id']}"


def _parsed(text: str) -> tuple[str, int | str | None]:
    """Raises typer.BadParameter."""
    name, _, value = text.partition("=")
    if name not in QUOTAS:
        raise typer.BadParameter(f"There is no quota `{name}`; there are {', '.join(QUOTAS)}.")
    if value == _INHERITED:
        return name, value
    if value == _NO_BOUND:
        return name, None
    if not (value.isascii() and value.isdigit()):
        raise typer.BadParameter(f"`{text}`: a number, `{_NO_BOUND}` or `{_INHERITED}`.")
    return name, int(value)


def _show(found: dict[str, Any], as_json: bool) -> None:
    if as_json:
        return print_json(found)
    title = f"version {found['version']}" + (f": {found['reason']}" if found["reason"] else "")
    shown = table("quota", "holds", "from", title=title)
    for name, value in found["effective"].items():
        shown.add_row(name, _bound(value), "set here" if name in found["quotas"] else "inherited")
    console.print(shown)
    return None


def _show_usage(now: dict[str, Any]) -> None:
    used = {**now["counted"], "requests_per_month": now["requests"], "job_seconds_per_month": now["job_seconds"]}
    shown = table("", "used", "quota", title=now["month"][:7])
    for name in QUOTAS:
        shown.add_row(name, _amount(used.get(name, now.get(name))), _bound(now["quotas"][name]))
    console.print(shown)


def _bound(value: int | None) -> str:
    return "no bound" if value is None else f"{value:,}"


def _amount(value: float | None) -> str:
    return "" if value is None else f"{value:,}"
