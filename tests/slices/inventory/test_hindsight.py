"""Costs of later issues follow a late document as if it had been recorded in time. Decided on values alone."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from uuid import UUID, uuid4

from hypothesis import example, given
from hypothesis import strategies as st

from erp.inventory.hindsight import Holding, arrivals, before, effects_of, share
from erp.inventory.repository import CostRow, LaterRow, LevelRow, SinceRow
from erp.inventory.stock import Stock

D = Decimal
LAMP, CUP, SHELF, CELLAR = uuid4(), uuid4(), uuid4(), uuid4()
FIRST = date(2026, 3, 1)


def day(number: int) -> date:
    return FIRST + timedelta(days=number)


def moved(on: int, quantity: str, value: str, kind: str = "delivery", place: UUID = SHELF) -> SinceRow:
    return SinceRow(uuid4(), LAMP, place, day(on), kind, D(quantity), D(value))


class TestEffects:
    def test_a_late_cheap_receipt_lowers_the_cost_of_what_left_since(self) -> None:
        # Ten at 10, then five left at 10 each. Ten more at 4 came before that: the average was 7.
        issue = moved(2, "-5", "-50.00")
        [effect] = effects_of(Holding(D(20), D("140.00")), [issue], "GBP")
        assert (effect.move, effect.amount) == (issue, D("15.00"))

    def test_what_came_in_since_keeps_its_value(self) -> None:
        since = [moved(2, "-10", "-100.00"), moved(3, "10", "200.00", "receipt"), moved(4, "-10", "-200.00")]
        found = effects_of(Holding(D(20), D("140.00")), since, "GBP")
        # Ten left at 70; ten at 7 and ten at 20 are there; half of 270 leaves.
        assert [effect.amount for effect in found] == [D("30.00"), D("65.00")]

    def test_the_last_unit_takes_what_is_left(self) -> None:
        since = [moved(2, "-1", "-3.33"), moved(3, "-2", "-6.67")]
        assert effects_of(Holding(D(3), D("10.00")), since, "GBP") == []

    def test_an_issue_recorded_before_the_receipt_of_its_day_waits_for_it(self) -> None:
        since = [moved(2, "-10", "-40.00"), moved(2, "10", "60.00", "receipt"), moved(3, "-1", "-6.00")]
        found = effects_of(Holding(D(1), D("4.00")), since, "GBP")
        # Eleven worth 64 on the evening of the second day; ten of them left, then the last one.
        assert [effect.amount for effect in found] == [D("-18.18"), D("0.18")]

    def test_the_state_of_a_day_is_the_present_less_what_came_after(self) -> None:
        since = [moved(2, "-5", "-50.00"), moved(3, "10", "200.00", "receipt")]
        assert before(CostRow(LAMP, D(15), D("250.00"), None), since) == Holding(D(10), D("100.00"))
        assert before(CostRow(LAMP, D(5), D("0.00"), None), since) is None, "more came than is there"
        assert before(CostRow(LAMP, D(5), D("151.00"), None), since) is None, "value without goods"

    def test_today_owes_to_later_days_the_most_of_any_evening(self) -> None:
        since = [
            moved(1, "5", "1"), moved(2, "-2", "-1"), moved(3, "4", "1"), moved(4, "-3", "-1"),
            moved(4, "9", "1", place=CELLAR), moved(5, "-9", "-1", place=CELLAR),
        ]  # fmt: skip
        # Backwards from today: -3, 1, -1, 4.
        assert arrivals(since) == [LaterRow(LAMP, SHELF, D(4))]
        assert arrivals([]) == []


@dataclass
class Books:
    """A product's moves, as they are booked and corrected, document by document."""

    moves: list[tuple[int, SinceRow]] = field(default_factory=list)
    corrected: dict[UUID, Decimal] = field(default_factory=dict)

    @property
    def quantity(self) -> Decimal:
        return sum((move.quantity for _, move in self.moves), D(0))

    @property
    def value(self) -> Decimal:
        return sum((move.value for _, move in self.moves), D(0)) + sum(self.corrected.values(), D(0))

    def record(self, on: int, quantity: Decimal, unit_cost: Decimal) -> bool:
        """One document with one line; False when it asks for what was not there on its day."""
        since = [
            move._replace(value=move.value + self.corrected.get(move.id, D(0)))
            for at, move in sorted(self.moves, key=lambda one: (one[0], self.moves.index(one)))
            if at > on
        ]
        level = LevelRow(LAMP, SHELF, uuid4(), self.quantity, D(0), 1)
        last = None if not self.moves else max(move.date for _, move in self.moves)
        cost = CostRow(LAMP, self.quantity, self.value, D(1), last)
        stock = Stock([level], [cost], "GBP", arrivals(since), since)
        if quantity < 0:
            if -quantity > min(self.quantity, stock.present(LAMP, SHELF)):
                return False
            move = stock.issue(None, LAMP, SHELF, -quantity)
        else:
            move = stock.receive(None, LAMP, SHELF, quantity, (quantity * unit_cost).quantize(D("0.01")))
        kind = "receipt" if quantity > 0 else "delivery"
        self.moves.append((on, SinceRow(move.id, LAMP, SHELF, day(on), kind, move.quantity, move.value)))
        for effect in stock.effects():
            known = self.corrected.get(effect.move.id, D(0))
            self.corrected[effect.move.id] = known + effect.amount
        return True

    def values(self) -> list[Decimal]:
        """Of every move as it stands, in the order of recording."""
        return [move.value + self.corrected.get(move.id, D(0)) for _, move in self.moves]


Document = tuple[int, Decimal, Decimal]


def in_order_of_days(documents: list[Document]) -> Iterator[int]:
    """Their places, day by day. An issue waits for the receipts of its day when the goods were not there before."""
    held = D(40)
    waiting: deque[int] = deque()
    for place in sorted(range(len(documents)), key=lambda place: documents[place][0]):
        on, quantity, _ = documents[place]
        assert all(documents[other][0] == on for other in waiting), "less than nothing in the evening"
        if quantity < 0:
            waiting.append(place)
        else:
            held += quantity
            yield place
        while waiting and -documents[waiting[0]][1] <= held:
            held += documents[waiting[0]][1]
            yield waiting.popleft()
    assert not waiting


_documents = st.lists(
    st.tuples(
        st.integers(1, 8),
        st.integers(-9, 9).filter(bool).map(D),
        st.decimals(min_value="0.01", max_value="30", places=2),
    ),
    min_size=2,
    max_size=14,
)


def _opened() -> Books:
    books = Books()
    assert books.record(0, D(40), D("3.33"))
    return books


@given(_documents)
@example([(2, D(-30), D("0.01")), (2, D(9), D(1)), (1, D(-11), D("0.01"))])
def test_recorded_in_any_order_the_costs_are_those_of_the_order_of_days(documents: list[Document]) -> None:
    """The oracle: the same documents recorded day by day, where nothing is ever late."""
    late, in_order = _opened(), _opened()
    taken = [document for document in documents if late.record(*document)]
    order = list(in_order_of_days(taken))
    assert all(in_order.record(*taken[place]) for place in order)
    assert in_order.corrected == {}, "nothing was late"
    values = late.values()[1:]
    assert [values[place] for place in order] == in_order.values()[1:]
    assert late.value == in_order.value
    assert late.value >= 0
    assert late.quantity or not late.value


@given(st.integers(1, 50).map(D), st.integers(1, 50).map(D), st.decimals(min_value=0, max_value=999, places=2))
def test_a_share_is_never_more_than_there_is(part: Decimal, rest: Decimal, value: Decimal) -> None:
    holding = Holding(part + rest, value)
    assert 0 <= share(holding, part, "GBP") <= value
    assert share(holding, part + rest, "GBP") == value
