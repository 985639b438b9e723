"""Two people work on the same document at the same time: one of them is told, nothing is done twice."""

from decimal import Decimal

import pytest

from db.errors import DomainError
from erp.invoicing.schemas import InvoiceView
from erp.kernel.errors import InvalidState
from erp.sales import delivering
from erp.sales.documents import DeliveryView
from erp.sales.errors import MoreThanOpen, NothingToDo
from erp.sales.repository import ORDER, ORDER_LINES
from erp.sales.schemas import (
    CancelOrderInput,
    CreateOrderInput,
    DeliverOrderInput,
    InvoiceOrderInput,
    ReturnDeliveryInput,
    StepLineInput,
)
from erp.sales.service import (
    cancel_order,
    confirm_order,
    create_order,
    deliver_order,
    invoice_order,
    return_delivery,
)
from tests.concurrency.stock_clients import GUARDS, Guard, rush_on
from tests.services import Services
from tests.slices.inventory.shop import MARCH
from tests.slices.sales.selling import confirmed, deliver, line, order


def some(quantity: str) -> list[StepLineInput]:
    return [StepLineInput(line_no=1, quantity=quantity)]


@pytest.mark.parametrize("guard", GUARDS)
async def test_two_deliveries_of_one_order_deliver_it_once(services: Services, guard: Guard) -> None:
    async with rush_on(services, guard, clients=8) as rush:
        shop = rush.shop
        await shop.receive(shop.lamp, "100")
        made = await confirmed(shop, line(shop.lamp, "10"), line(shop.lamp, "5"))
        data = DeliverOrderInput(date=MARCH)
        done, refused = await rush.all_at_once(rush.until_done(deliver_order, made.id, data) for _ in range(8))
        assert (len(done), len(refused)) == (1, 7)
        assert {type(refusal) for refusal in refused} <= {InvalidState, NothingToDo}
        assert await shop.level(shop.lamp) == ("85", "0")
        assert await shop.count("deliveries") == 1
        assert await shop.wrong() == {}


async def test_without_the_lock_of_the_order_the_table_refuses_the_second_delivery(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivering, "LOCK_ORDER", ORDER)
    async with rush_on(services, "nothing", clients=4) as rush:
        shop = rush.shop
        await shop.receive(shop.lamp, "100")
        made = await confirmed(shop, line(shop.lamp, "10"))
        data = DeliverOrderInput(date=MARCH)
        outcomes = await rush.behind_the_level(
            (shop.lamp, shop.location),
            shop.run(deliver_order, made.id, data),
            shop.run(deliver_order, made.id, data),
        )
        assert [type(one) for one in outcomes] == [DeliveryView, MoreThanOpen]
        assert await shop.level(shop.lamp) == ("90", "0")
        assert await shop.wrong() == {}


async def test_partial_deliveries_never_deliver_more_than_was_ordered(services: Services) -> None:
    async with rush_on(services, "nothing", clients=8) as rush:
        shop = rush.shop
        await shop.receive(shop.lamp, "100")
        made = await confirmed(shop, line(shop.lamp, "10"))
        data = DeliverOrderInput(lines=some("3"), date=MARCH)
        done, refused = await rush.all_at_once(rush.until_done(deliver_order, made.id, data) for _ in range(8))
        assert (len(done), {type(refusal) for refusal in refused}) == (3, {MoreThanOpen})
        numbers = sorted(note.number for note in done)
        assert [int(number[-6:]) for number in numbers] == [1, 2, 3], "no number was lost by the refused ones"
        [kept] = await shop.rows(ORDER_LINES(order_id=made.id))
        assert (kept.delivered, await shop.level(shop.lamp)) == (9, ("91", "1"))
        assert await shop.wrong() == {}


async def test_delivering_while_cancelling_leaves_every_unit_in_one_place(services: Services) -> None:
    async with rush_on(services, "nothing", clients=6) as rush:
        shop = rush.shop
        await shop.receive(shop.lamp, "100")
        made = await confirmed(shop, line(shop.lamp, "9"))
        out = DeliverOrderInput(lines=some("2"), date=MARCH)
        gone = CancelOrderInput(reason="Half of it", lines=some("2"))
        wishes: list[tuple[object, object]] = [(deliver_order, out), (cancel_order, gone)] * 3
        await rush.all_at_once(rush.until_done(command, made.id, data) for command, data in wishes)  # type: ignore[arg-type]  # two commands
        [row] = await shop.rows(ORDER(order_id=made.id))
        [kept] = await shop.rows(ORDER_LINES(order_id=made.id))
        assert kept.delivered + kept.cancelled == 8
        assert row.state == "partially_delivered"
        assert await shop.level(shop.lamp) == (str(100 - kept.delivered), "1")
        assert await shop.wrong() == {}


async def test_confirming_one_draft_twice_reserves_once(services: Services) -> None:
    async with rush_on(services, "nothing", clients=6) as rush:
        shop = rush.shop
        await shop.receive(shop.lamp, "100")
        draft = await order(shop, line(shop.lamp, "10"))
        done, refused = await rush.all_at_once(rush.until_done(confirm_order, draft.id) for _ in range(6))
        assert (len(done), {type(refusal) for refusal in refused}) == (1, {InvalidState})
        assert await shop.level(shop.lamp) == ("100", "10")
        assert await shop.wrong() == {}


async def test_one_delivery_comes_back_once(services: Services) -> None:
    async with rush_on(services, "nothing", clients=6) as rush:
        shop = rush.shop
        await shop.receive(shop.lamp, "10", "3.333333")
        note = await deliver(shop, (await confirmed(shop, line(shop.lamp, "7"))).id)
        data = ReturnDeliveryInput(reason="Wrong size", lines=some("2"), date=MARCH)
        done, refused = await rush.all_at_once(rush.until_done(return_delivery, note.id, data) for _ in range(6))
        assert (len(done), {type(refusal) for refusal in refused}) == (3, {MoreThanOpen})
        assert await shop.level(shop.lamp) == ("9", "0")
        assert await shop.wrong() == {}


async def test_one_delivery_is_invoiced_once(services: Services) -> None:
    async with rush_on(services, "nothing", clients=6) as rush:
        shop = rush.shop
        made = await confirmed(shop, line(shop.carriage, "4"))
        data = InvoiceOrderInput(date=MARCH)
        drafts: list[InvoiceView]
        refused: list[DomainError]
        drafts, refused = await rush.all_at_once(rush.until_done(invoice_order, made.id, data) for _ in range(6))
        assert (len(drafts), {type(refusal) for refusal in refused}) == (1, {NothingToDo})
        assert Decimal(drafts[0].lines[0].quantity) == 4


@pytest.mark.parametrize("guard", ["redis", "nothing"])
async def test_reversed_lines_never_deadlock(services: Services, guard: Guard) -> None:
    async with rush_on(services, guard, clients=24) as rush:
        shop = rush.shop
        for product in (shop.lamp, shop.cup, shop.rope):
            await shop.receive(product, "1000")
        forth = [line(shop.lamp), line(shop.cup), line(shop.rope)]
        wishes = [forth, forth[::-1]] * 12
        sold, refused = await rush.all_at_once(
            rush.until_done(
                create_order, CreateOrderInput(party_id=shop.customer, lines=lines, date=MARCH, confirm=True)
            )
            for lines in wishes
        )
        assert (len(sold), refused) == (24, [])
        notes, refused = await rush.all_at_once(
            rush.until_done(deliver_order, made.id, DeliverOrderInput(date=MARCH)) for made in sold
        )
        assert (len(notes), refused) == (24, [])
        assert rush.collisions == [], "nobody met a deadlock that had to be repeated"
        assert await shop.wrong() == {}
