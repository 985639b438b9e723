"""Cost corrections over HTTP: those that were made, and what a document would make."""

from typing import Any
from uuid import UUID

from litestar import get, post

from erp.accounting.posting import shown_ledger_loads
from erp.accounting.views import today
from erp.http.answers import Reply
from erp.http.commands import read, read_rows, show
from erp.http.listing import Page, list_page
from erp.http.request import ApiRequest
from erp.inventory.adjustments import read_lines
from erp.inventory.backdating import moved_since, reach_of
from erp.inventory.correction_schemas import (
    CorrectedIssueView,
    CorrectionPreviewView,
    CostCorrectionSummary,
    CostCorrectionView,
    PreviewCorrectionInput,
)
from erp.inventory.corrections_repository import (
    CORRECTED_MOVES,
    CORRECTED_PRODUCTS,
    CORRECTION,
    CORRECTIONS,
    CorrectedMove,
)
from erp.inventory.facts import locations_facts
from erp.inventory.previewing import Situation, check_not_future, preview
from erp.inventory.repository import shown_stock
from erp.inventory.views import corrected_issue_view, correction_summary, correction_view
from erp.kernel.errors import NotFound
from erp.pricing.facts import selling_facts

_TAGS = ["Stock"]


@post(
    "/cost-corrections/preview", status_code=200, summary="Preview a stock document of an earlier day", tags=_TAGS,
    opt={"reads": True},
)  # fmt: skip
async def preview_correction(request: ApiRequest, data: PreviewCorrectionInput) -> Reply[CorrectionPreviewView]:
    """What it would be booked at, and what it would change of costs booked since. Books nothing.

    It is refused where booking the document would be.
    """
    tenant = request.caller.tenant
    reach = reach_of(tenant, today(tenant))
    check_not_future(data.date, reach)
    products = sorted({line.product_id for line in data.lines})
    named = sorted({line.location_id for line in data.lines if line.location_id is not None})
    places, facts = await read(request, "stock:read", locations_facts(named), selling_facts(products, data.date))
    lines = read_lines(data.lines, places, facts)
    levels, costs, since, periods, periods_today, roles = await read_rows(
        request, *shown_stock([line.pair for line in lines]), moved_since(products, data.date),
        shown_ledger_loads(data.date)[0], *shown_ledger_loads(reach.today),
    )  # fmt: skip
    found = Situation(levels, costs, since, periods, periods_today, roles)
    codes = {row.product_id: row.code for row in facts}
    return show(preview(data.date, lines, found, reach, tenant.base_currency, codes))


@get("/cost-corrections/{correction_id:uuid}", summary="Read a cost correction", tags=_TAGS)
async def get_correction(request: ApiRequest, correction_id: UUID) -> Reply[CostCorrectionView]:
    """With what it means for each product; the issues are a list of their own."""
    found, products = await read(
        request, "stock:read", CORRECTION(correction_id=correction_id),
        CORRECTED_PRODUCTS(correction_id=correction_id),
    )  # fmt: skip
    if not found:
        raise NotFound(correction_id=str(correction_id))
    return show(correction_view(found[0], products))


@get("/cost-corrections", summary="List cost corrections", opt={"listing": CORRECTIONS}, tags=_TAGS)
async def list_corrections(request: ApiRequest) -> Reply[Page[CostCorrectionSummary]]:
    """What documents that were recorded late changed of costs booked before them; `source_id` names the document."""
    page: Reply[Any] = await list_page(request, "stock:read", CORRECTIONS, correction_summary)
    return page


@get(
    "/cost-corrections/{correction_id:uuid}/issues", summary="List the issues of a cost correction",
    opt={"listing": CORRECTED_MOVES}, tags=_TAGS,
)  # fmt: skip
async def list_corrected_issues(request: ApiRequest, correction_id: UUID) -> Reply[Page[CorrectedIssueView]]:
    """Each with what it was booked at and what it gains; together they are the correction."""
    request.caller.require("stock:read")
    [found] = await read_rows(request, CORRECTION(correction_id=correction_id))
    if not found:
        raise NotFound(correction_id=str(correction_id))
    currency = found[0].currency

    def view(row: CorrectedMove) -> CorrectedIssueView:
        return corrected_issue_view(row, currency)

    page: Reply[Any] = await list_page(request, "stock:read", CORRECTED_MOVES, view, correction_id=correction_id)
    return page


HANDLERS = (preview_correction, get_correction, list_corrections, list_corrected_issues)
