"""Usage over HTTP for the tenant, quotas for the operator of the platform."""

import re
from typing import Any, Final
from uuid import UUID

from litestar import Router, get, put

from erp.http.answers import Reply
from erp.http.commands import Command, encode_json, read, show
from erp.http.listing import Page, list_page
from erp.http.request import ApiRequest
from erp.kernel.errors import Invalid, NotFound
from erp.operations.usage import (
    month_view,
    plan_quotas_of,
    record_plan_quotas,
    set_plan_quotas,
    set_tenant_quotas,
    tenant_quotas_view,
    usage_view,
)
from erp.operations.usage_queries import (
    ACTIVE_KEYS,
    COUNTED,
    MONTHS,
    OF_TENANT,
    PRESENT_MONTH,
    QUOTAS_NOW,
    MonthRow,
)
from erp.operations.usage_schemas import MonthView, PlanQuotasView, SetQuotasInput, TenantQuotasView, UsageView
from erp.tenants.operator_routes import change_as_operator, existing_tenant, require_operator
from tenancy.fencing import execute_fenced

#: None in batches: quotas are the operator's.
COMMANDS: tuple[Command, ...] = ()

_OPERATOR = ["Tenants (operator)"]
_PLAN: Final = re.compile(r"[a-z][a-z0-9-]{0,30}")


@get("/usage", summary="Read what you use", tags=["Tenant"])
async def get_usage(request: ApiRequest) -> Reply[UsageView]:
    """The present month beside your quotas. Requests and job seconds are some seconds late; rows and storage are
    measured once a day; `counted` is exact. Answered also when the month's requests are used up.
    """
    months, [(month, quotas)], counted, [(keys,)] = await read(
        request, "usage:read", PRESENT_MONTH(), QUOTAS_NOW(), COUNTED(), ACTIVE_KEYS()
    )
    present = months[0] if months else MonthRow(month, 0, 0, None, None, None)
    return Reply(encode_json(usage_view(present, dict(counted), keys, quotas or {})))


@get("/usage/months", summary="List what you used", tags=["Tenant"], opt={"listing": MONTHS})
async def list_months(request: ApiRequest) -> Reply[Page[MonthView]]:
    """One record a month, the newest first unless sorted otherwise."""
    page: Reply[Any] = await list_page(request, "usage:read", MONTHS, month_view)
    return page


@get("/tenants/{tenant_id:uuid}/quotas", summary="Read a tenant's quotas", tags=_OPERATOR)
async def get_tenant_quotas(request: ApiRequest, tenant_id: UUID) -> Reply[TenantQuotasView]:
    require_operator(request)
    return await _shown(request, tenant_id)


@put("/tenants/{tenant_id:uuid}/quotas", summary="Set a tenant's quotas", tags=_OPERATOR)
async def put_tenant_quotas(request: ApiRequest, tenant_id: UUID, data: SetQuotasInput) -> Reply[TenantQuotasView]:
    """Instead of those set before. They bind what is created from now on, on every instance within seconds."""
    reply = await change_as_operator(request, tenant_id, lambda work: set_tenant_quotas(work, data))
    if reply.status >= 400:
        return reply
    return await _shown(request, tenant_id)


@get("/plans/{plan:str}/quotas", summary="Read a plan's quotas", tags=_OPERATOR)
async def get_plan_quotas(request: ApiRequest, plan: str) -> Reply[PlanQuotasView]:
    """A plan nobody has set quotas for has the version 0. The plan `default` is what every other inherits from."""
    require_operator(request)
    return show(await plan_quotas_of(request.context.services.platforms, _checked(plan)))


@put("/plans/{plan:str}/quotas", summary="Set a plan's quotas", tags=_OPERATOR)
async def put_plan_quotas(request: ApiRequest, plan: str, data: SetQuotasInput) -> Reply[PlanQuotasView]:
    """For every tenant of the plan without one of its own. Each version is kept; the same again changes nothing."""
    require_operator(request)
    name = _checked(plan)
    services, caller = request.context.services, request.caller

    async def everywhere(fence: int) -> PlanQuotasView:
        await request.database.run(caller, lambda work: record_plan_quotas(work, name, data))
        return await set_plan_quotas(services.platforms, name, data, fence)

    return show(await execute_fenced(services.locks, request.database, caller, f"plan:{name}", everywhere))


async def _shown(request: ApiRequest, tenant_id: UUID) -> Reply[TenantQuotasView]:
    tenant = await existing_tenant(request, tenant_id)
    [found] = await request.context.services.platforms.of(tenant.database).ask(OF_TENANT(one=tenant_id))
    if not found:
        raise NotFound(tenant_id=str(tenant_id))
    return show(tenant_quotas_view(found[0]))


def _checked(plan: str) -> str:
    """Raises Invalid."""
    if not _PLAN.fullmatch(plan):
        raise Invalid("A plan's name is lower-case letters, digits and hyphens.", pointer="plan", source="path")
    return plan


router = Router(
    "/v1",
    route_handlers=[
        get_usage, list_months, get_tenant_quotas, put_tenant_quotas, get_plan_quotas, put_plan_quotas,
    ],
)  # fmt: skip
