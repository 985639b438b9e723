"""Usage over HTTP for the tenant, quotas for the operator of the platform."""

import re
from dataclasses import replace
from typing import Any, Final
from uuid import UUID

import msgspec
from litestar import Router, get, put

from db.consistency import PRIMARY_ONLY
from db.two_phase import MAIN
from erp.http.answers import Reply
from erp.http.commands import Command, answer_reply, encode_json, read, show, view_answer
from erp.http.idempotency import idempotency_of
from erp.http.listing import Page, list_page
from erp.http.preconditions import expected_version
from erp.http.request import ApiRequest
from erp.kernel.errors import Invalid, NotFound
from erp.operations.usage import (
    month_view,
    plan_quotas_everywhere,
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
from erp.tenants.operator_routes import change_as_operator, existing_tenant, facts_of_tenant, require_operator
from tenancy.fencing import execute_fenced

#: None in batches: quotas are the operator's.
COMMANDS: tuple[Command, ...] = ()

_OPERATOR = ["Tenants (operator)"]
_GUARDED: Final = {"key": "accepted", "match": "accepted"}
_USED: Final = (PRESENT_MONTH(), QUOTAS_NOW(), COUNTED(), ACTIVE_KEYS())
_PLAN: Final = re.compile(r"[a-z][a-z0-9-]{0,30}")


@get("/usage", summary="Read what you use", tags=["Tenant"])
async def get_usage(request: ApiRequest) -> Reply[UsageView]:
    """The present month beside your quotas. Requests and job seconds are some seconds late; rows and storage are
    measured once a day; `counted` is exact. Answered also when the month's requests are used up.
    """
    return _usage(await read(request, "usage:read", *_USED))


@get("/usage/months", summary="List what you used", tags=["Tenant"], opt={"listing": MONTHS})
async def list_months(request: ApiRequest) -> Reply[Page[MonthView]]:
    """One record a month, the newest first unless sorted otherwise."""
    page: Reply[Any] = await list_page(request, "usage:read", MONTHS, month_view)
    return page


@get("/tenants/{tenant_id:uuid}/usage", summary="Read what a tenant uses", tags=_OPERATOR)
async def get_tenant_usage(request: ApiRequest, tenant_id: UUID) -> Reply[UsageView]:
    """As the tenant sees it, also one that is suspended or closed."""
    require_operator(request)
    caller = replace(request.caller, tenant=await facts_of_tenant(request, tenant_id))
    return _usage(await request.database.read(caller, *_USED, consistency=PRIMARY_ONLY))


@get("/tenants/{tenant_id:uuid}/quotas", summary="Read a tenant's quotas", tags=_OPERATOR)
async def get_tenant_quotas(request: ApiRequest, tenant_id: UUID) -> Reply[TenantQuotasView]:
    require_operator(request)
    return await _shown(request, tenant_id)


@put("/tenants/{tenant_id:uuid}/quotas", summary="Set a tenant's quotas", tags=_OPERATOR, opt=_GUARDED)
async def put_tenant_quotas(request: ApiRequest, tenant_id: UUID, data: SetQuotasInput) -> Reply[TenantQuotasView]:
    """Instead of those set before. They bind what is created from now on, on every instance within seconds."""
    reply = await change_as_operator(request, tenant_id, lambda work: set_tenant_quotas(work, data), first=0)
    if reply.status >= 400:
        return reply
    return await _shown(request, tenant_id)


@get("/plans/{plan:str}/quotas", summary="Read a plan's quotas", tags=_OPERATOR)
async def get_plan_quotas(request: ApiRequest, plan: str) -> Reply[PlanQuotasView]:
    """A plan nobody has set quotas for has the version 0. The plan `default` is what every other inherits from."""
    require_operator(request)
    return show(await plan_quotas_of(request.context.services.platforms, _checked(plan)))


@put("/plans/{plan:str}/quotas", summary="Set a plan's quotas", tags=_OPERATOR, opt=_GUARDED)
async def put_plan_quotas(request: ApiRequest, plan: str, data: SetQuotasInput) -> Reply[PlanQuotasView]:
    """For every tenant of the plan without one of its own. Each version is kept; the same again changes nothing."""
    require_operator(request)
    name = _checked(plan)
    services, caller, database = request.context.services, request.caller, request.database
    idempotency = idempotency_of(request, "accepted", await request.body())
    expected = expected_version(request, "accepted", first=0)

    async def everywhere(fence: int) -> Reply[PlanQuotasView]:
        found = await plan_quotas_everywhere(services.platforms, name)
        answer = await database.answer(
            caller, lambda work: record_plan_quotas(work, found, data), lambda view: view_answer(view, 200, None),
            idempotency, expected,
        )  # fmt: skip
        answer_reply(request, answer)
        before, now = msgspec.json.decode(answer.body, type=PlanQuotasView), found[MAIN]
        # A repeated request completes what its first attempt left undone, and undoes nothing that came after it.
        if answer.replayed and now.version != before.version:
            return show(now)
        return show(await set_plan_quotas(services.platforms, name, data, fence))

    return await execute_fenced(services.locks, database, caller, f"plan:{name}", everywhere)


def _usage(found: tuple[list[Any], ...]) -> Reply[UsageView]:
    """From the rows of `_USED`."""
    months, [(month, quotas)], counted, [(keys,)] = found
    present = months[0] if months else MonthRow(month, 0, 0, None, None, None)
    return Reply(encode_json(usage_view(present, dict(counted), keys, quotas or {})))


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
        get_usage, list_months, get_tenant_usage, get_tenant_quotas, put_tenant_quotas, get_plan_quotas,
        put_plan_quotas,
    ],
)  # fmt: skip
