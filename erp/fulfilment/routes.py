"""Fulfilments over HTTP: begin one, watch its steps, decide about one that stopped, compare the money."""

from typing import Any
from uuid import UUID

from litestar import Router, get, post

from erp.fulfilment import service
from erp.fulfilment.provider import provider
from erp.fulfilment.queries import CAUSATION, FULFILMENTS, CausedRow
from erp.fulfilment.reconciliation import compare, name_of
from erp.fulfilment.repository import MONEY, RUN, STEPS
from erp.fulfilment.schemas import (
    CausationView,
    CreateFulfilmentInput,
    FulfilmentSummary,
    FulfilmentView,
    OperatorInput,
    ReconciliationView,
)
from erp.fulfilment.views import fulfilment_summary, fulfilment_view
from erp.http.answers import Reply
from erp.http.commands import Command, encode_json, perform, read, read_rows, show
from erp.http.listing import Page, list_page, read_limit
from erp.http.parameters import query_of, unknown_parameter
from erp.http.request import ApiRequest
from erp.kernel.errors import NotFound

_READ, _DECIDE = "fulfilments:read", "fulfilments:decide"
CREATE = Command(
    "fulfilments.create", service.create_fulfilment, "fulfilments:write", CreateFulfilmentInput, status=202,
    key="required",
)  # fmt: skip
RETRY = Command(
    "fulfilments.retry", service.retry_fulfilment, _DECIDE, OperatorInput, target=True, match="accepted",
    key="required",
)  # fmt: skip
SKIP = Command(
    "fulfilments.skip", service.skip_step, _DECIDE, OperatorInput, target=True, match="accepted", key="required"
)
COMPENSATE = Command(
    "fulfilments.compensate", service.compensate_fulfilment, _DECIDE, OperatorInput, target=True, match="accepted",
    key="required",
)  # fmt: skip
COMMANDS = (CREATE, RETRY, SKIP, COMPENSATE)

_KNOWN = frozenset({"limit", "cursor"})
_FIRST = UUID(int=0)


@post("/fulfilments", summary="Fulfil an order", status_code=202)
async def create_fulfilment(request: ApiRequest, data: CreateFulfilmentInput) -> Reply[FulfilmentView]:
    """Reserves, takes the payment, delivers and invoices, step by step after the answer; read it to watch it.

    When a step is refused for good, what was done before it is taken back in reverse order.
    """
    return await perform(request, CREATE, data)


@get("/fulfilments", summary="List fulfilments", opt={"listing": FULFILMENTS})
async def list_fulfilments(request: ApiRequest) -> Reply[Page[FulfilmentSummary]]:
    """Newest first. Those that wait for somebody's decision are `?state=needs_operator`."""
    page: Reply[Any] = await list_page(request, _READ, FULFILMENTS, fulfilment_summary)
    return page


@get("/fulfilments/{fulfilment_id:uuid}", summary="Read a fulfilment")
async def get_fulfilment(request: ApiRequest, fulfilment_id: UUID) -> Reply[FulfilmentView]:
    """Its steps with what was asked, what came of it, and what would take it back."""
    found, steps = await read(request, _READ, RUN(saga_id=fulfilment_id), STEPS(saga_id=fulfilment_id))
    if not found:
        raise NotFound(fulfilment_id=str(fulfilment_id))
    return show(fulfilment_view(found[0], steps))


@post("/fulfilments/{fulfilment_id:uuid}/retry", summary="Let a stopped fulfilment go on", status_code=200)
async def retry_fulfilment(request: ApiRequest, fulfilment_id: UUID, data: OperatorInput) -> Reply[FulfilmentView]:
    """Goes on where it stopped. What may have happened is looked up at the provider before it is asked for again."""
    return await perform(request, RETRY, data, fulfilment_id)


@post("/fulfilments/{fulfilment_id:uuid}/skip", summary="Leave a step out", status_code=200)
async def skip_step(request: ApiRequest, fulfilment_id: UUID, data: OperatorInput) -> Reply[FulfilmentView]:
    """For a step that was settled by hand. A step left out is not taken back later either."""
    return await perform(request, SKIP, data, fulfilment_id)


@post("/fulfilments/{fulfilment_id:uuid}/compensate", summary="Take a fulfilment back", status_code=200)
async def compensate_fulfilment(
    request: ApiRequest, fulfilment_id: UUID, data: OperatorInput
) -> Reply[FulfilmentView]:
    """Takes back in reverse order what it did, and what it may have done."""
    return await perform(request, COMPENSATE, data, fulfilment_id)


@get("/payment-reconciliation", summary="Compare our books with the payment provider's")
async def reconcile(request: ApiRequest) -> Reply[ReconciliationView]:
    """Payment by payment: what the provider took and gave back, what fulfilments recorded, what the ledger holds."""
    caller = request.caller
    caller.require("payments:read")
    query = query_of(request.scope)
    for name in query:
        if name not in _KNOWN:
            raise unknown_parameter(name, _KNOWN)
    cursors, scope = request.context.services.cursors, caller.tenant.id.bytes + b"/payment-reconciliation"
    after = UUID(bytes=cursors.open(scope, query["cursor"])) if "cursor" in query else _FIRST
    limit = read_limit(query.get("limit"))
    # Theirs first: what is captured meanwhile is pending on our side, never missing.
    theirs = await provider().ledger(str(caller.tenant.id), name_of(after), limit + 1)
    [ours] = await read_rows(request, MONEY(after=after, at_most=limit + 1))
    data, more = compare(theirs, ours, limit)
    last = UUID(data[-1].payment.partition(":")[2]) if data else after
    page = ReconciliationView(
        agrees=all(one.state != "differs" for one in data), data=data, has_more=more,
        next_cursor=cursors.seal(scope, last.bytes) if more else None,
    )  # fmt: skip
    return Reply(encode_json(page))


@get("/causation", summary="Trace what led to what", opt={"listing": CAUSATION})
async def list_causation(request: ApiRequest) -> Reply[Page[CausationView]]:
    """Events in the order of their positions; `?correlation_id=` shows one request's: what followed in jobs,
    and the events that it followed from."""
    page: Reply[Any] = await list_page(request, "audit:read", CAUSATION, causation_view)
    return page


def causation_view(row: CausedRow) -> CausationView:
    return CausationView(
        id=row.event_id, type=row.type, aggregate_type=row.aggregate_type, aggregate_id=row.aggregate_id,
        version=row.version, causation_id=row.causation_id, position=row.position, occurred_at=row.occurred_at,
    )  # fmt: skip


router = Router(
    "/v1",
    route_handlers=[
        create_fulfilment, list_fulfilments, get_fulfilment, retry_fulfilment, skip_step, compensate_fulfilment,
        reconcile, list_causation,
    ],
    tags=["Fulfilments"],
)  # fmt: skip
