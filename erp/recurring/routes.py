"""Recurring orders over HTTP."""

from typing import Any
from uuid import UUID

from litestar import Router, get, patch, post

from erp.http.answers import Reply
from erp.http.commands import Command, perform, read_one, read_rows, show
from erp.http.listing import Page, list_page
from erp.http.request import ApiRequest
from erp.kernel.errors import NotFound
from erp.recurring import service
from erp.recurring.queries import RECURRING_ORDERS, RUNS
from erp.recurring.repository import RECURRING_ORDER
from erp.recurring.schemas import (
    CreateRecurringOrderInput,
    RecurringOrderRunView,
    RecurringOrderView,
    UpdateRecurringOrderInput,
)
from erp.recurring.views import recurring_view, run_view
from erp.scheduling.schemas import ScheduleRunView

_READ, _WRITE = "sales_orders:read", "sales_orders:write"
CREATE = Command(
    "recurring_orders.create", service.create_recurring_order, _WRITE, CreateRecurringOrderInput, status=201
)
UPDATE = Command(
    "recurring_orders.update", service.update_recurring_order, _WRITE, UpdateRecurringOrderInput, target=True,
    match="required",
)  # fmt: skip
END = Command("recurring_orders.end", service.end_recurring_order, _WRITE, target=True, match="accepted")
RUN = Command(
    "recurring_orders.run", service.run_recurring_order, _WRITE, target=True, status=202, key="required"
)  # fmt: skip
COMMANDS = (CREATE, UPDATE, END, RUN)


@post("/recurring-orders", summary="Create a recurring order")
async def create_recurring_order(request: ApiRequest, data: CreateRecurringOrderInput) -> Reply[RecurringOrderView]:
    """A template of which an order is made at each moment of its cron expression, once."""
    return await perform(request, CREATE, data)


@patch("/recurring-orders/{recurring_order_id:uuid}", summary="Change a recurring order")
async def update_recurring_order(
    request: ApiRequest, recurring_order_id: UUID, data: UpdateRecurringOrderInput
) -> Reply[RecurringOrderView]:
    """Only the fields that are sent change. Orders it has made stay as they are."""
    return await perform(request, UPDATE, data, recurring_order_id)


@post("/recurring-orders/{recurring_order_id:uuid}/end", status_code=200, summary="End a recurring order")
async def end_recurring_order(request: ApiRequest, recurring_order_id: UUID) -> Reply[RecurringOrderView]:
    """For good; to stop it for a while, change it to `paused`."""
    return await perform(request, END, target=recurring_order_id)


@post(
    "/recurring-orders/{recurring_order_id:uuid}/run", status_code=202, summary="Make a recurring order's order now"
)
async def run_recurring_order(request: ApiRequest, recurring_order_id: UUID) -> Reply[ScheduleRunView]:
    """Beside its moments. It counts among `most_orders`."""
    return await perform(request, RUN, target=recurring_order_id)


@get("/recurring-orders/{recurring_order_id:uuid}", summary="Read a recurring order")
async def get_recurring_order(request: ApiRequest, recurring_order_id: UUID) -> Reply[RecurringOrderView]:
    found = await read_one(
        request, _READ, RECURRING_ORDER(recurring_order_id=recurring_order_id), recurring_order_id=recurring_order_id
    )
    return show(recurring_view(found))


@get("/recurring-orders", summary="List recurring orders", opt={"listing": RECURRING_ORDERS})
async def list_recurring_orders(request: ApiRequest) -> Reply[Page[RecurringOrderView]]:
    page: Reply[Any] = await list_page(request, _READ, RECURRING_ORDERS, recurring_view)
    return page


@get(
    "/recurring-orders/{recurring_order_id:uuid}/runs", summary="List what came of a recurring order's moments",
    opt={"listing": RUNS},
)  # fmt: skip
async def list_recurring_order_runs(
    request: ApiRequest, recurring_order_id: UUID
) -> Reply[Page[RecurringOrderRunView]]:
    """Newest first: the order of each moment, or why there is none."""
    request.caller.require(_READ)
    [found] = await read_rows(request, RECURRING_ORDER(recurring_order_id=recurring_order_id))
    if not found:
        raise NotFound(recurring_order_id=str(recurring_order_id))
    page: Reply[Any] = await list_page(request, _READ, RUNS, run_view, recurring_order_id=recurring_order_id)
    return page


router = Router(
    "/v1",
    route_handlers=[
        create_recurring_order, update_recurring_order, end_recurring_order, run_recurring_order, get_recurring_order,
        list_recurring_orders, list_recurring_order_runs,
    ],
    tags=["Recurring orders"],
)  # fmt: skip
