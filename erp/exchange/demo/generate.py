"""Trading made up at random, the same at every run: what was sold, and what had to be bought for it."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import ROUND_CEILING, Decimal
from random import Random

from erp.exchange.demo.companies import Company, Item

COUNTER_SALES, ORDERS = 40, 5
#: Bought beyond what is sold, so that something is left in stock.
_SURPLUS = Decimal("1.35")
_GRAM = Decimal("0.001")


@dataclass(frozen=True, slots=True)
class Calendar:
    """The days of the story, all counted from the day the tenant was made: a later run must not move them."""

    today: date

    @property
    def old(self) -> date:
        """The first day of the month before last: the one that is closed in the end."""
        return (self.recent - timedelta(days=1)).replace(day=1)

    @property
    def recent(self) -> date:
        """The first day of last month."""
        return (self.today.replace(day=1) - timedelta(days=1)).replace(day=1)

    def old_day(self, number: int) -> date:
        return self.old + timedelta(days=number - 1)

    def recent_day(self, number: int) -> date:
        return self.recent + timedelta(days=number - 1)


@dataclass(frozen=True, slots=True)
class Sale:
    """What one customer took: (product code, quantity)."""

    number: int
    day: date
    customer: int
    lines: tuple[tuple[str, Decimal], ...]
    #: Whether the invoice was paid by now.
    paid: bool


@dataclass(frozen=True, slots=True)
class Trading:
    counter: tuple[Sale, ...]
    orders: tuple[Sale, ...]

    def bought(self, items: Iterable[Item]) -> list[tuple[Item, Decimal]]:
        """How much of each item the company has to buy: what is sold of it and a third more, in whole tens."""
        sold: dict[str, Decimal] = defaultdict(Decimal)
        for sale in (*self.counter, *self.orders):
            for code, quantity in sale.lines:
                sold[code] += quantity
        return [
            (item, (sold[item.code] * _SURPLUS / 10).to_integral_value(ROUND_CEILING) * 10 + 10) for item in items
        ]


def trading(company: Company, calendar: Calendar) -> Trading:
    """Sales over the counter in both past months, and orders in the later one."""
    dice = Random(company.slug)
    span = (calendar.recent_day(27) - calendar.old_day(5)).days
    days = sorted(calendar.old_day(5) + timedelta(days=dice.randrange(span)) for _ in range(COUNTER_SALES))
    counter = [_sale(company, dice, number, day) for number, day in enumerate(days, start=1)]
    orders = [_sale(company, dice, number, calendar.recent_day(2 + 4 * number)) for number in range(1, ORDERS + 1)]
    return Trading(tuple(counter), tuple(orders))


def _sale(company: Company, dice: Random, number: int, day: date) -> Sale:
    chosen = dice.sample(company.items, dice.randint(1, 4))
    lines = tuple((item.code, _quantity(item, dice)) for item in chosen)
    return Sale(number, day, dice.randrange(len(company.customers)), lines, paid=dice.random() < 0.6)


def _quantity(item: Item, dice: Random) -> Decimal:
    if item.unit == "kg":
        return _GRAM * dice.randrange(250, 4_000, 125)
    return Decimal(dice.randint(1, 12))
