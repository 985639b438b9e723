"""Documents of an earlier day: what they cost, and the one correction of today for what left since."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from erp.accounting.errors import NoOpenPeriod
from erp.accounting.schemas import ClosePeriodInput, CreatePeriodsInput, ReopenPeriodInput
from erp.accounting.service import close_period, create_periods, reopen_period
from erp.inventory.corrections_repository import (
    CORRECTED_PRODUCTS,
    CORRECTION,
    CorrectedProduct,
    CorrectionRow,
)
from erp.inventory.errors import BackdatedTooFar, BackdatedTooMuch, InsufficientStock
from erp.inventory.schemas import AdjustmentLineInput, AdjustmentView, CreateAdjustmentInput
from erp.inventory.service import create_adjustment
from erp.purchasing.schemas import (
    CreatePurchaseOrderInput,
    DirectReceiptInput,
    PurchaseLineInput,
    ReceivePurchaseOrderInput,
)
from erp.purchasing.service import create_order as purchase
from erp.purchasing.service import receive_directly, receive_order
from erp.sales.schemas import DeliverOrderInput, DirectCreditInput, DirectCreditLineInput, DirectSaleInput
from erp.sales.service import create_direct_credit, create_direct_sale, deliver_order
from tenancy.errors import Forbidden
from tenancy.work import UnitOfWork
from tests.slices.inventory.shop import Shop
from tests.slices.sales.selling import confirmed, deliver, line, step, take_back

FIRST, SECOND, THIRD = date(2026, 2, 2), date(2026, 2, 10), date(2026, 2, 20)


@pytest.fixture
async def books_of_today(shop: Shop) -> Shop:
    """With a period that is open today, whatever the year."""

    async def today(work: UnitOfWork) -> date:
        return work.today

    now = await shop.run(today)
    months = (now.year - 2026) * 12 + now.month
    for start in range(0, months, 120):
        first = date(2026 + start // 12, 1, 1)
        await shop.run(create_periods, CreatePeriodsInput(first_month=first, months=min(120, months - start)))
    return shop


async def lose(shop: Shop, quantity: str, on: date) -> AdjustmentView:
    data = AdjustmentLineInput(product_id=shop.lamp, quantity=f"-{quantity}")
    return await shop.run(create_adjustment, CreateAdjustmentInput(reason="lost", lines=[data], date=on))


async def corrections(shop: Shop) -> list[CorrectionRow]:
    ids = await shop.column("SELECT id FROM cost_corrections WHERE tenant_id = %(tenant_id)s ORDER BY number")
    return [row for one in ids for row in await shop.rows(CORRECTION(correction_id=one))]


async def products_of(shop: Shop, correction: CorrectionRow) -> list[CorrectedProduct]:
    return await shop.rows(CORRECTED_PRODUCTS(correction_id=correction.id))


async def entry_of(shop: Shop, entry_id: UUID) -> dict[str, Decimal]:
    """Role -> what the entry books on its account."""
    rows = await shop.column(
        "SELECT r.role || ' ' || l.base_amount FROM journal_lines l JOIN account_roles r"
        " ON r.tenant_id = l.tenant_id AND r.account_code = l.account_code"
        " WHERE l.tenant_id = %(tenant_id)s AND l.entry_id = %(id)s", id=entry_id,
    )  # fmt: skip
    return {role: Decimal(amount) for role, amount in (row.split() for row in rows)}


async def average(shop: Shop) -> Decimal:
    [found] = await shop.column(
        "SELECT value / quantity FROM product_costs WHERE tenant_id = %(tenant_id)s AND product_id = %(id)s",
        id=shop.lamp,
    )
    return Decimal(found).quantize(Decimal("0.0001"))


async def sold_on(shop: Shop, quantity: str, on: date) -> Decimal:
    """A sale over the counter; what its goods cost."""
    data = DirectSaleInput(party_id=shop.customer, lines=[line(shop.lamp, quantity)], date=on)
    return Decimal((await shop.run(create_direct_sale, data)).cost)


class TestLateReceipts:
    async def test_what_left_since_is_put_right_by_one_entry_of_today(self, books_of_today: Shop) -> None:
        shop = books_of_today
        await shop.receive(shop.lamp, "10", "10.00", on=FIRST)
        assert await sold_on(shop, "5", THIRD) == 50
        await lose(shop, "1", THIRD)
        balances = await shop.balances(THIRD)
        late = await shop.receive(shop.lamp, "10", "4.00", on=SECOND)
        assert late.value == "40.00"
        [found] = await corrections(shop)
        assert (found.source_type, found.source_id, found.source_number, found.effective_from) == (
            "stock_adjustment", late.id, late.number, SECOND,
        )  # fmt: skip
        # Ten at 10 and ten at 4: the average of the day after is 7. Five and one left at 10.
        assert (found.value, found.line_count, found.number[:4]) == (Decimal("18.00"), 2, "COR-")
        assert await entry_of(shop, found.entry_id) == {
            "inventory": Decimal("18.00"), "cogs": Decimal("-15.00"), "inventory_adjustment": Decimal("-3.00"),
        }  # fmt: skip
        assert await average(shop) == 7
        assert found.date >= THIRD
        assert found.accounting_date == found.date
        # What was booked then stays as it was booked then, but for the receipt itself.
        later = await shop.balances(THIRD)
        assert {code: later[code] - balances[code] for code in balances if later[code] != balances[code]} == {
            "1200": Decimal("40.00"), "5100": Decimal("-40.00"),
        }  # fmt: skip
        [lamp] = await products_of(shop, found)
        assert (lamp.product_id, lamp.issues, lamp.value) == (shop.lamp, 2, Decimal("18.00"))
        assert await shop.wrong() == {}

    async def test_a_second_late_document_counts_what_the_first_one_has_corrected(self, books_of_today: Shop) -> None:
        shop = books_of_today
        await shop.receive(shop.lamp, "10", "10.00", on=FIRST)
        await sold_on(shop, "5", THIRD)
        await shop.receive(shop.lamp, "10", "4.00", on=SECOND)
        await shop.receive(shop.lamp, "20", "8.50", on=SECOND)
        first, second = await corrections(shop)
        # 5 x (10 - 7), then 5 x (7 - 7.75).
        assert (first.value, second.value) == (Decimal("15.00"), Decimal("-3.75"))
        assert await average(shop) == Decimal("7.75")
        assert await shop.wrong() == {}

    async def test_nothing_that_left_since_means_no_correction(self, books_of_today: Shop) -> None:
        shop = books_of_today
        await shop.receive(shop.lamp, "10", "10.00", on=THIRD)
        await shop.receive(shop.lamp, "10", "4.00", on=FIRST)
        await sold_on(shop, "5", THIRD)
        assert await corrections(shop) == []
        assert await average(shop) == 7

    async def test_the_same_average_means_no_correction(self, books_of_today: Shop) -> None:
        shop = books_of_today
        await shop.receive(shop.lamp, "10", "3.333", on=FIRST)
        await sold_on(shop, "3", THIRD)
        await shop.receive(shop.lamp, "10", "3.333", on=SECOND)
        assert await corrections(shop) == []

    async def test_a_purchase_of_an_earlier_day_corrects_like_found_stock(self, books_of_today: Shop) -> None:
        shop = books_of_today
        await shop.receive(shop.lamp, "10", "10.00", on=FIRST)
        await sold_on(shop, "5", THIRD)
        bought = [PurchaseLineInput(product_id=shop.lamp, quantity="10", unit_price="4.00")]
        order = await shop.run(
            purchase, CreatePurchaseOrderInput(party_id=shop.supplier, lines=bought, date=FIRST, confirm=True)
        )
        receipt = await shop.run(receive_order, order.id, ReceivePurchaseOrderInput(date=SECOND))
        direct = await shop.run(
            receive_directly, DirectReceiptInput(party_id=shop.supplier, lines=bought, date=SECOND)
        )
        first, second = await corrections(shop)
        assert (first.source_id, first.source_number, first.value) == (receipt.id, receipt.number, Decimal("15.00"))
        assert (second.source_id, second.value) == (direct.receipt.id, Decimal("5.00"))
        assert await average(shop) == 6
        assert await shop.wrong() == {}


class TestLateIssues:
    async def test_they_cost_what_the_average_of_their_day_was(self, books_of_today: Shop) -> None:
        shop = books_of_today
        await shop.receive(shop.lamp, "10", "10.00", on=FIRST)
        await shop.receive(shop.lamp, "10", "4.00", on=THIRD)
        assert await sold_on(shop, "5", SECOND) == 50
        assert await corrections(shop) == []
        assert await average(shop) == 6
        await sold_on(shop, "1", THIRD)
        # Of the last five at 10 none is left for the average of the third day.
        note = await deliver(shop, (await confirmed(shop, line(shop.lamp, "5"))).id, on=SECOND)
        assert note.cost == "50.00"
        [found] = await corrections(shop)
        assert (found.source_id, found.value) == (note.id, Decimal("2.00"))
        assert await average(shop) == 4
        assert await shop.wrong() == {}

    async def test_found_stock_without_a_cost_is_worth_the_average_of_its_day(self, books_of_today: Shop) -> None:
        shop = books_of_today
        await shop.receive(shop.lamp, "10", "10.00", on=FIRST)
        await shop.receive(shop.lamp, "10", "4.00", on=THIRD)
        found = AdjustmentLineInput(product_id=shop.lamp, quantity="2")
        made = await shop.run(create_adjustment, CreateAdjustmentInput(reason="found", lines=[found], date=SECOND))
        assert made.value == "20.00"

    async def test_goods_that_come_back_late_correct_what_left_after_them(self, books_of_today: Shop) -> None:
        shop = books_of_today
        await shop.receive(shop.lamp, "10", "10.00", on=FIRST)
        note = await deliver(shop, (await confirmed(shop, line(shop.lamp, "5"))).id, on=FIRST)
        await shop.receive(shop.lamp, "5", "4.00", on=SECOND)
        assert await sold_on(shop, "2", THIRD) == 14
        back = await take_back(shop, note.id, step(1, "2"), on=SECOND)
        assert back.cost == "20.00", "what they cost when they left"
        [found] = await corrections(shop)
        assert (found.source_type, found.value) == ("return", Decimal("-1.00"))
        credit = DirectCreditInput(
            party_id=shop.customer, reason="Again", date=SECOND,
            lines=[DirectCreditLineInput(product_id=shop.lamp, quantity="1", unit_cost="1")],
        )  # fmt: skip
        await shop.run(create_direct_credit, credit)
        assert len(await corrections(shop)) == 2
        assert await shop.wrong() == {}

    async def test_quantities_stay_above_zero_on_every_later_day(self, books_of_today: Shop) -> None:
        shop = books_of_today
        await shop.receive(shop.lamp, "10", "10.00", on=FIRST)
        await sold_on(shop, "8", SECOND)
        await shop.receive(shop.lamp, "20", "4.00", on=THIRD)
        with pytest.raises(InsufficientStock):
            await sold_on(shop, "3", FIRST)
        await sold_on(shop, "2", FIRST)
        assert await shop.wrong() == {}

    async def test_sold_out_goods_leave_nothing_behind(self, books_of_today: Shop) -> None:
        shop = books_of_today
        await shop.receive(shop.lamp, "3", "3.333333", on=FIRST)
        await sold_on(shop, "2", THIRD)
        assert await sold_on(shop, "1", SECOND) == Decimal("3.33")
        [cost] = await shop.column("SELECT value FROM product_costs WHERE tenant_id = %(tenant_id)s")
        assert cost == 0
        assert await shop.wrong() == {}


class TestPeriods:
    async def test_the_correction_is_posted_in_the_open_period_of_today(self, books_of_today: Shop) -> None:
        """Closed is where the issue was, and where the late document wants to be."""
        shop = books_of_today
        await shop.receive(shop.lamp, "10", "10.00", on=FIRST)
        await sold_on(shop, "5", date(2026, 3, 5))
        february = await shop.period(FIRST)
        await shop.run(close_period, february.id, ClosePeriodInput(state="closed", reason="Filed"))
        late = await shop.receive(shop.lamp, "10", "4.00", on=SECOND)
        assert (late.date, late.accounting_date) == (SECOND, date(2026, 3, 1))
        [found] = await corrections(shop)
        assert (found.effective_from, found.value) == (date(2026, 3, 1), Decimal("15.00"))
        assert found.accounting_date >= date(2026, 3, 5)
        assert await shop.wrong() == {}

    async def test_moved_behind_everything_there_is_nothing_to_correct(self, books_of_today: Shop) -> None:
        shop = books_of_today
        await shop.receive(shop.lamp, "10", "10.00", on=FIRST)
        await sold_on(shop, "5", SECOND)
        february = await shop.period(FIRST)
        await shop.run(close_period, february.id, ClosePeriodInput(state="closed", reason="Filed"))
        await shop.receive(shop.lamp, "10", "4.00", on=FIRST)
        assert await corrections(shop) == []
        assert await average(shop) == 6

    async def test_without_an_open_period_today_only_what_needs_a_correction_is_refused(
        self, books_of_today: Shop
    ) -> None:
        shop = books_of_today
        await shop.receive(shop.lamp, "10", "10.00", on=FIRST)
        await sold_on(shop, "5", THIRD)

        async def today(work: UnitOfWork) -> date:
            return work.today

        now, month = await shop.run(today), (await shop.run(today)).replace(day=1)
        while True:
            found = await shop.column(
                "SELECT id FROM periods WHERE tenant_id = %(tenant_id)s AND start_date >= %(day)s AND state = 'open'",
                day=month,
            )
            if not found:
                break
            for period in found:
                await shop.run(close_period, period, ClosePeriodInput(reason="Too early"))
        await shop.receive(shop.lamp, "1", "10.00", on=SECOND)
        with pytest.raises(NoOpenPeriod):
            await shop.receive(shop.lamp, "10", "4.00", on=SECOND)
        assert now >= month
        assert await shop.wrong() == {}

    async def test_a_document_of_today_may_be_late_too(self, books_of_today: Shop) -> None:
        """Yesterday's went to next month, because this month was closed; now it is open again."""
        shop = books_of_today

        async def today(work: UnitOfWork) -> date:
            return work.today

        now = await shop.run(today)
        following = (now.replace(day=1) + timedelta(days=32)).replace(day=1)
        await shop.run(create_periods, CreatePeriodsInput(first_month=following, months=1))
        await shop.receive(shop.lamp, "10", "10.00", on=FIRST)
        period = await shop.period(now)
        await shop.run(close_period, period.id, ClosePeriodInput(reason="Too early"))
        await sold_on(shop, "2", now)
        await shop.receive(shop.lamp, "90", "1.00", on=now)
        await shop.run(reopen_period, period.id, ReopenPeriodInput(reason="Sorry"))
        with pytest.raises(InsufficientStock):
            await sold_on(shop, "11", now)
        await shop.receive(shop.lamp, "10", "4.00", on=now)
        [found] = await corrections(shop)
        assert found.value == Decimal("6.00")
        assert await shop.wrong() == {}


class TestBounds:
    async def test_how_far_back_is_a_setting(self, books_of_today: Shop) -> None:
        shop = books_of_today
        await shop.receive(shop.lamp, "10", "10.00", on=FIRST)
        await sold_on(shop, "5", THIRD)
        strict = shop.tuned(inventory__max_backdate_days=0)
        with pytest.raises(BackdatedTooFar) as refusal:
            await strict.receive(shop.lamp, "10", "4.00", on=SECOND)
        assert refusal.value.facts["product_ids"] == [str(shop.lamp)]
        assert refusal.value.facts["max_backdate_days"] == 0
        assert refusal.value.pointer == "/date"
        await strict.receive(shop.cup, "10", "4.00", on=FIRST)
        await strict.receive(shop.lamp, "10", "4.00", on=THIRD)
        assert await corrections(shop) == [], "nothing of theirs had moved later"
        assert await shop.wrong() == {}

    async def test_so_much_may_have_moved_and_no_more(
        self, books_of_today: Shop, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        shop = books_of_today
        monkeypatch.setattr("erp.inventory.backdating.LOOKED_AT", 2)
        await shop.receive(shop.lamp, "10", "10.00", on=FIRST)
        await sold_on(shop, "1", THIRD)
        await sold_on(shop, "1", THIRD)
        await shop.receive(shop.lamp, "1", "10.00", on=SECOND)
        await sold_on(shop, "1", THIRD)
        with pytest.raises(BackdatedTooMuch):
            await shop.receive(shop.lamp, "1", "10.00", on=SECOND)

    async def test_history_is_left_in_the_order_of_recording(self, books_of_today: Shop) -> None:
        shop = books_of_today
        strict = shop.tuned(inventory__max_backdate_days=0)
        await strict.receive(shop.lamp, "10", "10.00", on=FIRST)

        async def record(command: Callable[..., Awaitable[Any]], data: Any) -> Any:
            return await strict.run(command, data)

        sale = DirectSaleInput(party_id=shop.customer, lines=[line(shop.lamp, "5")], date=THIRD, history=True)
        await record(create_direct_sale, sale)
        found = [AdjustmentLineInput(product_id=shop.lamp, quantity="10", unit_cost="4")]
        await record(create_adjustment, CreateAdjustmentInput(reason="x_y", lines=found, date=SECOND, history=True))
        bought = [PurchaseLineInput(product_id=shop.lamp, quantity="5", unit_price="6.00")]
        await record(
            receive_directly,
            DirectReceiptInput(party_id=shop.supplier, lines=bought, date=FIRST, history=True),
        )
        back = [DirectCreditLineInput(product_id=shop.lamp, quantity="1")]
        await record(
            create_direct_credit,
            DirectCreditInput(party_id=shop.customer, lines=back, reason="Back", date=FIRST, history=True),
        )
        early = DirectSaleInput(party_id=shop.customer, lines=[line(shop.lamp, "1")], date=FIRST, history=True)
        assert (await record(create_direct_sale, early)).cost == "6.00", "the average of the moment"
        too_early = DirectSaleInput(party_id=shop.customer, lines=[line(shop.lamp, "16")], date=FIRST, history=True)
        with pytest.raises(InsufficientStock):
            await record(create_direct_sale, too_early)
        assert await corrections(shop) == []
        assert await shop.wrong() == {}

    async def test_history_needs_the_permission_to_import(self, books_of_today: Shop) -> None:
        shop = books_of_today
        scopes = frozenset({"stock:*", "sales_orders:*", "deliveries:*", "invoices:*", "returns:*"})
        clerk = replace(shop, caller=replace(shop.caller, scopes=scopes))
        lines = [AdjustmentLineInput(product_id=shop.lamp, quantity="1", unit_cost="4")]
        with pytest.raises(Forbidden):
            await clerk.run(
                create_adjustment, CreateAdjustmentInput(reason="x_y", lines=lines, date=FIRST, history=True)
            )
        sale = DirectSaleInput(party_id=shop.customer, lines=[line(shop.lamp)], date=FIRST, history=True)
        with pytest.raises(Forbidden):
            await clerk.run(create_direct_sale, sale)


class TestCost:
    async def test_a_late_document_takes_no_more_round_trips(self, books_of_today: Shop) -> None:
        shop = books_of_today
        await shop.receive(shop.lamp, "100", "10.00", on=FIRST)
        made = [await confirmed(shop, line(shop.lamp, "5")) for _ in range(2)]
        _, in_order = await shop.counted(deliver_order, made[0].id, DeliverOrderInput(date=THIRD))
        await shop.receive(shop.lamp, "10", "4.00", on=THIRD)
        await sold_on(shop, "1", THIRD)
        _, late = await shop.counted(deliver_order, made[1].id, DeliverOrderInput(date=SECOND))
        assert len(await corrections(shop)) == 1
        assert (in_order.postgres, late.postgres) == (4, 4)

    async def test_a_document_of_today_asks_for_nothing_of_later_days(self, books_of_today: Shop) -> None:
        shop = books_of_today
        await shop.receive(shop.lamp, "100", "10.00", on=FIRST)
        made = await confirmed(shop, line(shop.lamp, "5"))
        _, today = await shop.counted(deliver_order, made.id, DeliverOrderInput())
        assert today.postgres == 4
        assert not [one for one in today.statements if "FROM stock_moves" in one or "JOIN stock_moves" in one]

    async def test_many_issues_are_one_correction_with_a_row_each(self, books_of_today: Shop) -> None:
        shop = books_of_today
        await shop.receive(shop.lamp, "5000", "10.00", on=FIRST)
        sale = DirectSaleInput(party_id=shop.customer, lines=[line(shop.lamp)] * 1200, date=THIRD)
        await shop.run(create_direct_sale, sale)
        data = CreateAdjustmentInput(
            reason="found", date=SECOND,
            lines=[AdjustmentLineInput(product_id=shop.lamp, quantity="5000", unit_cost="4.00")],
        )  # fmt: skip
        _, counted = await shop.counted(create_adjustment, data)
        assert counted.postgres == 4
        [found] = await corrections(shop)
        assert (found.line_count, found.value) == (1200, Decimal("3600.00"))
        assert await average(shop) == 7


async def test_a_wrong_correction_is_named_by_the_proof(books_of_today: Shop) -> None:
    shop = books_of_today
    await shop.receive(shop.lamp, "10", "10.00", on=FIRST)
    await sold_on(shop, "5", THIRD)
    await shop.receive(shop.lamp, "10", "4.00", on=SECOND)
    shop.tamper("UPDATE cost_correction_lines SET amount = 14 WHERE tenant_id = %s", shop.caller.tenant.id)
    assert list(await shop.wrong()) == ["cost-corrections"]
