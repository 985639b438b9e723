"""What a step takes of lines and stock, on values alone."""

from decimal import Decimal
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from erp.inventory.errors import InsufficientStock
from erp.inventory.stock import LevelRow, Stock
from erp.kernel.quantity import NotRepresentable
from erp.sales.errors import MoreThanOpen, NothingToDo
from erp.sales.planning import cut, named, plan_delivery, plan_holds
from erp.sales.returning import returned_cost
from erp.sales.rows import DeliveryLineRow, LineRow
from erp.sales.schemas import StepLineInput

D = Decimal
LAMP, SHELF = uuid4(), uuid4()


def line(
    quantity: str, line_no: int = 1, *, base: str | None = None, delivered: str = "0", product: UUID = LAMP
) -> LineRow:
    zero = D(0)
    return LineRow(
        uuid4(), line_no, product, "stocked", "Lamp", D(quantity), "pcs", D(base or quantity), 0, D(10), zero, None,
        zero, zero, zero, zero, zero, D(delivered), zero,
    )  # fmt: skip


def stock(on_hand: int, reserved: int = 0) -> Stock:
    return Stock([LevelRow(LAMP, SHELF, uuid4(), D(on_hand), D(reserved), 1)], [], "GBP")


def test_a_line_named_twice_is_added_up() -> None:
    lines = [line("5"), line("3", 2)]
    left = {1: D(5), 2: D(3)}
    steps = [StepLineInput(line_no=2), StepLineInput(line_no=1, quantity="2"), StepLineInput(line_no=1, quantity="3")]
    assert named(steps, lines, left) == [(lines[0], D(5)), (lines[1], D(3))]
    with pytest.raises(MoreThanOpen) as refusal:
        named([*steps, StepLineInput(line_no=1, quantity="0.1")], lines, left)
    assert refusal.value.pointer == "/lines/3/quantity"
    with pytest.raises(NothingToDo):
        named(None, lines, {})


def test_a_box_is_cut_to_whole_ones_and_pieces_as_they_are() -> None:
    boxes = line("3", base="36")
    assert [cut(boxes, D(quantity)) for quantity in (0, 11, 12, 35, 36)] == [0, 0, 12, 24, 36]
    thirds = line("9", base="3")
    assert [cut(thirds, D(quantity)) for quantity in (0, 1, 2, 3)] == [0, 1, 2, 3], "three thirds at a time"
    assert cut(line("3"), D(2)) == 2


def test_no_step_is_about_half_a_piece() -> None:
    lines = [line("5"), line("3", 2, base="36"), line("1", 3)]
    left = {1: D(5), 2: D(3), 3: D(1)}
    for line_no, quantity in ((1, "0.5"), (1, "4.5"), (2, "0.1"), (2, "0.000001")):
        steps = [StepLineInput(line_no=3), StepLineInput(line_no=line_no, quantity=quantity)]
        with pytest.raises(NotRepresentable) as refusal:
            named(steps, lines, left)
        assert refusal.value.pointer == "/lines/1/quantity"
    quarter = StepLineInput(line_no=2, quantity="0.25")
    assert named([quarter], lines, left) == [(lines[1], D("0.25"))], "three pieces of a box of twelve"
    rest = StepLineInput(line_no=1, quantity="0.25")
    assert named([rest], lines, {1: D("0.25")}) == [(lines[0], D("0.25"))], "what is left of a line can be taken"


def test_no_part_of_a_piece_leaves() -> None:
    with pytest.raises(NotRepresentable):
        line("3", base="36").base(D("0.1"))
    assert line("3", base="36").base(D("0.25")) == 3


@given(
    on_hand=st.integers(0, 60), others=st.integers(0, 60),
    wanted=st.lists(st.integers(1, 20), min_size=1, max_size=5),
    share=st.lists(st.integers(0, 20), min_size=5, max_size=5),
)  # fmt: skip
def test_a_delivery_never_takes_what_others_hold(
    on_hand: int, others: int, wanted: list[int], share: list[int]
) -> None:
    lines = [line(str(quantity), number) for number, quantity in enumerate(wanted, start=1)]
    held = {one.id: D(min(part, quantity)) for one, part, quantity in zip(lines, share, wanted, strict=False)}
    own = int(sum(held.values()))
    if own + others > on_hand:
        return
    shelf = stock(on_hand, own + others)
    try:
        drops = plan_delivery(shelf, lines, SHELF, held, None)
    except NothingToDo:
        assert on_hand - others == 0 or own == 0
        return
    taken = sum(drop.base for drop in drops)
    assert taken <= on_hand - others
    assert taken == min(sum(wanted), on_hand - others)
    assert all(drop.reserved <= held[drop.line.id] and drop.base <= drop.line.open for drop in drops)


@given(available=st.integers(0, 40), wanted=st.lists(st.integers(1, 15), min_size=1, max_size=5))
def test_reserving_takes_all_or_nothing_unless_part_will_do(available: int, wanted: list[int]) -> None:
    lines = [line(str(quantity), number) for number, quantity in enumerate(wanted, start=1)]
    whole, partial = stock(available), stock(available)
    if sum(wanted) > available:
        with pytest.raises(InsufficientStock):
            plan_holds(whole, lines, SHELF, {}, allow_partial=False)
        assert whole.available(LAMP, SHELF) == available
    else:
        plan_holds(whole, lines, SHELF, {}, allow_partial=False)
    held = plan_holds(partial, lines, SHELF, {}, allow_partial=True)
    assert sum(hold.quantity for hold in held) == min(available, sum(wanted))


@given(cost=st.integers(0, 10**6), parts=st.lists(st.integers(1, 50), min_size=1, max_size=8))
def test_however_goods_come_back_all_of_their_cost_does(cost: int, parts: list[int]) -> None:
    total = D(sum(parts))
    row = DeliveryLineRow(uuid4(), 1, uuid4(), LAMP, total, "pcs", total, 0, D(0), D(cost).scaleb(-2), D(0), D(0))
    for part in parts:
        value = returned_cost(row, D(part), "GBP")
        assert value >= 0
        row = row._replace(returned=row.returned + part, returned_cost=row.returned_cost + value)
    assert row.returned_cost == row.cost
