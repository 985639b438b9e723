"""Payments over HTTP."""

from typing import Any
from uuid import UUID

from litestar import Router, get, post

from erp.accounting.open_items import allocations_by
from erp.http.answers import Reply
from erp.http.commands import Command, perform, read, show
from erp.http.listing import Page, list_page
from erp.http.request import ApiRequest
from erp.kernel.errors import NotFound
from erp.payments import service
from erp.payments.claims import claims_of_allocating, claims_of_new_payments, claims_of_taking_back
from erp.payments.document import header_of, payment_view
from erp.payments.queries import PAYMENT, PAYMENTS
from erp.payments.repository import PaymentRow
from erp.payments.schemas import (
    AllocatePaymentInput,
    CreatePaymentInput,
    PaymentSummary,
    PaymentView,
    ReversePaymentInput,
    TakeBackInput,
)

CREATE = Command(
    "payments.create", service.create_payment, "payments:write", CreatePaymentInput, status=201, key="required",
    claims=claims_of_new_payments,
)  # fmt: skip
ALLOCATE = Command(
    "payments.allocate", service.allocate_payment, "payments:write", AllocatePaymentInput,
    target=True, key="required", match="accepted", claims=claims_of_allocating,
)  # fmt: skip
TAKE_BACK = Command(
    "payments.deallocate", service.take_back_allocations, "payments:write", TakeBackInput,
    target=True, key="required", match="accepted", claims=claims_of_taking_back,
)  # fmt: skip
REVERSE = Command(
    "payments.reverse", service.reverse_payment, "payments:write", ReversePaymentInput,
    target=True, key="required", match="accepted", claims=claims_of_taking_back,
)  # fmt: skip
COMMANDS = (CREATE, ALLOCATE, TAKE_BACK, REVERSE)


def payment_summary(row: PaymentRow) -> PaymentSummary:
    return PaymentSummary(**header_of(row))


@post("/payments", summary="Record a payment")
async def create_payment(request: ApiRequest, data: CreatePaymentInput) -> Reply[PaymentView]:
    """Money received or paid. What it does not settle becomes the party's advance; nothing is ever over-allocated."""
    return await perform(request, CREATE, data)


@post("/payments/{payment_id:uuid}/allocations", summary="Settle items with a payment", status_code=200)
async def allocate_payment(request: ApiRequest, payment_id: UUID, data: AllocatePaymentInput) -> Reply[PaymentView]:
    """Settles open items with what is left of the payment."""
    return await perform(request, ALLOCATE, data, payment_id)


@post("/payments/{payment_id:uuid}/deallocate", summary="Take allocations of a payment back", status_code=200)
async def take_back_allocations(request: ApiRequest, payment_id: UUID, data: TakeBackInput) -> Reply[PaymentView]:
    """The items are open again; the amount stays with the payment as the party's advance."""
    return await perform(request, TAKE_BACK, data, payment_id)


@post("/payments/{payment_id:uuid}/reverse", summary="Reverse a payment", status_code=200)
async def reverse_payment(request: ApiRequest, payment_id: UUID, data: ReversePaymentInput) -> Reply[PaymentView]:
    """Takes the payment back with everything it settles."""
    return await perform(request, REVERSE, data, payment_id)


@get("/payments/{payment_id:uuid}", summary="Read a payment")
async def get_payment(request: ApiRequest, payment_id: UUID) -> Reply[PaymentView]:
    found, rows = await read(request, "payments:read", PAYMENT(payment_id=payment_id), allocations_by(payment_id))
    if not found:
        raise NotFound(payment_id=str(payment_id))
    return show(payment_view(found[0], rows))


@get("/payments", summary="List payments", opt={"listing": PAYMENTS})
async def list_payments(request: ApiRequest) -> Reply[Page[PaymentSummary]]:
    page: Reply[Any] = await list_page(request, "payments:read", PAYMENTS, payment_summary)
    return page


router = Router(
    "/v1",
    route_handlers=[
        create_payment, allocate_payment, take_back_allocations, reverse_payment, get_payment, list_payments,
    ],
    tags=["Payments"],
)  # fmt: skip
