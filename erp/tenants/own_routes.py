"""A tenant's own record and its API keys over HTTP."""

from typing import Any
from uuid import UUID

import msgspec
from litestar import get, patch, post

from erp.http.answers import Reply
from erp.http.commands import Command, perform, read, read_one, show
from erp.http.listing import Page, list_page
from erp.http.request import ApiRequest
from erp.kernel.errors import NotFound
from erp.tenants import keys, service
from erp.tenants.credentials import revealed, telling
from erp.tenants.queries import API_KEY, API_KEYS, OWN_TENANT
from erp.tenants.schemas import (
    ApiKeyView,
    CreateApiKeyInput,
    NewApiKeyView,
    RotateApiKeyInput,
    TenantView,
    UpdateTenantInput,
)
from erp.tenants.views import key_view, tenant_view

UPDATE_TENANT = Command("tenant.update", service.update_tenant, "tenant:write", UpdateTenantInput, match="required")
CREATE_KEY = Command("api_keys.create", keys.create_api_key, "api_keys:write", CreateApiKeyInput, status=201)
ROTATE_KEY = Command(
    "api_keys.rotate", keys.rotate_api_key, "api_keys:write", RotateApiKeyInput, status=201, target=True,
    made_in="/v1/api-keys",
)  # fmt: skip
REVOKE_KEY = Command("api_keys.revoke", keys.revoke_api_key, "api_keys:write", target=True)


@get("/tenant", summary="Read your own tenant", tags=["Tenant"])
async def get_tenant(request: ApiRequest) -> Reply[TenantView]:
    [found] = await read(request, "tenant:read", OWN_TENANT())
    if not found:
        raise NotFound
    return show(tenant_view(found[0]))


@patch("/tenant", summary="Change your own tenant", tags=["Tenant"])
async def update_tenant(request: ApiRequest, data: UpdateTenantInput) -> Reply[TenantView]:
    """Name, time zone and settings. A setting sent as null goes back to its default."""
    return await perform(request, telling(request, UPDATE_TENANT, request.caller.tenant.id), data)


@post("/api-keys", summary="Create an API key", tags=["API keys"])
async def create_api_key(request: ApiRequest, data: CreateApiKeyInput) -> Reply[NewApiKeyView]:
    """The key's `secret` is shown in this answer and never again. A key grants at most what its creator holds."""
    tenant_id = request.caller.tenant.id
    minted = request.context.services.identity.mint(tenant_id)
    reply = await perform(request, telling(request, CREATE_KEY, tenant_id, minted=minted), data)
    return revealed(reply, NewApiKeyView, lambda view: msgspec.structs.replace(view, secret=minted.token))


@post("/api-keys/{key_id:uuid}/rotate", summary="Replace an API key", tags=["API keys"])
async def rotate_api_key(
    request: ApiRequest, key_id: UUID, data: RotateApiKeyInput | None = None
) -> Reply[NewApiKeyView]:
    """A new key with the same permissions; the old one works on for the overlap."""
    tenant_id = request.caller.tenant.id
    minted = request.context.services.identity.mint(tenant_id)
    reply = await perform(request, telling(request, ROTATE_KEY, tenant_id, minted=minted), data, key_id)
    return revealed(reply, NewApiKeyView, lambda view: msgspec.structs.replace(view, secret=minted.token))


@post("/api-keys/{key_id:uuid}/revoke", status_code=200, summary="Revoke an API key", tags=["API keys"])
async def revoke_api_key(request: ApiRequest, key_id: UUID) -> Reply[ApiKeyView]:
    """Takes effect on every instance with its next request."""
    return await perform(request, telling(request, REVOKE_KEY, request.caller.tenant.id), None, key_id)


@get("/api-keys/{key_id:uuid}", summary="Read an API key", tags=["API keys"])
async def get_api_key(request: ApiRequest, key_id: UUID) -> Reply[ApiKeyView]:
    """Everything but the secret, which is not kept."""
    found = await read_one(request, "api_keys:read", API_KEY(key_id=key_id), key_id=key_id)
    return show(key_view(found))


@get("/api-keys", summary="List API keys", tags=["API keys"], opt={"listing": API_KEYS})
async def list_api_keys(request: ApiRequest) -> Reply[Page[ApiKeyView]]:
    page: Reply[Any] = await list_page(request, "api_keys:read", API_KEYS, key_view)
    return page


HANDLERS = (get_tenant, update_tenant, create_api_key, rotate_api_key, revoke_api_key, get_api_key, list_api_keys)
