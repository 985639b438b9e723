"""Sales orders over HTTP."""

from typing import Any
from uuid import UUID

from litestar import Router, get, patch, post

from erp.http.answers import Reply
from erp.http.commands import Command, look_up, perform, read, show
from erp.http.listing import Page, list_page
from erp.http.request import ApiRequest
from erp.invoicing.schemas import InvoiceView
from erp.kernel.errors import NotFound
from erp.parties.facts import party_facts
from erp.sales import delivery_routes, direct_routes, price_routes, service
from erp.sales.claims import claims_of_deliveries, claims_of_headers, claims_of_new_orders, claims_of_orders
from erp.sales.credit import credit_view
from erp.sales.credit_queries import EXPOSURE
from erp.sales.documents import CreditView, DeliveryView, OrderSummary, OrderView
from erp.sales.queries import ORDERS, SHOWN_ORDER
from erp.sales.schemas import (
    CancelOrderInput,
    ConfirmOrderInput,
    CreateOrderInput,
    DeliverOrderInput,
    InvoiceOrderInput,
    ReserveOrderInput,
    UpdateOrderInput,
)
from erp.sales.views import order_summary, shown_order

CREATE = Command(
    "sales_orders.create", service.create_order, "sales_orders:write", CreateOrderInput, status=201, key="required",
    claims=claims_of_new_orders,
)  # fmt: skip
UPDATE = Command(
    "sales_orders.update", service.update_order, "sales_orders:write", UpdateOrderInput, target=True,
    match="required", claims=claims_of_headers,
)  # fmt: skip
CONFIRM = Command(
    "sales_orders.confirm", service.confirm_order, "sales_orders:write", ConfirmOrderInput, target=True,
    key="required", match="accepted", claims=claims_of_orders,
)  # fmt: skip
RESERVE = Command(
    "sales_orders.reserve", service.reserve_order, "sales_orders:write", ReserveOrderInput, target=True,
    key="required", match="accepted", claims=claims_of_orders,
)  # fmt: skip
CANCEL = Command(
    "sales_orders.cancel", service.cancel_order, "sales_orders:write", CancelOrderInput, target=True,
    key="required", match="accepted", claims=claims_of_orders,
)  # fmt: skip
DELIVER = Command(
    "sales_orders.deliver", service.deliver_order, "deliveries:write", DeliverOrderInput, target=True, status=201,
    key="required", match="accepted", made_in="/v1/deliveries", claims=claims_of_deliveries,
)  # fmt: skip
INVOICE = Command(
    "sales_orders.invoice", service.invoice_order, "invoices:write", InvoiceOrderInput, target=True, status=201,
    key="required", match="accepted", made_in="/v1/invoices", claims=claims_of_headers,
)  # fmt: skip
COMMANDS = (
    CREATE, UPDATE, CONFIRM, RESERVE, CANCEL, DELIVER, INVOICE, *delivery_routes.COMMANDS, *direct_routes.COMMANDS
)  # fmt: skip


@post("/sales-orders", summary="Create a sales order")
async def create_order(request: ApiRequest, data: CreateOrderInput) -> Reply[OrderView]:
    """A draft; with `confirm` it is confirmed and its stock reserved in the same request."""
    return await perform(request, CREATE, data)


@patch("/sales-orders/{order_id:uuid}", summary="Change a draft order")
async def update_order(request: ApiRequest, order_id: UUID, data: UpdateOrderInput) -> Reply[OrderView]:
    """Only drafts change. Only the fields that are sent change; `lines` replaces all lines."""
    return await perform(request, UPDATE, data, order_id)


@post("/sales-orders/{order_id:uuid}/confirm", status_code=200, summary="Confirm a sales order")
async def confirm_order(
    request: ApiRequest, order_id: UUID, data: ConfirmOrderInput | None = None
) -> Reply[OrderView]:
    """Reserves the stock of all lines, or refuses; with `allow_partial` each line says what was `reserved`.

    Refused when the customer's credit limit would be exceeded, unless `credit_override` says why it may be.
    Reservations end after the configured `sales.reservation_ttl` (in seconds, three days unless set); the order
    stays confirmed and may reserve again.
    """
    return await perform(request, CONFIRM, data, order_id)


@post("/sales-orders/{order_id:uuid}/reserve", status_code=200, summary="Reserve a confirmed order again")
async def reserve_order(
    request: ApiRequest, order_id: UUID, data: ReserveOrderInput | None = None
) -> Reply[OrderView]:
    """Reserves what is open and not reserved: after goods came in for a backorder, or after reservations ended."""
    return await perform(request, RESERVE, data, order_id)


@post("/sales-orders/{order_id:uuid}/cancel", status_code=200, summary="Cancel a sales order")
async def cancel_order(request: ApiRequest, order_id: UUID, data: CancelOrderInput) -> Reply[OrderView]:
    """Cancels the order or what is left of it, or parts of lines; gives reservations back."""
    return await perform(request, CANCEL, data, order_id)


@post("/sales-orders/{order_id:uuid}/deliveries", summary="Deliver a sales order", tags=["Deliveries"])
async def deliver_order(
    request: ApiRequest, order_id: UUID, data: DeliverOrderInput | None = None
) -> Reply[DeliveryView]:
    """Goods leave: all of them, or some now and the rest later. Posts the cost of goods sold."""
    return await perform(request, DELIVER, data, order_id)


@post("/sales-orders/{order_id:uuid}/invoices", summary="Invoice a sales order", tags=["Invoices"])
async def invoice_order(
    request: ApiRequest, order_id: UUID, data: InvoiceOrderInput | None = None
) -> Reply[InvoiceView]:
    """Drafts the invoice of what was delivered and not invoiced; services are due when the order is confirmed."""
    return await perform(request, INVOICE, data, order_id)


@get("/sales-orders/{order_id:uuid}", summary="Read a sales order")
async def get_order(request: ApiRequest, order_id: UUID) -> Reply[OrderView]:
    """With its lines, what is reserved, delivered, returned and invoiced of each, and how far it is paid."""
    shown = await look_up(request, "sales_orders:read", SHOWN_ORDER(order_id=order_id))
    return show(shown_order(shown, order_id))


@get("/sales-orders", summary="List sales orders", opt={"listing": ORDERS})
async def list_orders(request: ApiRequest) -> Reply[Page[OrderSummary]]:
    """By state, party, date and more, without their lines."""
    page: Reply[Any] = await list_page(request, "sales_orders:read", ORDERS, order_summary)
    return page


@get("/parties/{party_id:uuid}/credit", summary="Read what a customer owes and has ordered", tags=["Parties"])
async def get_credit(request: ApiRequest, party_id: UUID) -> Reply[CreditView]:
    """Beside its credit limit. Confirming an order looks again: this is what was known a moment ago."""
    found, [exposure] = await read(request, "sales_orders:read", party_facts(party_id), EXPOSURE(party_id=party_id))
    if not found:
        raise NotFound(party_id=str(party_id))
    return show(credit_view(found[0], exposure, request.caller.tenant.base_currency))


router = Router(
    "/v1",
    route_handlers=[
        create_order, update_order, confirm_order, reserve_order, cancel_order, deliver_order, invoice_order,
        get_order, list_orders, get_credit, *delivery_routes.HANDLERS, *direct_routes.HANDLERS,
        *price_routes.HANDLERS,
    ],
    tags=["Sales orders"],
)  # fmt: skip
