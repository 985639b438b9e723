"""What a document of an earlier day changes of the costs booked since. Pure.

The cost of a product follows the order of its moves: by day, and within a day as they were recorded. A document that
is recorded late takes its place at the end of its day, so the moves of later days come after it and the average
their issues were taken at may no longer be right. Those issues are taken again, each its share of the value as it
then was; the difference to what is booked is the effect. Whatever came in keeps its value: receipts, returns and
found stock have theirs from elsewhere.
"""

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from itertools import accumulate
from typing import Final
from uuid import UUID

from erp.inventory.repository import CostRow, LaterRow, SinceRow
from erp.kernel.money import EXACT, round_money

ZERO: Final = Decimal(0)


@dataclass(frozen=True, slots=True)
class Effect:
    """An issue booked at another cost than it has now: `amount` is what the value of stock gains by it."""

    move: SinceRow
    amount: Decimal


@dataclass(slots=True)
class Holding:
    """How much of a product there is at one moment, and what it is worth."""

    quantity: Decimal
    value: Decimal

    def add(self, quantity: Decimal, value: Decimal) -> None:
        """In > 0, out < 0, both."""
        self.quantity += quantity
        self.value += value


def share(holding: Holding, quantity: Decimal, currency: str) -> Decimal:
    """What `quantity` of it is worth, rounded; all of it is worth all of it."""
    if quantity == holding.quantity:
        return holding.value
    return round_money(EXACT.divide(EXACT.multiply(holding.value, quantity), holding.quantity), currency)


def before(cost: CostRow, since: Iterable[SinceRow]) -> Holding | None:
    """The product at the end of the document's day: what it is now less all that came after.

    None when that makes no sense (value without goods, or less than none): history taken over in no order. Its costs
    stay in the order of recording.
    """
    then = Holding(cost.quantity, cost.value)
    for row in since:
        then.add(-row.quantity, -row.value)
    if then.quantity < 0 or then.value < 0 or (then.value and not then.quantity):
        return None
    return then


def effects_of(then: Holding, since: Sequence[SinceRow], currency: str) -> list[Effect]:
    """Take the later issues again, from the product as it is after the document. `since` in the order of moves.

    Afterwards the value of all stock is what these effects make of the value booked, and nothing is worth nothing.
    """
    now, found = Holding(then.quantity, then.value), []
    # Within a day goods may leave before they come in: such an issue waits for the receipt it was taken from.
    waiting: deque[SinceRow] = deque()
    for row in since:
        if row.quantity > 0:
            now.add(row.quantity, row.value)
        else:
            waiting.append(row)
        while waiting and -waiting[0].quantity <= now.quantity:
            issue = waiting.popleft()
            right = -share(now, -issue.quantity, currency)
            now.add(issue.quantity, right)
            if right != issue.value:
                found.append(Effect(issue, right - issue.value))
    return found


def arrivals(since: Iterable[SinceRow]) -> list[LaterRow]:
    """The most that today's stock of a level owes to its later moves, at the end of any later day.

    What the document issues beyond the rest would leave some later day below zero.
    """
    daily: dict[tuple[UUID, UUID], dict[date, Decimal]] = {}
    for row in since:
        days = daily.setdefault((row.product_id, row.location_id), {})
        days[row.date] = days.get(row.date, ZERO) + row.quantity
    most = {level: max(accumulate(days[day] for day in sorted(days, reverse=True))) for level, days in daily.items()}
    return [LaterRow(*level, quantity) for level, quantity in most.items() if quantity > 0]
