"""Checks of periods over HTTP."""

from typing import Any
from uuid import UUID

from litestar import Router, get, post

from erp.closing import service
from erp.closing.queries import CHECK, CHECKS
from erp.closing.schemas import AskedCheckView, PeriodCheckView
from erp.closing.service import check_view
from erp.http.answers import Reply
from erp.http.commands import Command, perform, read_one, show
from erp.http.listing import Page, list_page
from erp.http.request import ApiRequest

ASK = Command("period_checks.ask", service.ask_for_check, "periods:write", target=True, status=202)
COMMANDS = (ASK,)


@post("/periods/{period_id:uuid}/check", status_code=202, summary="Look at a period before it is closed")
async def ask_for_check(request: ApiRequest, period_id: UUID) -> Reply[AskedCheckView]:
    """After the answer, by a job; the result is among the period checks then. It forbids nothing."""
    return await perform(request, ASK, target=period_id)


@get("/period-checks/{check_id:uuid}", summary="Read a period check")
async def get_check(request: ApiRequest, check_id: UUID) -> Reply[PeriodCheckView]:
    found = await read_one(request, "periods:read", CHECK(check_id=check_id), check_id=check_id)
    return show(check_view(found))


@get("/period-checks", summary="List period checks", opt={"listing": CHECKS})
async def list_checks(request: ApiRequest) -> Reply[Page[PeriodCheckView]]:
    """Newest first; of one period with `?period_id=`."""
    page: Reply[Any] = await list_page(request, "periods:read", CHECKS, check_view)
    return page


router = Router("/v1", route_handlers=[ask_for_check, get_check, list_checks], tags=["Periods"])
