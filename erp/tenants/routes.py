"""Tenants over HTTP: their own record and keys, and the operator's view of all of them."""

from litestar import Router

from erp.http.commands import Command
from erp.tenants import operator_routes, own_routes

#: None in batches and streams: see `credentials`.
COMMANDS: tuple[Command, ...] = ()

router = Router("/v1", route_handlers=[*own_routes.HANDLERS, *operator_routes.HANDLERS])
