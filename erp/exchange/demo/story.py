"""The story in its order, for one company: chapter after chapter, or nothing when it was told before."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from erp.exchange.demo.buying import stock_up
from erp.exchange.demo.founding import pay_in_capital, write_masters
from erp.exchange.demo.month_end import end_the_month, fill_a_basket, keep_the_stock_room
from erp.exchange.demo.one_order import follow_one_order
from erp.exchange.demo.selling import fulfil_orders, sell_over_the_counter
from erp.exchange.demo.shop import LAST_ENTRY, Shop

Chapter = Callable[[Shop], None]


@dataclass(frozen=True, slots=True)
class Act:
    """`chapters`: what is being done -> the chapter."""

    title: str
    chapters: tuple[tuple[str, Chapter], ...]


#: Each act is played for every company before the next begins, so that all baskets have time to expire.
ACTS: Final = (
    Act(
        "opens its books and buys",
        (
            ("writing down parties and products", write_masters),
            ("paying in capital", pay_in_capital),
            ("buying", stock_up),
            ("filling a basket", fill_a_basket),
        ),
    ),
    Act(
        "sells and ends the month",
        (
            ("selling over the counter", sell_over_the_counter),
            ("fulfilling orders", fulfil_orders),
            ("following one order", follow_one_order),
            ("keeping the stock room", keep_the_stock_room),
            ("ending the month", end_the_month),
        ),
    ),
)


def was_told(shop: Shop) -> bool:
    """Whether an earlier run came to the end. Raises UnexpectedAnswer."""
    return bool(shop.client.rows("/v1/journal-entries", external_id=LAST_ENTRY))


def recall(shop: Shop) -> None:
    """Learn again what an earlier run wrote down. Raises UnexpectedAnswer."""
    shop.parties = {row["code"]: row["id"] for row in shop.client.rows("/v1/parties")}
    shop.products = {row["code"]: row["id"] for row in shop.client.rows("/v1/products")}
