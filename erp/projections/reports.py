"""Reports from read models: every answer says how old it may be."""

from collections.abc import Callable
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from litestar import get

from erp.http.answers import Reply
from erp.http.commands import read_rows
from erp.http.listing import Listing, Page, list_page
from erp.http.request import ApiRequest
from erp.projections.queries import AGEING, BY_CUSTOMER, BY_DAY, BY_PRODUCT, MOVEMENTS, STATE
from erp.projections.schemas import (
    AgeingView,
    SalesByCustomerView,
    SalesByDayView,
    SalesByProductView,
    StockMovementsView,
)
from erp.projections.views import ageing_view, as_of, customer_view, day_view, movement_view, product_view

_READ = "reports:read"


async def _report(
    request: ApiRequest, consumer: str, listing: Listing[Any], view: Callable[[Any, str], Any], **parameters: Any
) -> Reply[Any]:
    """The page, with the state of its read model in headers: it is read first, so it is never too good."""
    request.caller.require(_READ)
    [[state]] = await read_rows(request, STATE(consumer=consumer))
    currency = request.caller.tenant.base_currency
    page = await list_page(request, _READ, listing, lambda row: view(row, currency), **parameters)
    told = as_of(state)
    page.raw_headers.append((b"as-of-position", str(told.position).encode()))
    page.raw_headers.append((b"as-of-complete", b"true" if told.complete else b"false"))
    if told.age_seconds is not None and told.confirmed_at is not None:
        page.raw_headers.append((b"as-of-age", f"{told.age_seconds:.3f}".encode()))
        page.raw_headers.append((b"as-of-time", told.confirmed_at.isoformat().encode()))
    return page


@get("/reports/sales-by-day", summary="Report sales by day", opt={"listing": BY_DAY})
async def sales_by_day(request: ApiRequest) -> Reply[Page[SalesByDayView]]:
    """Posted invoices less credit notes, by accounting date. `As-Of-Age` says how many seconds it may be behind."""
    return await _report(request, "sales", BY_DAY, day_view)


@get("/reports/sales-by-product", summary="Report sales by product", opt={"listing": BY_PRODUCT})
async def sales_by_product(request: ApiRequest) -> Reply[Page[SalesByProductView]]:
    """What was invoiced of each product on each day, less what was credited."""
    return await _report(request, "sales", BY_PRODUCT, product_view)


@get("/reports/sales-by-customer", summary="Report sales by customer", opt={"listing": BY_CUSTOMER})
async def sales_by_customer(request: ApiRequest) -> Reply[Page[SalesByCustomerView]]:
    """What each customer was invoiced on each day, less what was credited."""
    return await _report(request, "sales", BY_CUSTOMER, customer_view)


@get("/reports/stock-movements", summary="Report stock movements", opt={"listing": MOVEMENTS})
async def stock_movements(request: ApiRequest) -> Reply[Page[StockMovementsView]]:
    """What came, left and was put right of each product in each location on each day."""
    return await _report(request, "stock-movements", MOVEMENTS, movement_view)


@get("/reports/receivables-ageing", summary="Report receivables by age", opt={"listing": AGEING})
async def receivables_ageing(request: ApiRequest) -> Reply[Page[AgeingView]]:
    """What each customer owes today by days overdue; advances are not counted against it."""
    today = datetime.now(ZoneInfo(request.caller.tenant.time_zone)).date()
    return await _report(request, "receivables", AGEING, ageing_view, on=today)


HANDLERS = [sales_by_day, sales_by_product, sales_by_customer, stock_movements, receivables_ageing]
