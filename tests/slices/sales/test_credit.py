"""The credit limit: what counts against it, what is refused, who may override it, and that nobody else pays."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from erp.invoicing.schemas import CancelInvoiceInput, CreditInvoiceInput, CreditLineInput, InvoiceView
from erp.invoicing.service import cancel_draft, credit_invoice, post_invoice
from erp.kernel.errors import Invalid
from erp.parties.schemas import UpdatePartyInput
from erp.parties.service import update_party
from erp.payments.schemas import AllocationInput, CreatePaymentInput
from erp.payments.service import create_payment
from erp.sales.credit import OVERRIDE, exposure_of
from erp.sales.credit_queries import EXPOSURE
from erp.sales.documents import OrderView
from erp.sales.errors import CreditLimitExceeded
from erp.sales.schemas import CancelOrderInput, ConfirmOrderInput, DirectSaleInput
from erp.sales.service import cancel_order, confirm_order, create_direct_sale, create_order
from tenancy.errors import Forbidden
from tests.slices.inventory.shop import MARCH, Shop
from tests.slices.sales.selling import confirmed, deliver, invoice, line, order, order_input, step, take_back

#: A lamp is 10.00 and a fifth of tax.
LAMP = Decimal("12.00")


async def limited(shop: Shop, limit: str | None) -> None:
    await shop.run(update_party, shop.customer, UpdatePartyInput(credit_limit=limit))


async def exposure(shop: Shop) -> Decimal:
    [row] = await shop.rows(EXPOSURE(party_id=shop.customer))
    return exposure_of(row, "GBP").total


async def posted(shop: Shop, made: OrderView, *steps: Any) -> InvoiceView:
    draft = await invoice(shop, made.id, *steps)
    return await shop.run(post_invoice, draft.id)


async def paid(shop: Shop, amount: str, *allocations: AllocationInput) -> None:
    data = CreatePaymentInput(
        direction="in", party_id=shop.customer, amount=amount, date=MARCH, allocations=list(allocations)
    )
    await shop.run(create_payment, data)


class TestRefusing:
    async def test_an_order_beyond_the_limit_is_refused_with_the_figures(self, shop: Shop) -> None:
        await shop.receive(shop.lamp, "10")
        await limited(shop, "50")
        await confirmed(shop, line(shop.lamp, "3"))
        draft = await order(shop, line(shop.lamp, "2"))
        for attempt in (
            shop.run(confirm_order, draft.id),
            shop.run(create_order, order_input(shop, line(shop.lamp, "2"), confirm=True)),
        ):
            with pytest.raises(CreditLimitExceeded) as refusal:
                await attempt
            assert refusal.value.status == 409
            assert refusal.value.hint is not None
            assert refusal.value.facts == {
                "party_id": str(shop.customer), "currency": "GBP", "credit_limit": "50.00", "exposure": "36.00",
                "open_receivables": "0.00", "advances": "0.00", "uninvoiced_orders": "36.00",
                "order_amount": "24.00", "exceeded_by": "10.00",
            }  # fmt: skip
        assert await shop.level(shop.lamp) == ("10", "3"), "the refused ones hold nothing"
        await confirmed(shop, line(shop.lamp, "1"))
        assert await exposure(shop) == 4 * LAMP
        assert await shop.wrong() == {}

    async def test_exactly_the_limit_is_within_it(self, shop: Shop) -> None:
        await limited(shop, "12")
        await shop.receive(shop.lamp, "2")
        await confirmed(shop, line(shop.lamp))
        with pytest.raises(CreditLimitExceeded):
            await confirmed(shop, line(shop.lamp, unit_price="0.01"))

    async def test_a_limit_of_nothing_means_paid_in_advance(self, shop: Shop) -> None:
        await limited(shop, "0")
        await shop.receive(shop.lamp, "2")
        with pytest.raises(CreditLimitExceeded):
            await confirmed(shop, line(shop.lamp))
        await paid(shop, "12.00")
        await confirmed(shop, line(shop.lamp))
        await confirmed(shop, line(shop.lamp, unit_price="0"))

    async def test_services_are_counted_too(self, shop: Shop) -> None:
        await limited(shop, "10")
        await confirmed(shop, line(shop.carriage))
        with pytest.raises(CreditLimitExceeded):
            await confirmed(shop, line(shop.carriage))

    async def test_missing_stock_is_told_before_missing_credit(self, shop: Shop) -> None:
        await limited(shop, "1")
        with pytest.raises(Exception, match="available"):
            await confirmed(shop, line(shop.lamp))

    async def test_a_sale_over_the_counter_is_bound_by_it_and_history_is_not(self, shop: Shop) -> None:
        await limited(shop, "12")
        await shop.receive(shop.lamp, "10")

        def sale(quantity: str, **more: Any) -> DirectSaleInput:
            return DirectSaleInput(party_id=shop.customer, lines=[line(shop.lamp, quantity)], date=MARCH, **more)

        with pytest.raises(CreditLimitExceeded):
            await shop.run(create_direct_sale, sale("2"))
        await shop.run(create_direct_sale, sale("1"))
        await shop.run(create_direct_sale, sale("2", history=True))
        assert await exposure(shop) == 3 * LAMP
        await shop.run(create_direct_sale, sale("1", credit_override="The boss knows"))
        assert await shop.wrong() == {}


class TestCounting:
    """Exposure follows an order from its confirmation to its payment."""

    async def test_an_order_counts_until_it_is_paid_and_never_twice(self, shop: Shop) -> None:
        await shop.receive(shop.lamp, "10")
        made = await confirmed(shop, line(shop.lamp, "4"))
        assert await exposure(shop) == 4 * LAMP
        await deliver(shop, made.id, step(1, "3"))
        draft = await invoice(shop, made.id)
        assert await exposure(shop) == 4 * LAMP, "three drafted, one on backorder"
        first = await shop.run(post_invoice, draft.id)
        assert await exposure(shop) == 4 * LAMP
        await paid(shop, "36.00", AllocationInput(amount="36.00", invoice_id=first.id))
        assert await exposure(shop) == LAMP
        await deliver(shop, made.id)
        second = await posted(shop, made)
        assert await exposure(shop) == LAMP
        await paid(shop, "20.00", AllocationInput(amount="12.00", invoice_id=second.id))
        assert await exposure(shop) == -8, "an advance makes room"
        assert await shop.wrong() == {}

    async def test_what_is_cancelled_does_not_count(self, shop: Shop) -> None:
        await shop.receive(shop.lamp, "10")
        made = await confirmed(shop, line(shop.lamp, "4"))
        await shop.run(cancel_order, made.id, CancelOrderInput(reason="Less", lines=[step(1, "1")]))
        assert await exposure(shop) == 3 * LAMP
        await shop.run(cancel_order, made.id, CancelOrderInput(reason="Nothing"))
        assert await exposure(shop) == 0

    async def test_a_cancelled_draft_is_to_be_invoiced_again(self, shop: Shop) -> None:
        await shop.receive(shop.lamp, "10")
        made = await confirmed(shop, line(shop.lamp, "4"))
        await deliver(shop, made.id)
        draft = await invoice(shop, made.id)
        assert await shop.column("SELECT billed FROM sales_orders WHERE tenant_id = %(tenant_id)s") == [True]
        await shop.run(cancel_draft, draft.id, CancelInvoiceInput(reason="Wrong day"))
        assert await exposure(shop) == 4 * LAMP
        await posted(shop, made)
        assert await exposure(shop) == 4 * LAMP
        assert await shop.wrong() == {}

    async def test_what_came_back_and_was_credited_does_not_count(self, shop: Shop) -> None:
        await shop.receive(shop.lamp, "10")
        made = await confirmed(shop, line(shop.lamp, "4"))
        note = await deliver(shop, made.id)
        bill = await posted(shop, made)
        await take_back(shop, note.id, step(1, "1"))
        assert await exposure(shop) == 4 * LAMP, "returned, not credited yet"
        credit = CreditInvoiceInput(reason="Returned", date=MARCH, lines=[CreditLineInput(line_no=1, quantity="1")])
        await shop.run(credit_invoice, bill.id, credit)
        assert await exposure(shop) == 3 * LAMP
        assert await shop.wrong() == {}

    async def test_what_was_credited_and_kept_is_to_be_invoiced_again(self, shop: Shop) -> None:
        await shop.receive(shop.lamp, "10")
        made = await confirmed(shop, line(shop.lamp, "4"))
        await deliver(shop, made.id)
        bill = await posted(shop, made)
        await shop.run(credit_invoice, bill.id, CreditInvoiceInput(reason="Wrong price", date=MARCH))
        assert await exposure(shop) == 4 * LAMP
        await posted(shop, made)
        assert await exposure(shop) == 4 * LAMP
        assert await shop.wrong() == {}

    async def test_other_parties_do_not_count(self, shop: Shop) -> None:
        await shop.receive(shop.lamp, "10")
        await confirmed(shop, line(shop.lamp, "4"), party_id=shop.other_customer)
        assert await exposure(shop) == 0

    async def test_a_mark_that_hides_something_is_named_by_the_proof(self, shop: Shop) -> None:
        await shop.receive(shop.lamp, "10")
        made = await confirmed(shop, line(shop.lamp, "4"))
        shop.tamper("UPDATE sales_orders SET billed = true WHERE id = %s", made.id)
        assert list(await shop.wrong()) == ["billed-orders"]


class TestOverriding:
    async def test_who_may_overrides_it_with_a_reason_that_is_kept(self, shop: Shop) -> None:
        await limited(shop, "5")
        await shop.receive(shop.lamp, "2")
        draft = await order(shop, line(shop.lamp))
        made = await shop.run(confirm_order, draft.id, ConfirmOrderInput(credit_override="Paid by card tomorrow"))
        assert made.state == "confirmed"
        noted = await shop.column(
            "SELECT after FROM audit_entries WHERE tenant_id = %(tenant_id)s AND target_id = %(id)s"
            " AND action = 'sales_order.credit_override'", id=draft.id,
        )  # fmt: skip
        assert noted == [
            {
                "reason": "Paid by card tomorrow", "credit_limit": "5.00", "exposure": "0.00",
                "order_amount": "12.00", "exceeded_by": "7.00",
            }
        ]  # fmt: skip
        told = await shop.column(
            "SELECT data -> 'credit_override' ->> 'reason' FROM events WHERE tenant_id = %(tenant_id)s"
            " AND aggregate_id = %(id)s AND type = 'sales_order.confirmed'", id=draft.id,
        )  # fmt: skip
        assert told == ["Paid by card tomorrow"]

    async def test_within_the_limit_there_is_nothing_to_note(self, shop: Shop) -> None:
        await limited(shop, "50")
        await shop.receive(shop.lamp, "2")
        made = await confirmed(shop, line(shop.lamp), credit_override="Just in case")
        assert await shop.column(
            "SELECT action FROM audit_entries WHERE tenant_id = %(tenant_id)s AND target_id = %(id)s", id=made.id
        ) == ["sales_order.confirmed"]  # fmt: skip

    async def test_nobody_overrides_it_without_the_permission(self, shop: Shop) -> None:
        await limited(shop, "5")
        await shop.receive(shop.lamp, "2")
        draft = await order(shop, line(shop.lamp))
        sales = frozenset({"sales_orders:*", "parties:*"})
        clerk = replace(shop, caller=replace(shop.caller, role="sales", scopes=sales))
        asked = ConfirmOrderInput(credit_override="I think so")
        with pytest.raises(Forbidden):
            await clerk.run(confirm_order, draft.id, asked)
        with pytest.raises(Forbidden):
            await confirmed(clerk, line(shop.lamp), credit_override="I think so")
        trusted = replace(shop, caller=replace(shop.caller, scopes=sales | {OVERRIDE}))
        assert (await trusted.run(confirm_order, draft.id, asked)).state == "confirmed"

    async def test_an_override_goes_with_a_confirmation(self, shop: Shop) -> None:
        with pytest.raises(Invalid) as refusal:
            await order(shop, line(shop.lamp), credit_override="Why not")
        assert refusal.value.pointer == "/credit_override"


class TestCost:
    async def test_without_a_limit_nothing_more_is_asked_or_locked(self, shop: Shop) -> None:
        await shop.receive(shop.lamp, "900")
        await order(shop, line(shop.lamp))
        data = order_input(shop, line(shop.lamp), line(shop.carriage), confirm=True)
        draft = await order(shop, line(shop.lamp))
        _, free = await shop.counted(create_order, data)
        _, later = await shop.counted(confirm_order, draft.id)
        assert not [one for one in (*free.statements, *later.statements) if "committed" in one]
        assert not [one for one in (*free.statements, *later.statements) if "parties" in one and "FOR NO KEY" in one]
        await limited(shop, "100000")
        draft = await order(shop, line(shop.lamp))
        _, bound = await shop.counted(create_order, data)
        _, bound_later = await shop.counted(confirm_order, draft.id)
        assert len([one for one in bound.statements if "committed" in one]) == 1
        assert (bound.postgres, bound_later.postgres) == (free.postgres, later.postgres) == (3, 3)
        assert (bound.redis, bound_later.redis) == (free.redis + 1, later.redis + 1) == (2, 2)
