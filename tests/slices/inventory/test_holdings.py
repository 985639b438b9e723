"""Quantities, moving average and postings of stock, decided on values alone."""

from decimal import Decimal
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from erp.inventory.errors import CostUnknown, InsufficientStock
from erp.inventory.stock import CostRow, Demand, LaterRow, LevelRow, Stock

D = Decimal
LAMP, CUP, SHELF, CELLAR = uuid4(), uuid4(), uuid4(), uuid4()


def level(product: UUID, on_hand: str, reserved: str = "0", location: UUID = SHELF) -> LevelRow:
    return LevelRow(product, location, uuid4(), D(on_hand), D(reserved), 1)


def cost(product: UUID, quantity: str, value: str, last: str | None = None) -> CostRow:
    return CostRow(product, D(quantity), D(value), None if last is None else D(last))


def lamps(quantity: str, value: str, reserved: str = "0") -> Stock:
    return Stock([level(LAMP, quantity, reserved)], [cost(LAMP, quantity, value)], "GBP")


class TestQuantities:
    def test_what_is_reserved_is_not_available(self) -> None:
        stock = lamps("10", "100.00", reserved="4")
        stock.reserve(LAMP, SHELF, D(6))
        assert stock.available(LAMP, SHELF) == 0
        with pytest.raises(InsufficientStock):
            stock.reserve(LAMP, SHELF, D("0.000001"))

    def test_a_product_that_never_was_in_the_location_has_nothing(self) -> None:
        stock = Stock([], [], "GBP")
        assert stock.available(LAMP, SHELF) == 0
        with pytest.raises(InsufficientStock):
            stock.reserve(LAMP, SHELF, D(1))

    def test_a_document_takes_its_own_reservation_but_not_that_of_others(self) -> None:
        stock = lamps("10", "100.00", reserved="10")
        stock.issue(None, LAMP, SHELF, D(3), reserved=D(3))
        with pytest.raises(InsufficientStock):
            stock.issue(None, LAMP, SHELF, D(1))

    def test_two_lines_of_one_product_are_added_up_before_they_are_checked(self) -> None:
        stock = lamps("10", "100.00")
        with pytest.raises(InsufficientStock) as refusal:
            stock.require([Demand(LAMP, SHELF, D(6), pointer="/lines/0"), Demand(LAMP, SHELF, D(6))])
        assert refusal.value.pointer == "/lines/0"
        assert refusal.value.facts["shortages"] == [
            {"product_id": str(LAMP), "location_id": str(SHELF), "requested": "12", "available": "10"}
        ]

    def test_a_refusal_names_every_product_that_lacks(self) -> None:
        stock = Stock([level(LAMP, "1"), level(CUP, "1")], [], "GBP")
        with pytest.raises(InsufficientStock) as refusal:
            stock.require([Demand(LAMP, SHELF, D(2)), Demand(CUP, SHELF, D(3))])
        assert [short["product_id"] for short in refusal.value.facts["shortages"]] == [str(LAMP), str(CUP)]

    def test_releasing_makes_it_available_again(self) -> None:
        stock = lamps("10", "100.00", reserved="4")
        stock.release(LAMP, SHELF, D(4))
        assert stock.available(LAMP, SHELF) == 10

    def test_a_late_document_cannot_take_what_arrived_after_its_date(self) -> None:
        stock = Stock([level(LAMP, "10")], [cost(LAMP, "10", "100")], "GBP", [LaterRow(LAMP, SHELF, D(7))])
        assert stock.present(LAMP, SHELF) == 3
        with pytest.raises(InsufficientStock):
            stock.issue(None, LAMP, SHELF, D(4))
        stock.issue(None, LAMP, SHELF, D(3))

    def test_a_reservation_may_hold_what_arrived_later(self) -> None:
        stock = Stock([level(LAMP, "10")], [], "GBP", [LaterRow(LAMP, SHELF, D(7))])
        stock.reserve(LAMP, SHELF, D(10))


class TestCost:
    def test_the_average_over_two_receipts(self) -> None:
        stock = lamps("10", "100.00")
        stock.receive(None, LAMP, SHELF, D(10), D("120.00"))
        move = stock.issue(None, LAMP, SHELF, D(5))
        assert (move.value, move.unit_cost) == (D("-55.00"), D(11))

    def test_the_last_unit_takes_what_is_left_of_the_value(self) -> None:
        stock = lamps("3", "10.00")
        values = [stock.issue(None, LAMP, SHELF, D(1)).value for _ in range(3)]
        assert values == [D("-3.33"), D("-3.34"), D("-3.33")]

    def test_all_locations_share_one_average(self) -> None:
        stock = Stock([level(LAMP, "0"), level(LAMP, "10", location=CELLAR)], [cost(LAMP, "10", "50.00")], "GBP")
        stock.receive(None, LAMP, SHELF, D(10), D("150.00"))
        assert stock.issue(None, LAMP, CELLAR, D(1)).value == D("-10.00")

    def test_the_last_average_survives_an_empty_shelf(self) -> None:
        stock = lamps("2", "21.00")
        stock.issue(None, LAMP, SHELF, D(2))
        assert stock.unit_cost(LAMP) == D("10.5")
        assert stock.average_value(LAMP, D(3)) == D("31.50")

    def test_a_product_that_never_had_stock_has_no_average(self) -> None:
        stock = Stock([level(LAMP, "0")], [cost(LAMP, "0", "0")], "GBP")
        with pytest.raises(CostUnknown):
            stock.average_value(LAMP, D(1))

    def test_yen_have_no_decimals(self) -> None:
        stock = Stock([level(LAMP, "3")], [cost(LAMP, "3", "100")], "JPY")
        assert stock.issue(None, LAMP, SHELF, D(1)).value == D("-33")

    @given(
        receipts=st.lists(st.tuples(st.integers(1, 10**6), st.integers(0, 10**8)), min_size=1, max_size=8),
        shares=st.lists(st.integers(1, 100), max_size=20),
    )
    def test_moves_always_add_up_and_nothing_left_is_worth_nothing(
        self, receipts: list[tuple[int, int]], shares: list[int]
    ) -> None:
        stock = Stock([level(LAMP, "0")], [cost(LAMP, "0", "0")], "GBP")
        for millionths, cents in receipts:
            stock.receive(None, LAMP, SHELF, D(millionths).scaleb(-6), D(cents).scaleb(-2))
        for share in shares:
            left = stock.available(LAMP, SHELF)
            quantity = (left * share / 100).quantize(D("0.000001"))
            if quantity:
                stock.issue(None, LAMP, SHELF, quantity)
        if left := stock.available(LAMP, SHELF):
            stock.issue(None, LAMP, SHELF, left)
        assert sum(move.quantity for move in stock.moves) == 0
        assert sum(move.value for move in stock.moves) == 0
        assert all(move.value == move.value.quantize(D("0.01")) for move in stock.moves)
        assert all(move.value * move.quantity >= 0 for move in stock.moves)


class TestPostings:
    def test_one_inventory_line_for_each_move_that_has_a_value(self) -> None:
        stock = Stock([level(LAMP, "9"), level(CUP, "5")], [cost(LAMP, "9", "90"), cost(CUP, "5", "0")], "GBP")
        stock.issue(None, LAMP, SHELF, D(1))
        stock.issue(None, CUP, SHELF, D(1))
        stock.issue(None, LAMP, SHELF, D(2))
        lines = stock.postings("@cogs")
        assert [(line.account, line.amount) for line in lines] == [
            ("@inventory", D("-10.00")), ("@inventory", D("-20.00")), ("@cogs", D("30.00")),
        ]  # fmt: skip
        assert [line.product_id for line in lines] == [LAMP, LAMP, None]

    def test_gains_and_losses_of_one_document_are_not_netted(self) -> None:
        stock = Stock([level(LAMP, "9"), level(CUP, "5")], [cost(LAMP, "9", "90"), cost(CUP, "5", "50")], "GBP")
        stock.issue(None, LAMP, SHELF, D(1))
        stock.receive(None, CUP, SHELF, D(1), D("10.00"))
        counters = [line.amount for line in stock.postings("@inventory_adjustment") if line.account != "@inventory"]
        assert counters == [D("10.00"), D("-10.00")]

    def test_worthless_goods_need_no_entry(self) -> None:
        stock = Stock([level(CUP, "5")], [cost(CUP, "5", "0")], "GBP")
        stock.issue(None, CUP, SHELF, D(5))
        assert stock.postings("@cogs") == []
