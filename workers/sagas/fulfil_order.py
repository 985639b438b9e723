"""fulfil-order: reserve, authorise and capture the payment, deliver, invoice; taken back in reverse."""

from collections.abc import Callable
from decimal import Decimal
from uuid import UUID

import msgspec

from erp.fulfilment.errors import NotWhollyDelivered
from erp.fulfilment.keys import STEP_TIMEOUTS
from erp.fulfilment.port import Operation, PaymentAnswer, PaymentRequest, Payments
from erp.fulfilment.recording import State
from erp.fulfilment.schemas import KIND
from erp.invoicing.schemas import CreditInvoiceInput
from erp.invoicing.service import credit_invoice, post_invoice
from erp.kernel.errors import InvalidState
from erp.kernel.money import money_text
from erp.payments.schemas import AllocationInput, CreatePaymentInput, ReversePaymentInput
from erp.payments.service import create_payment, reverse_payment
from erp.sales.errors import NothingToDo
from erp.sales.repository import ORDER
from erp.sales.rows import OrderRow
from erp.sales.schemas import CancelOrderInput, DeliverOrderInput, InvoiceOrderInput, ReturnDeliveryInput
from erp.sales.service import (
    cancel_order,
    confirm_order,
    deliver_order,
    invoice_order,
    reserve_order,
    return_delivery,
)
from fleet.configuration.snapshot import current
from tenancy.work import UnitOfWork
from workers.sagas.definition import Facts, Intention, Local, Outcome, Outside, Saga

REASON = "The fulfilment was taken back"
_ZERO = Decimal(0)


def configured_timeout(step: str) -> float:
    return current().get(STEP_TIMEOUTS[step])


def fulfil_order(payments: Callable[[], Payments], timeout: Callable[[str], float] = configured_timeout) -> Saga:
    """The saga, asking whatever provider the process has at the time; `timeout`: seconds by the step's name."""

    def of(step: str) -> Callable[[], float]:
        return lambda: timeout(step)

    return Saga(
        KIND,
        (
            Local("reserve", _reserve, _cancel, of("reserve")),
            _payment("authorise", "void", _to_pay, payments, of("authorise")),
            _payment("capture", "refund", _authorised, payments, of("capture")),
            Local("deliver", _deliver, _take_back, of("deliver")),
            Local("invoice", _invoice, _credit, of("invoice")),
        ),
    )


async def _order(work: UnitOfWork, state: State) -> OrderRow:
    [found] = await work.load(ORDER(order_id=state.run.subject_id))
    return found[0]


async def _reserve(work: UnitOfWork, state: State) -> Facts:
    """Confirm a draft; make sure a confirmed order holds all of its goods."""
    order = await _order(work, state)
    draft = order.state == "draft"
    if draft:
        await confirm_order(work, order.id)
    elif order.state != "delivered":
        await reserve_order(work, order.id)
    return {
        "confirmed": draft, "number": order.number, "party_id": str(order.party_id), "currency": order.currency,
        "amount": money_text(order.gross, order.currency),
    }  # fmt: skip


async def _cancel(work: UnitOfWork, state: State, facts: Facts) -> Facts:
    """An order that was confirmed before stays so: it was somebody else's decision."""
    if not facts.get("confirmed"):
        return {"cancelled": False}
    try:
        await cancel_order(work, state.run.subject_id, CancelOrderInput(reason=REASON))
    except (NothingToDo, InvalidState):  # cancelled by hand, or delivered and returned
        return {"cancelled": False}
    return {"cancelled": True}


Due = Callable[[State], Decimal]


def _to_pay(state: State) -> Decimal:
    return Decimal(state.result("reserve").get("amount", "0"))


def _authorised(state: State) -> Decimal:
    return Decimal(state.result("authorise").get("amount", "0"))


def _payment(
    name: Operation, undo: Operation, due: Due, payments: Callable[[], Payments], timeout: Callable[[], float]
) -> Outside:
    async def intend(work: UnitOfWork, state: State) -> Intention | None:
        amount = due(state)
        if not amount:
            return None
        asked = PaymentRequest(
            operation=name, account=str(work.tenant_id), payment=f"saga:{state.run.id}",
            amount=money_text(amount, work.tenant.base_currency), currency=work.tenant.base_currency,
            source=state.run.input.get("payment_source", ""),
        )  # fmt: skip
        back = msgspec.structs.replace(asked, operation=undo, source="")
        return Intention(msgspec.to_builtins(asked), msgspec.to_builtins(back))

    async def ask(key: str, request: Facts) -> Outcome:
        return _outcome(await payments().perform(key, msgspec.convert(request, PaymentRequest), timeout()))

    async def look_up(key: str) -> Outcome | None:
        known = await payments().look_up(key, timeout())
        return None if known is None else _outcome(known)

    return Outside(name, intend, ask, look_up, timeout)


def _outcome(answer: PaymentAnswer) -> Outcome:
    return Outcome(answer.accepted, {"amount": answer.amount}, f"payment-{answer.code}" if answer.code else "")


async def _deliver(work: UnitOfWork, state: State) -> Facts:
    """All of it or nothing: all of it was paid. Raises NotWhollyDelivered."""
    order = await _order(work, state)
    if order.state == "delivered":  # services only
        return {"delivery_id": None}
    view = await deliver_order(work, order.id, DeliverOrderInput())
    if view.order_state != "delivered":
        raise NotWhollyDelivered(order_id=str(order.id), state=view.order_state)
    return {"delivery_id": str(view.id), "number": view.number}


async def _take_back(work: UnitOfWork, state: State, facts: Facts) -> Facts:
    """All that is not back yet; what somebody has taken back by hand is."""
    if not facts.get("delivery_id"):
        return {"return_id": None}
    try:
        view = await return_delivery(work, UUID(facts["delivery_id"]), ReturnDeliveryInput(reason=REASON))
    except NothingToDo:
        return {"return_id": None}
    return {"return_id": str(view.id), "number": view.number}


async def _invoice(work: UnitOfWork, state: State) -> Facts:
    """The posted invoice, the payment that was captured, and the one settling the other."""
    draft = await invoice_order(work, state.run.subject_id, InvoiceOrderInput())
    posted = await post_invoice(work, draft.id)
    facts: Facts = {"invoice_id": str(posted.id), "number": posted.number, "gross": posted.gross, "payment_id": None}
    captured = Decimal(state.result("capture").get("amount", "0"))
    if captured:
        settled = min(captured, Decimal(posted.gross))
        currency = work.tenant.base_currency
        payment = await create_payment(
            work,
            CreatePaymentInput(
                direction="in", party_id=posted.party_id, amount=money_text(captured, currency), method="card",
                reference=f"saga:{state.run.id}", external_id=f"saga:{state.run.id}",
                allocations=[AllocationInput(invoice_id=posted.id, amount=money_text(settled, currency))],
            ),
        )  # fmt: skip
        facts["payment_id"] = str(payment.id)
    return facts


async def _credit(work: UnitOfWork, state: State, facts: Facts) -> Facts:
    if facts.get("payment_id"):
        await reverse_payment(work, UUID(facts["payment_id"]), ReversePaymentInput(reason=REASON))
    note = await credit_invoice(work, UUID(facts["invoice_id"]), CreditInvoiceInput(reason=REASON))
    return {"credit_note_id": str(note.id), "number": note.number}
