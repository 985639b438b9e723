"""Orders are invoiced as far as they are delivered, and know how far they are paid."""

from typing import Any

import pytest

from erp.inventory.reservations import shown_reservations_of
from erp.invoicing.facts import invoiced_lines
from erp.invoicing.schemas import CancelInvoiceInput, CreditInvoiceInput
from erp.invoicing.service import cancel_draft, credit_invoice, post_invoice
from erp.kernel.errors import InvalidState
from erp.kernel.quantity import NotRepresentable
from erp.sales.documents import OrderView
from erp.sales.errors import MoreThanOpen, NothingToDo
from erp.sales.planning import held_by_line
from erp.sales.repository import BILLED, ORDER, ORDER_LINES
from erp.sales.schemas import InvoiceOrderInput
from erp.sales.service import invoice_order
from erp.sales.views import order_view
from tests.slices.inventory.shop import MARCH, Shop
from tests.slices.sales.selling import confirmed, deliver, invoice, line, order, step, take_back


async def seen(shop: Shop, order_id: Any) -> OrderView:
    """The order as a read shows it."""
    [row], lines = await shop.rows(ORDER(order_id=order_id)), await shop.rows(ORDER_LINES(order_id=order_id))
    held = held_by_line(await shop.rows(shown_reservations_of(order_id)))
    [billed] = await shop.rows(BILLED(order_id=order_id))
    return order_view(row, lines, held, await shop.rows(invoiced_lines(order_id)), billed)


async def test_only_what_was_delivered_is_invoiced_and_only_once(shop: Shop) -> None:
    await shop.receive(shop.lamp, "10")
    made = await confirmed(shop, line(shop.lamp, "5"), line(shop.carriage))
    first = await invoice(shop, made.id)
    assert [(one.product_id, one.quantity) for one in first.lines] == [(shop.carriage, "1")]
    with pytest.raises(NothingToDo):
        await invoice(shop, made.id)
    await deliver(shop, made.id, step(1, "3"))
    second = await invoice(shop, made.id)
    assert (second.lines[0].quantity, second.net, second.state, second.order_id) == ("3", "30.00", "draft", made.id)
    with pytest.raises(MoreThanOpen):
        await invoice(shop, made.id, step(1, "1"))
    await deliver(shop, made.id)
    third = await invoice(shop, made.id, step(1, "1"))
    assert third.gross == "12.00"
    view = await seen(shop, made.id)
    assert [one.invoiced for one in view.lines] == ["4", "1"]
    assert (view.invoice_state, view.payment_state) == ("partly_invoiced", "none")


async def test_half_a_piece_is_not_invoiced(shop: Shop) -> None:
    await shop.receive(shop.lamp, "10")
    made = await confirmed(shop, line(shop.lamp, "5"), line(shop.carriage, "2"))
    await deliver(shop, made.id)
    with pytest.raises(NotRepresentable) as refusal:
        await invoice(shop, made.id, step(2), step(1, "0.5"))
    assert refusal.value.pointer == "/lines/1/quantity"
    assert (await invoice(shop, made.id)).net == made.net


async def test_a_cancelled_draft_can_be_invoiced_again(shop: Shop) -> None:
    made = await confirmed(shop, line(shop.carriage, "2"))
    draft = await invoice(shop, made.id)
    await shop.run(cancel_draft, draft.id, CancelInvoiceInput(reason="Wrong date"))
    assert (await invoice(shop, made.id)).lines[0].quantity == "2"


async def test_what_came_back_is_not_invoiced(shop: Shop) -> None:
    await shop.receive(shop.lamp, "10")
    made = await confirmed(shop, line(shop.lamp, "5"))
    note = await deliver(shop, made.id)
    await take_back(shop, note.id, step(1, "2"))
    bill = await invoice(shop, made.id)
    assert bill.lines[0].quantity == "3"
    assert (await seen(shop, made.id)).invoice_state == "invoiced"


async def test_the_order_knows_how_far_it_is_paid(shop: Shop) -> None:
    await shop.receive(shop.lamp, "10")
    made = await confirmed(shop, line(shop.lamp, "5"))
    await deliver(shop, made.id)
    bill = await invoice(shop, made.id)
    await shop.run(post_invoice, bill.id)
    unpaid = await seen(shop, made.id)
    assert (unpaid.invoice_state, unpaid.payment_state, unpaid.invoiced_amount, unpaid.unpaid_amount) == (
        "invoiced", "unpaid", "60.00", "60.00",
    )  # fmt: skip
    await shop.run(credit_invoice, bill.id, CreditInvoiceInput(reason="Goods returned", date=MARCH))
    credited = await seen(shop, made.id)
    assert (credited.payment_state, credited.invoiced_amount, credited.unpaid_amount) == ("none", "0.00", "0.00")
    assert credited.lines[0].invoiced == "0", "credited in full, it may be invoiced again"
    assert await shop.wrong() == {}


async def test_a_draft_order_is_not_invoiced(shop: Shop) -> None:
    with pytest.raises(InvalidState):
        await invoice(shop, (await order(shop, line(shop.lamp))).id)


async def test_invoicing_takes_two_round_trips(shop: Shop) -> None:
    made = await confirmed(shop, *[line(shop.carriage)] * 40)
    _, counted = await shop.counted(invoice_order, made.id, InvoiceOrderInput(date=MARCH))
    assert (counted.postgres, len(counted.statements)) == (2, 11)
