"""Invoices and credit notes over HTTP."""

from typing import Any
from uuid import UUID

from litestar import Router, get, post, put

from erp.accounting.open_items import allocations_by
from erp.http.answers import Reply
from erp.http.commands import Command, perform, read, show
from erp.http.listing import Page, list_page
from erp.http.request import ApiRequest
from erp.invoicing import service
from erp.invoicing.applying import allocations_view
from erp.invoicing.claims import (
    claims_of_applications,
    claims_of_credits,
    claims_of_drafts,
    claims_of_new_invoices,
    claims_of_postings,
    claims_of_taking_back,
)
from erp.invoicing.document import header_of, invoice_view
from erp.invoicing.queries import INVOICE, INVOICES, ShownInvoice
from erp.invoicing.repository import LINES
from erp.invoicing.schemas import (
    ApplyCreditInput,
    CancelInvoiceInput,
    CreateInvoiceInput,
    CreditAllocationsView,
    CreditInvoiceInput,
    InvoiceSummary,
    InvoiceView,
    PostInvoiceInput,
    TakeBackCreditInput,
    UpdateInvoiceInput,
)
from erp.kernel.errors import NotFound

CREATE = Command(
    "invoices.create", service.create_invoice, "invoices:write", CreateInvoiceInput, status=201, key="required",
    claims=claims_of_new_invoices,
)  # fmt: skip
UPDATE = Command(
    "invoices.update", service.update_draft, "invoices:write", UpdateInvoiceInput, target=True, match="required",
    claims=claims_of_drafts,
)  # fmt: skip
CANCEL = Command(
    "invoices.cancel", service.cancel_draft, "invoices:write", CancelInvoiceInput, target=True, match="accepted",
    claims=claims_of_drafts,
)  # fmt: skip
POST = Command(
    "invoices.post", service.post_invoice, "invoices:post", PostInvoiceInput,
    target=True, key="required", match="accepted", claims=claims_of_postings,
)  # fmt: skip
CREDIT = Command(
    "invoices.credit", service.credit_invoice, "invoices:post", CreditInvoiceInput,
    status=201, target=True, key="required", made_in="/v1/invoices", claims=claims_of_credits,
)  # fmt: skip
APPLY = Command(
    "invoices.allocate", service.apply_credit, "payments:write", ApplyCreditInput, target=True, key="required",
    claims=claims_of_applications,
)  # fmt: skip
TAKE_BACK = Command(
    "invoices.deallocate", service.take_back_credit, "payments:write", TakeBackCreditInput,
    target=True, key="required", claims=claims_of_taking_back,
)  # fmt: skip
COMMANDS = (CREATE, UPDATE, CANCEL, POST, CREDIT, APPLY, TAKE_BACK)


def invoice_summary(row: ShownInvoice) -> InvoiceSummary:
    return InvoiceSummary(**header_of(row.invoice, row.open_amount))


@post("/invoices", summary="Create an invoice or credit note")
async def create_invoice(request: ApiRequest, data: CreateInvoiceInput) -> Reply[InvoiceView]:
    """A document without an order: a draft, or posted at once with `post`."""
    return await perform(request, CREATE, data)


@put("/invoices/{invoice_id:uuid}", summary="Replace a draft")
async def update_invoice(request: ApiRequest, invoice_id: UUID, data: UpdateInvoiceInput) -> Reply[InvoiceView]:
    return await perform(request, UPDATE, data, invoice_id)


@post("/invoices/{invoice_id:uuid}/cancel", summary="Give a draft up", status_code=200)
async def cancel_invoice(request: ApiRequest, invoice_id: UUID, data: CancelInvoiceInput) -> Reply[InvoiceView]:
    """A draft never had a number. A posted invoice is cancelled by a credit note."""
    return await perform(request, CANCEL, data, invoice_id)


@post("/invoices/{invoice_id:uuid}/post", summary="Post a draft", status_code=200)
async def post_invoice(
    request: ApiRequest, invoice_id: UUID, data: PostInvoiceInput | None = None
) -> Reply[InvoiceView]:
    """Numbers the document, books it and opens its item. From then on it never changes."""
    return await perform(request, POST, data, invoice_id)


@post("/invoices/{invoice_id:uuid}/credit", summary="Credit an invoice")
async def credit_invoice(request: ApiRequest, invoice_id: UUID, data: CreditInvoiceInput) -> Reply[InvoiceView]:
    """Posts a credit note over all or some of the invoice at its original amounts and tax rates."""
    return await perform(request, CREDIT, data, invoice_id)


@post("/invoices/{invoice_id:uuid}/allocations", summary="Settle invoices with a credit note", status_code=200)
async def apply_credit(request: ApiRequest, invoice_id: UUID, data: ApplyCreditInput) -> Reply[CreditAllocationsView]:
    return await perform(request, APPLY, data, invoice_id)


@post("/invoices/{invoice_id:uuid}/deallocate", summary="Take allocations of a credit note back", status_code=200)
async def take_back_credit(
    request: ApiRequest, invoice_id: UUID, data: TakeBackCreditInput
) -> Reply[CreditAllocationsView]:
    return await perform(request, TAKE_BACK, data, invoice_id)


@get("/invoices/{invoice_id:uuid}", summary="Read an invoice or credit note")
async def get_invoice(request: ApiRequest, invoice_id: UUID) -> Reply[InvoiceView]:
    found, lines = await read(request, "invoices:read", INVOICE(invoice_id=invoice_id), LINES(invoice_id=invoice_id))
    if not found:
        raise NotFound(invoice_id=str(invoice_id))
    [row] = found
    return show(invoice_view(row.invoice, lines, row.open_amount, row.credited_by))


@get("/invoices", summary="List invoices and credit notes", opt={"listing": INVOICES})
async def list_invoices(request: ApiRequest) -> Reply[Page[InvoiceSummary]]:
    page: Reply[Any] = await list_page(request, "invoices:read", INVOICES, invoice_summary)
    return page


@get("/invoices/{invoice_id:uuid}/allocations", summary="What a credit note has settled")
async def get_allocations(request: ApiRequest, invoice_id: UUID) -> Reply[CreditAllocationsView]:
    found, rows = await read(request, "invoices:read", INVOICE(invoice_id=invoice_id), allocations_by(invoice_id))
    if not found or found[0].invoice.kind != "credit_note" or found[0].open_amount is None:
        raise NotFound(invoice_id=str(invoice_id))
    return show(allocations_view(found[0].invoice, found[0].open_amount, rows))


router = Router(
    "/v1",
    route_handlers=[
        create_invoice, update_invoice, cancel_invoice, post_invoice, credit_invoice, apply_credit,
        take_back_credit, get_invoice, list_invoices, get_allocations,
    ],
    tags=["Invoices"],
)  # fmt: skip
