"""What a party's price list says of a product's price.

The statement knows which list counts, and on which days; which of its prices a quantity gets is decided here.
"""

from collections.abc import Iterable, Sequence
from datetime import date
from decimal import ROUND_HALF_UP, Decimal
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import Date, Uuid, and_, bindparam, cast, or_, select

from db.statement import TENANT, Bound, Statement, any_of
from erp.kernel.money import EXACT
from erp.kernel.quantity import Ratio
from erp.parties.models import parties
from erp.pricing.models import price_list_items, price_lists

__all__ = ["ListedPrice", "by_product", "listed_prices", "price_from", "price_in_unit"]

_PRICE_QUANTUM = Decimal("1E-6")


class ListedPrice(NamedTuple):
    """A price that is valid on the day asked for: from `min_quantity` on, both in the product's own unit."""

    product_id: UUID
    min_quantity: Decimal
    unit_price: Decimal
    valid_from: date
    valid_to: date | None
    price_list_id: UUID
    code: str


_on = cast(bindparam("on"), Date)
_LISTED = Statement(
    select(
        price_list_items.c.product_id, price_list_items.c.min_quantity, price_list_items.c.unit_price,
        price_list_items.c.valid_from, price_list_items.c.valid_to, price_lists.c.id, price_lists.c.code,
    )
    .select_from(
        parties.join(
            price_lists,
            and_(
                price_lists.c.tenant_id == parties.c.tenant_id,
                price_lists.c.id == parties.c.price_list_id,
                price_lists.c.active,
            ),
        ).join(
            price_list_items,
            and_(
                price_list_items.c.tenant_id == price_lists.c.tenant_id,
                price_list_items.c.price_list_id == price_lists.c.id,
            ),
        )
    )
    .where(
        parties.c.tenant_id == TENANT,
        parties.c.id == bindparam("party_id"),
        price_list_items.c.product_id == any_of("product_ids", Uuid),
        price_list_items.c.valid_from <= _on,
        or_(price_list_items.c.valid_to.is_(None), price_list_items.c.valid_to >= _on),
    ),
    ListedPrice,
)  # fmt: skip


def listed_prices(party_id: UUID, product_ids: Sequence[UUID], on: date) -> Bound[ListedPrice]:
    """What the party's active price list says of the products on that day, for every quantity; in no order."""
    return _LISTED(party_id=party_id, product_ids=list(product_ids), on=on)


def by_product(prices: Iterable[ListedPrice]) -> dict[UUID, list[ListedPrice]]:
    found: dict[UUID, list[ListedPrice]] = {}
    for price in prices:
        found.setdefault(price.product_id, []).append(price)
    return found


def price_from(prices: Iterable[ListedPrice], quantity: Decimal) -> ListedPrice | None:
    """The price that a quantity of one product in its own unit gets: of the greatest quantity it reaches."""
    reached = [price for price in prices if price.min_quantity <= quantity]
    return max(reached, key=lambda price: price.min_quantity, default=None)


def price_in_unit(price: Decimal, ratio: Ratio) -> Decimal:
    """The price of the product's own unit as that of another one of its units, to six decimals, half-up."""
    if ratio.numerator == ratio.denominator:
        return price
    scaled = EXACT.divide(EXACT.multiply(price, Decimal(ratio.numerator)), Decimal(ratio.denominator))
    return scaled.quantize(_PRICE_QUANTUM, ROUND_HALF_UP, EXACT)
