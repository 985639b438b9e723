"""Goods leave and come back: reservations, stock, cost of goods, numbers, states."""

from datetime import date
from decimal import Decimal

import pytest

from db.errors import Duplicate, UnknownReference
from erp.inventory.errors import DateInFuture, InsufficientStock
from erp.inventory.schemas import CreateLocationInput, CreateWarehouseInput
from erp.inventory.service import create_location, create_warehouse, expire_reservations
from erp.kernel.errors import Invalid, InvalidState, NotFound
from erp.sales.errors import MoreThanOpen, NothingToDo
from erp.sales.queries import ORDER_STATE
from erp.sales.repository import ORDER, ORDER_LINES
from erp.sales.schemas import DeliverOrderInput, ReturnDeliveryInput
from erp.sales.service import deliver_order, return_delivery
from tests.slices.inventory.shop import MARCH, Shop
from tests.slices.sales.selling import confirmed, deliver, line, order, step, take_back


class TestDelivering:
    async def test_a_delivery_uses_the_reservation_issues_stock_and_posts_its_cost(self, shop: Shop) -> None:
        await shop.receive(shop.lamp, "10", "4.00")
        await shop.receive(shop.lamp, "10", "5.00")
        made = await confirmed(shop, line(shop.lamp, "5"), line(shop.carriage))
        note = await deliver(shop, made.id)
        assert (note.number[:8], note.order_state, note.cost) == ("DN-2026-", "delivered", "22.50")
        assert [(one.quantity, one.unit_cost, one.cost) for one in note.lines] == [("5", "4.5", "22.50")]
        assert await shop.level(shop.lamp) == ("15", "0")
        states = await shop.column(
            "SELECT state || ' ' || open_quantity FROM reservations WHERE tenant_id = %(tenant_id)s"
        )
        assert states == ["consumed 0"]
        cogs = await shop.column(
            "SELECT sum(l.base_amount) FROM journal_lines l JOIN account_roles r ON r.tenant_id = l.tenant_id"
            " AND r.account_code = l.account_code WHERE l.tenant_id = %(tenant_id)s AND r.role = 'cogs'"
        )
        assert cogs == [Decimal("22.50")]
        assert await shop.wrong() == {}

    async def test_several_deliveries_and_the_rest_on_backorder(self, shop: Shop) -> None:
        await shop.receive(shop.lamp, "10")
        made = await confirmed(shop, line(shop.lamp, "6"), line(shop.lamp, "4"))
        first = await deliver(shop, made.id, step(1, "2"), step(2, "1"), step(1, "1"))
        assert (first.order_state, [one.quantity for one in first.lines]) == ("partially_delivered", ["3", "1"])
        assert await shop.level(shop.lamp) == ("6", "6")
        with pytest.raises(MoreThanOpen) as refusal:
            await deliver(shop, made.id, step(2, "4"))
        assert refusal.value.facts["open"] == "3"
        second = await deliver(shop, made.id)
        assert (second.order_state, second.lines[0].quantity) == ("delivered", "3")
        with pytest.raises(InvalidState):
            await deliver(shop, made.id)
        assert await shop.wrong() == {}

    async def test_without_lines_as_much_leaves_as_stock_allows(self, shop: Shop) -> None:
        await shop.receive(shop.lamp, "30")
        made = await confirmed(
            shop, line(shop.lamp, "3", unit_code="box"), line(shop.cup, "2"), line(shop.lamp, "9"), allow_partial=True
        )
        note = await deliver(shop, made.id)
        assert [(one.quantity, one.unit_code, one.base_quantity) for one in note.lines] == [
            ("2", "box", "24"), ("6", "pcs", "6"),
        ]  # fmt: skip
        assert note.order_state == "partially_delivered"
        assert await shop.level(shop.lamp) == ("0", "0")
        with pytest.raises(NothingToDo):
            await deliver(shop, made.id)
        await shop.receive(shop.cup, "1")
        assert [one.quantity for one in (await deliver(shop, made.id)).lines] == ["1"]
        assert await shop.wrong() == {}

    async def test_an_order_without_reservation_takes_what_is_free_and_nothing_of_others(self, shop: Shop) -> None:
        await shop.receive(shop.lamp, "10")
        late = await confirmed(shop, line(shop.lamp, "6"))
        shop.tamper("UPDATE reservations SET expires_at = now() WHERE source_id = %s", late.id)
        await shop.run(expire_reservations, 10)
        await confirmed(shop, line(shop.lamp, "7"))
        with pytest.raises(InsufficientStock):
            await deliver(shop, late.id, step(1))
        note = await deliver(shop, late.id)
        assert note.lines[0].quantity == "3"
        assert await shop.level(shop.lamp) == ("7", "7")

    async def test_a_late_delivery_takes_nothing_that_arrived_later(self, shop: Shop) -> None:
        await shop.receive(shop.lamp, "3", on=date(2026, 2, 1))
        await shop.receive(shop.lamp, "5", on=MARCH)
        made = await confirmed(shop, line(shop.lamp, "5"))
        with pytest.raises(InsufficientStock):
            await deliver(shop, made.id, step(1), on=date(2026, 2, 2))
        assert (await deliver(shop, made.id, on=date(2026, 2, 2))).lines[0].quantity == "3"
        with pytest.raises(DateInFuture):
            await deliver(shop, made.id, on=date(2999, 1, 1))
        assert await shop.wrong() == {}

    async def test_what_cannot_be_delivered_is_refused(self, shop: Shop) -> None:
        await shop.receive(shop.lamp, "5")
        with pytest.raises(InvalidState):
            await deliver(shop, (await order(shop, line(shop.lamp))).id)
        with pytest.raises(NotFound):
            await deliver(shop, shop.lamp)
        made = await confirmed(shop, line(shop.lamp), line(shop.carriage))
        with pytest.raises(UnknownReference, match="There is no line 3") as unknown:
            await deliver(shop, made.id, step(1), step(3))
        assert unknown.value.pointer == "/lines/1/line_no"
        with pytest.raises(UnknownReference, match="Line 2 is a service") as service:
            await deliver(shop, made.id, step(1), step(2))
        assert service.value.pointer == "/lines/1/line_no"
        await deliver(shop, made.id, step(1), external_id="dn-1")
        again = await confirmed(shop, line(shop.lamp))
        with pytest.raises(Duplicate):
            await deliver(shop, again.id, external_id="dn-1")
        assert await shop.wrong() == {}, "the number of the refused one was given back"

    async def test_the_order_tells_what_was_delivered(self, shop: Shop) -> None:
        await shop.receive(shop.lamp, "10")
        made = await confirmed(shop, line(shop.lamp, "6"))
        note = await deliver(shop, made.id, step(1, "2"))
        [row] = await shop.rows(ORDER(order_id=made.id))
        [kept] = await shop.rows(ORDER_LINES(order_id=made.id))
        assert (row.state, row.version, kept.delivered, kept.open) == ("partially_delivered", 2, 2, 4)
        [state] = await shop.rows(ORDER_STATE(delivery_id=note.id))
        assert state.state == "partially_delivered"


class TestReturning:
    async def test_goods_come_back_at_what_they_cost_when_they_left(self, shop: Shop) -> None:
        await shop.receive(shop.lamp, "3", "3.333333")
        made = await confirmed(shop, line(shop.lamp, "3"))
        note = await deliver(shop, made.id)
        assert note.cost == "10.00"
        await shop.receive(shop.lamp, "10", "8.00")
        costs = [(await take_back(shop, note.id, step(1, "1"))).cost for _ in range(3)]
        assert costs == ["3.33", "3.34", "3.33"]
        assert await shop.level(shop.lamp) == ("13", "0")
        with pytest.raises(NothingToDo):
            await take_back(shop, note.id)
        with pytest.raises(MoreThanOpen):
            await take_back(shop, note.id, step(1, "1"))
        balances = await shop.balances()
        assert Decimal("90.00") in balances.values()
        assert await shop.wrong() == {}

    async def test_a_return_is_numbered_and_leaves_the_order_delivered(self, shop: Shop) -> None:
        await shop.receive(shop.lamp, "30")
        made = await confirmed(shop, line(shop.lamp, "2", unit_code="box"))
        note = await deliver(shop, made.id)
        back = await take_back(shop, note.id, step(1, "0.5"))
        assert (back.number[:9], back.lines[0].base_quantity) == ("RET-2026-", "6")
        [row] = await shop.rows(ORDER(order_id=made.id))
        [kept] = await shop.rows(ORDER_LINES(order_id=made.id))
        assert (row.state, kept.returned, kept.delivered) == ("delivered", Decimal("0.5"), 2)
        assert await shop.wrong() == {}

    async def test_a_return_may_go_elsewhere(self, shop: Shop) -> None:
        await shop.receive(shop.lamp, "5")
        yard = await shop.run(create_warehouse, CreateWarehouseInput(code="YARD", name="Yard"))
        gate = await shop.run(create_location, CreateLocationInput(warehouse_id=yard.id, code="GATE", name="Gate"))
        note = await deliver(shop, (await confirmed(shop, line(shop.lamp, "5"))).id)
        await take_back(shop, note.id, step(1, "2"), location_id=gate.id)
        assert await shop.level(shop.lamp, gate.id) == ("2", "0")
        assert await shop.wrong() == {}

    async def test_nothing_comes_back_before_it_left(self, shop: Shop) -> None:
        await shop.receive(shop.lamp, "5")
        note = await deliver(shop, (await confirmed(shop, line(shop.lamp, "5"))).id)
        with pytest.raises(Invalid):
            await take_back(shop, note.id, on=date(2026, 3, 9))
        with pytest.raises(NotFound):
            await take_back(shop, shop.lamp)


class TestRoundTrips:
    async def test_delivering_and_returning_take_four_however_many_lines(self, shop: Shop) -> None:
        await shop.receive(shop.lamp, "900")
        few = await confirmed(shop, *[line(shop.lamp)] * 3)
        many = await confirmed(shop, *[line(shop.lamp)] * 100)
        note, three = await shop.counted(deliver_order, few.id, DeliverOrderInput(date=MARCH))
        big, hundred = await shop.counted(deliver_order, many.id, DeliverOrderInput(date=MARCH))
        assert (three.postgres, hundred.postgres) == (4, 4)
        assert (three.redis, hundred.redis) == (1, 1)
        assert (len(three.statements), len(hundred.statements)) == (27, 27)
        _, back = await shop.counted(return_delivery, note.id, ReturnDeliveryInput(reason="Wrong", date=MARCH))
        _, all_back = await shop.counted(return_delivery, big.id, ReturnDeliveryInput(reason="Wrong", date=MARCH))
        assert (back.postgres, all_back.postgres) == (4, 4)
        assert await shop.wrong() == {}
