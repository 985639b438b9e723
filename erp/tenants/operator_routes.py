"""Tenants over HTTP, for the operator of the platform: across tenants, with the operator's credential only."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from hashlib import sha256
from typing import Any
from uuid import UUID

import msgspec
from litestar import Router, get, post

from db.identifiers import new_id
from erp.http.answers import Reply
from erp.http.commands import answer_reply, encode_json, show, view_answer
from erp.http.idempotency import idempotency_of
from erp.http.listing import Page
from erp.http.parameters import query_of, refuse_unknown_parameters
from erp.http.request import ApiRequest
from erp.kernel.errors import NotFound
from erp.tenants import service
from erp.tenants.errors import OperatorOnly
from erp.tenants.provisioning import create_tenant, facts_of
from erp.tenants.queries import ALL_TENANTS, ONE_OF_ALL_TENANTS
from erp.tenants.routes import revealed
from erp.tenants.schemas import ChangeStateInput, CreateTenantInput, NewApiKeyView, NewTenantView, TenantView
from erp.tenants.views import tenant_view
from tenancy.caller import Caller, TenantFacts
from tenancy.platform import PlatformDatabase
from tenancy.work import UnitOfWork
