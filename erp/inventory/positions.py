"""What a command moves and asks for: pairs of product and location, demands, moves, levels and costs in its hands."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from typing import Literal
from uuid import UUID

import msgspec

from db.identifiers import new_id
from erp.inventory.hindsight import Holding
from erp.inventory.repository import CostRow, LevelRow, SinceRow
from erp.kernel.money import EXACT, round_money

#: (product_id, location_id)
Pair = tuple[UUID, UUID]
MoveKind = Literal["receipt", "delivery", "return", "adjustment", "correction"]

ZERO = Decimal(0)
_COST_QUANTUM = Decimal("1E-10")


def in_lock_order(pairs: Iterable[Pair]) -> list[Pair]:
    """Each pair once, sorted as every command locks them. By number: comparing UUIDs is Python code."""
    return sorted(set(pairs), key=_numbers)


def products_of(ordered: Iterable[Pair]) -> list[UUID]:
    """The products of sorted pairs, each once, sorted."""
    return list(dict.fromkeys(product for product, _ in ordered))


def _numbers(pair: Pair) -> tuple[int, int]:
    return pair[0].int, pair[1].int


def value_at(quantity: Decimal, unit_cost: Decimal, currency: str) -> Decimal:
    """What a quantity is worth at a unit cost, rounded."""
    return round_money(EXACT.multiply(quantity, unit_cost), currency)


def per_unit(value: Decimal, quantity: Decimal) -> Decimal:
    return abs(EXACT.divide(value, quantity)).quantize(_COST_QUANTUM, ROUND_HALF_UP, EXACT)


class Demand(msgspec.Struct, frozen=True):
    """Wanted of one level: `reserved` of `quantity` is already held for the document that asks."""

    product_id: UUID
    location_id: UUID
    quantity: Decimal
    reserved: Decimal = ZERO
    pointer: str | None = None


class Move(msgspec.Struct, frozen=True):
    """One change of a level: in > 0, out < 0; `value` has the sign of `quantity` or is zero."""

    product_id: UUID
    location_id: UUID
    quantity: Decimal
    value: Decimal
    unit_cost: Decimal
    line_id: UUID | None = None
    id: UUID = msgspec.field(default_factory=new_id)


@dataclass(slots=True)
class Level:
    """A locked level and what is there while the command goes on."""

    row: LevelRow
    on_hand: Decimal
    reserved: Decimal
    later: Decimal = ZERO

    @property
    def available(self) -> Decimal:
        return self.on_hand - self.reserved


@dataclass(slots=True)
class Cost:
    """`then`: the product at the end of an earlier day, and what it did `since`; None when nothing came after."""

    row: CostRow
    now: Holding
    last: Decimal | None
    then: Holding | None = None
    since: Sequence[SinceRow] = ()
    moved: bool = False

    @property
    def basis(self) -> Holding:
        """What issues are taken from: the product on the day of the document."""
        return self.then or self.now
