"""Operations over HTTP: follow a long job, read its log, cancel it."""

from typing import Any
from uuid import UUID

from litestar import Router, get, post

from erp.http.answers import Reply
from erp.http.commands import Command, perform, read_one, read_rows, show
from erp.http.listing import Page, list_page
from erp.http.request import ApiRequest
from erp.jobs.operations.queries import LOG, OPERATION, OPERATIONS
from erp.jobs.operations.schemas import LogLineView, OperationView
from erp.jobs.operations.service import cancel_operation, line_view, operation_view
from erp.kernel.errors import NotFound

_READ = "operations:read"

CANCEL = Command("operations.cancel", cancel_operation, "operations:write", target=True, match="accepted")
COMMANDS = (CANCEL,)


@get("/operations", summary="List operations", opt={"listing": OPERATIONS})
async def list_operations(request: ApiRequest) -> Reply[Page[OperationView]]:
    """Long jobs, newest first. Those under way are `?state=queued,running`."""
    page: Reply[Any] = await list_page(request, _READ, OPERATIONS, operation_view)
    return page


@get("/operations/{operation_id:uuid}", summary="Read an operation")
async def get_operation(request: ApiRequest, operation_id: UUID) -> Reply[OperationView]:
    """State, progress, result or the problem it met. Progress is written once a second at most."""
    found = await read_one(request, _READ, OPERATION(operation_id=operation_id), operation_id=operation_id)
    return show(operation_view(found))


@get("/operations/{operation_id:uuid}/log", summary="List the log of an operation", opt={"listing": LOG})
async def list_operation_log(request: ApiRequest, operation_id: UUID) -> Reply[Page[LogLineView]]:
    """In the order in which it was said, the first 10,000 lines; `next_cursor` leads to what came after a page."""
    request.caller.require(_READ)
    [found] = await read_rows(request, OPERATION(operation_id=operation_id))
    if not found:
        raise NotFound(operation_id=str(operation_id))
    page: Reply[Any] = await list_page(request, _READ, LOG, line_view, operation_id=operation_id)
    return page


@post("/operations/{operation_id:uuid}/cancel", summary="Cancel an operation", status_code=200)
async def cancel(request: ApiRequest, operation_id: UUID) -> Reply[OperationView]:
    """Ends a queued operation at once. A running one stops within seconds, at its next step: what it has done so far
    stays done, and it reads `cancelled` when it has stopped. A cancelled one goes on when its job is replayed."""
    return await perform(request, CANCEL, target=operation_id)


router = Router(
    "/v1",
    route_handlers=[list_operations, get_operation, list_operation_log, cancel],
    tags=["Operations"],
)  # fmt: skip
