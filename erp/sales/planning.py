"""What a step takes of an order's lines and of stock, decided before anything is changed. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Protocol, TypeVar
from uuid import UUID

import msgspec

from erp.inventory.claims_repository import ReservationRow
from erp.inventory.reservations import Hold
from erp.inventory.stock import Demand, Pair, Stock, in_lock_order
from erp.kernel.errors import UnknownReference
from erp.kernel.quantity import quantity_text
from erp.kernel.text import decimal
from erp.sales.errors import MoreThanOpen, NothingToDo
from erp.sales.rows import Converted, LineRow, OrderAhead, in_base_unit
from erp.sales.schemas import StepLineInput

_ZERO = Decimal(0)


class Numbered(Converted, Protocol):
    """A line that a step names by its number."""

    @property
    def line_no(self) -> int: ...


L = TypeVar("L", bound=Numbered)


class Drop(msgspec.Struct, frozen=True):
    """Part of a line that leaves now: `quantity` in its unit, `base` in the product's; `reserved` of it was held."""

    line: LineRow
    quantity: Decimal
    base: Decimal
    reserved: Decimal


def named(
    asked: Sequence[StepLineInput] | None, lines: Sequence[L], left: Mapping[int, Decimal]
) -> list[tuple[L, Decimal]]:
    """The lines a step is about and how much of each, in its unit; all that is `left` of every line for None.

    A line named twice is added up first. Raises UnknownReference, MoreThanOpen, NotRepresentable, each with a pointer
    to its line, and NothingToDo.
    """
    known = {line.line_no: line for line in lines}
    if asked is None:
        found = [(line, left[line.line_no]) for line in lines if left.get(line.line_no)]
        if not found:
            raise NothingToDo
        return found
    wanted: dict[int, Decimal] = {}
    for index, step in enumerate(asked):
        pointer = f"/lines/{index}"
        if step.line_no not in known:
            raise UnknownReference(f"There is no line {step.line_no}.", pointer=f"{pointer}/line_no")
        there = left.get(step.line_no, _ZERO)
        quantity = there if step.quantity is None else decimal(step.quantity)
        wanted[step.line_no] = wanted.get(step.line_no, _ZERO) + quantity
        if not quantity or wanted[step.line_no] > there:
            raise MoreThanOpen(
                f"Line {step.line_no}: {quantity_text(wanted[step.line_no])} asked for, {quantity_text(there)} left.",
                pointer=f"{pointer}/quantity", line_no=step.line_no, open=quantity_text(there),
                requested=quantity_text(wanted[step.line_no]),
            )  # fmt: skip
        if quantity != there:  # no step takes half a piece, whether goods move with it or only money
            in_base_unit(quantity, known[step.line_no], pointer=f"{pointer}/quantity")
    return [(known[line_no], quantity) for line_no, quantity in sorted(wanted.items())]


def pairs_of(lines: Iterable[LineRow], location_id: UUID) -> list[Pair]:
    """The stock levels of the order's goods, sorted."""
    return in_lock_order((line.product_id, location_id) for line in lines if line.goods)


def pairs_ahead(order: OrderAhead) -> list[Pair]:
    """The same of an order that was only looked at."""
    return in_lock_order((product, order.location_id) for product in order.goods)


def held_by_line(rows: Iterable[ReservationRow]) -> dict[UUID, Decimal]:
    """Order line -> what its reservations still hold, in the product's unit."""
    held: dict[UUID, Decimal] = {}
    for row in rows:
        if row.source_line_id is not None:
            held[row.source_line_id] = held.get(row.source_line_id, _ZERO) + row.open_quantity
    return held


def plan_holds(
    stock: Stock,
    lines: Sequence[LineRow],
    location_id: UUID,
    held: Mapping[UUID, Decimal],
    *,
    allow_partial: bool,
    pointers: bool = False,
) -> list[Hold]:
    """Reserve what is open and not yet held on `stock`; the reservations to make.

    All or nothing: raises InsufficientStock, with `pointers` to the lines of the request. With `allow_partial` a
    line gets what is there, rounded down: in a unit other than the product's own only whole ones.
    """
    missing = [(line, line.base(line.open) - held.get(line.id, _ZERO)) for line in lines if line.goods]
    missing = [(line, quantity) for line, quantity in missing if quantity > 0]
    if not allow_partial:
        stock.require(
            Demand(
                line.product_id, location_id, quantity,
                pointer=f"/lines/{line.line_no - 1}/quantity" if pointers else None,
            )
            for line, quantity in missing
        )  # fmt: skip
    holds = []
    for line, quantity in missing:
        there = min(quantity, stock.available(line.product_id, location_id))
        part = quantity if there == quantity else cut(line, there)
        if part > 0:
            stock.reserve(line.product_id, location_id, part)
            holds.append(Hold(line.product_id, location_id, part, line.id))
    return holds


def plan_delivery(
    stock: Stock,
    lines: Sequence[LineRow],
    location_id: UUID,
    held: Mapping[UUID, Decimal],
    asked: Sequence[StepLineInput] | None,
) -> list[Drop]:
    """What leaves. Lines that are named leave exactly or the delivery is refused; else as much as stock allows.

    Raises InsufficientStock, MoreThanOpen, NotRepresentable, UnknownReference, NothingToDo.
    """
    goods = [line for line in lines if line.goods]
    services = {line.line_no for line in lines if not line.goods}
    for index, step in enumerate(asked or ()):
        if step.line_no in services:
            raise UnknownReference(
                f"Line {step.line_no} is a service: it counts as delivered since the order was confirmed.",
                pointer=f"/lines/{index}/line_no",
            )
    wanted = named(asked, goods, {line.line_no: line.open for line in goods})
    drops = [_drop(line, quantity, line.base(quantity), held) for line, quantity in wanted]
    if asked is not None:
        stock.require(
            (Demand(drop.line.product_id, location_id, drop.base, drop.reserved) for drop in drops), issue=True
        )
        return drops
    return _as_far_as_stock_allows(stock, drops, location_id, held)


def _as_far_as_stock_allows(
    stock: Stock, drops: Sequence[Drop], location_id: UUID, held: Mapping[UUID, Decimal]
) -> list[Drop]:
    """Every line its own reservation first, then the earlier line what is free; never more than was there then."""
    products = {drop.line.product_id for drop in drops}
    free = {product: stock.available(product, location_id) for product in products}
    there = {product: stock.present(product, location_id) for product in products}
    possible = []
    for drop in drops:
        product = drop.line.product_id
        own = min(held.get(drop.line.id, _ZERO), drop.base)
        most = min(drop.base, own + free[product], there[product])
        base = drop.base if most == drop.base else cut(drop.line, most)
        if base > 0:
            free[product] -= max(_ZERO, base - own)
            there[product] -= base
            possible.append(_drop(drop.line, drop.line.in_unit(base), base, held))
    if not possible:
        raise NothingToDo("Nothing of what is open is in stock.")
    return possible


def cut(line: LineRow, base_quantity: Decimal) -> Decimal:
    """`base_quantity` rounded down to what the line's unit can express: whole ones unless it is the product's own."""
    if line.in_base_unit or base_quantity <= 0:
        return max(_ZERO, base_quantity)
    per_unit = Fraction(line.base_quantity) / Fraction(line.quantity)
    # Of a unit that is no whole number of pieces (a third), only so many together are.
    together = (per_unit * 10**line.base_decimals).denominator
    return line.base(Decimal(Fraction(base_quantity) // (per_unit * together) * together))


def _drop(line: LineRow, quantity: Decimal, base: Decimal, held: Mapping[UUID, Decimal]) -> Drop:
    return Drop(line, quantity, base, min(base, held.get(line.id, _ZERO)))


def taken_from(
    rows: Sequence[ReservationRow], wanted: Mapping[UUID, Decimal]
) -> list[tuple[ReservationRow, Decimal]]:
    """Which reservations give what a step uses of each order line; a line may have been reserved in parts."""
    left = dict(wanted)
    taken = []
    for row in rows:
        if row.source_line_id is not None and (need := left.get(row.source_line_id, _ZERO)) > 0:
            quantity = min(need, row.open_quantity)
            left[row.source_line_id] = need - quantity
            taken.append((row, quantity))
    return taken
