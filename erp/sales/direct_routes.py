"""Direct sales and credits over HTTP."""

from typing import Any
from uuid import UUID

from litestar import get, post

from erp.http.answers import Reply
from erp.http.commands import Command, perform, read_one, show
from erp.http.request import ApiRequest
from erp.kernel.money import money_text
from erp.sales import service
from erp.sales.claims import claims_of_direct_credits, claims_of_direct_sales
from erp.sales.documents import DirectCreditView, DirectSaleView
from erp.sales.queries import DIRECT_CREDIT, DIRECT_SALE, DirectCreditRow, DirectSaleRow
from erp.sales.schemas import DirectCreditInput, DirectSaleInput

SELL = Command(
    "direct_sales.create", service.create_direct_sale, "sales_orders:write", DirectSaleInput, status=201,
    key="required", claims=claims_of_direct_sales,
)  # fmt: skip
CREDIT = Command(
    "direct_credits.create", service.create_direct_credit, "invoices:write", DirectCreditInput, status=201,
    key="required", claims=claims_of_direct_credits,
)  # fmt: skip
COMMANDS = (SELL, CREDIT)


@post("/direct-sales", summary="Sell, deliver and invoice at once", tags=["Direct sales"])
async def create_direct_sale(request: ApiRequest, data: DirectSaleInput) -> Reply[DirectSaleView]:
    """An order, its delivery and its posted invoice in one transaction, today or on an earlier day.

    Needs `deliveries:write` and `invoices:write` too.
    """
    return await perform(request, SELL, data)


@get("/direct-sales/{order_id:uuid}", summary="Read a direct sale", tags=["Direct sales"])
async def get_direct_sale(request: ApiRequest, order_id: UUID) -> Reply[DirectSaleView]:
    found = await read_one(request, "sales_orders:read", DIRECT_SALE(order_id=order_id), order_id=order_id)
    return show(DirectSaleView(**_shown(found)))


@post("/direct-credits", summary="Credit without an invoice", tags=["Direct sales"])
async def create_direct_credit(request: ApiRequest, data: DirectCreditInput) -> Reply[DirectCreditView]:
    """A posted credit note that names no invoice, and a return receipt for the goods that came back.

    Without the delivery they were of, goods come back at `unit_cost`, else at the current moving average. Needs
    `returns:write` too.
    """
    return await perform(request, CREDIT, data)


@get("/direct-credits/{credit_note_id:uuid}", summary="Read a direct credit", tags=["Direct sales"])
async def get_direct_credit(request: ApiRequest, credit_note_id: UUID) -> Reply[DirectCreditView]:
    wanted = DIRECT_CREDIT(credit_note_id=credit_note_id)
    found = await read_one(request, "invoices:read", wanted, credit_note_id=credit_note_id)
    return show(DirectCreditView(**_shown(found)))


def _shown(row: DirectSaleRow | DirectCreditRow) -> dict[str, Any]:
    amounts = {name: money_text(getattr(row, name), row.currency) for name in ("net", "tax", "gross", "cost")}
    return {**row._asdict(), **amounts, "date_shifted": row.accounting_date != row.date}


HANDLERS = (create_direct_sale, get_direct_sale, create_direct_credit, get_direct_credit)
