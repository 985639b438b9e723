"""Deliveries and returns over HTTP."""

from typing import Any
from uuid import UUID

from litestar import get, post

from erp.http.answers import Reply
from erp.http.commands import Command, perform, read, show
from erp.http.listing import Page, list_page
from erp.http.request import ApiRequest
from erp.kernel.errors import NotFound
from erp.sales import service
from erp.sales.claims import claims_of_returns
from erp.sales.documents import DeliverySummary, DeliveryView, ReturnSummary, ReturnView
from erp.sales.queries import DELIVERIES, ORDER_STATE, RETURN, RETURN_LINES, RETURNS
from erp.sales.repository import DELIVERY, DELIVERY_LINES
from erp.sales.rows import DeliveryRow, ReturnRow
from erp.sales.schemas import ReturnDeliveryInput
from erp.sales.views import delivery_summary, delivery_view, return_summary, return_view

TAKE_BACK = Command(
    "deliveries.return", service.return_delivery, "returns:write", ReturnDeliveryInput, target=True, status=201,
    key="required", match="accepted", made_in="/v1/returns", claims=claims_of_returns,
)  # fmt: skip
COMMANDS = (TAKE_BACK,)


@get("/deliveries/{delivery_id:uuid}", summary="Read a delivery", tags=["Deliveries"])
async def get_delivery(request: ApiRequest, delivery_id: UUID) -> Reply[DeliveryView]:
    """With its lines, their cost, and what came back of them."""
    found, lines, states = await read(
        request, "deliveries:read", DELIVERY(delivery_id=delivery_id), DELIVERY_LINES(delivery_id=delivery_id),
        ORDER_STATE(delivery_id=delivery_id),
    )  # fmt: skip
    if not found:
        raise NotFound(delivery_id=str(delivery_id))
    return show(delivery_view(found[0], lines, states[0].state, request.caller.tenant.base_currency))


@get("/deliveries", summary="List deliveries", opt={"listing": DELIVERIES}, tags=["Deliveries"])
async def list_deliveries(request: ApiRequest) -> Reply[Page[DeliverySummary]]:
    """By order, party, location or date, without their lines."""
    currency = request.caller.tenant.base_currency

    def view(row: DeliveryRow) -> DeliverySummary:
        return delivery_summary(row, currency)

    page: Reply[Any] = await list_page(request, "deliveries:read", DELIVERIES, view)
    return page


@post("/deliveries/{delivery_id:uuid}/returns", summary="Return goods of a delivery", tags=["Returns"])
async def return_delivery(request: ApiRequest, delivery_id: UUID, data: ReturnDeliveryInput) -> Reply[ReturnView]:
    """Goods come back into stock at what they cost when they left. The invoice is credited separately."""
    return await perform(request, TAKE_BACK, data, delivery_id)


@get("/returns/{return_id:uuid}", summary="Read a return", tags=["Returns"])
async def get_return(request: ApiRequest, return_id: UUID) -> Reply[ReturnView]:
    found, lines = await read(request, "returns:read", RETURN(return_id=return_id), RETURN_LINES(return_id=return_id))
    if not found:
        raise NotFound(return_id=str(return_id))
    return show(return_view(found[0], lines, request.caller.tenant.base_currency))


@get("/returns", summary="List returns", opt={"listing": RETURNS}, tags=["Returns"])
async def list_returns(request: ApiRequest) -> Reply[Page[ReturnSummary]]:
    """By delivery, order, party or date, without their lines."""
    currency = request.caller.tenant.base_currency

    def view(row: ReturnRow) -> ReturnSummary:
        return return_summary(row, currency)

    page: Reply[Any] = await list_page(request, "returns:read", RETURNS, view)
    return page


HANDLERS = (get_delivery, list_deliveries, return_delivery, get_return, list_returns)
