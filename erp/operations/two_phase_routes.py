"""Databases and distributed transactions over HTTP, for the platform's operator."""

from uuid import UUID

from litestar import Router, get, post

from erp.http.answers import Reply
from erp.http.commands import Command, encode_json
from erp.http.request import ApiRequest
from erp.operations.two_phase import databases, in_doubt, resolution, resolve
from erp.operations.two_phase_schemas import DatabasesView, InDoubtListView, ResolvedView, ResolveInput
from erp.tenants.operator_routes import require_operator

#: None in batches: resolving is nobody's business transaction.
COMMANDS: tuple[Command, ...] = ()


@get("/databases", summary="List databases")
async def list_databases(request: ApiRequest) -> Reply[DatabasesView]:
    """Where tenants can be placed, and how each database does."""
    require_operator(request)
    services = request.context.services
    return Reply(encode_json(DatabasesView(data=await databases(services.platforms, services.two_phase))))


@get("/distributed-transactions", summary="List in-doubt transactions")
async def list_in_doubt(request: ApiRequest) -> Reply[InDoubtListView]:
    """Participants that are prepared at this moment, the oldest first. Recovery ends them within a minute."""
    require_operator(request)
    return Reply(encode_json(await in_doubt(request.context.services.two_phase)))


@post("/distributed-transactions/{transaction_id:uuid}/resolve", status_code=200, summary="End one now")
async def resolve_now(
    request: ApiRequest, transaction_id: UUID, data: ResolveInput | None = None
) -> Reply[ResolvedView]:
    """As the decision log says; given up when nothing was decided, for good. Repeating it does no harm."""
    require_operator(request)
    reason = (data.reason or None) if data else None
    recorded = resolution(request.database, request.caller, transaction_id, reason)
    return Reply(encode_json(await resolve(request.context.services.two_phase, transaction_id, recorded)))


router = Router("/v1", route_handlers=[list_databases, list_in_doubt, resolve_now], tags=["Databases (operator)"])
