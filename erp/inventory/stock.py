"""How any slice reserves, receives and issues stock: lock the levels, decide on a `Stock`, save it.

    ensure_levels(work, pairs)                                  # only where goods may arrive for the first time
    periods, roles, levels, costs, *past = await work.load(
        *ledger_loads(on), *stock_loads(pairs), *past_loads(work, pairs, on)
    )
    ledger = open_ledger(periods, roles, on)
    stock = await stock_on(work, ledger, pairs, levels, costs, past)
    stock.receive(line.id, product_id, location_id, quantity, value)
    booking = await book_moves(work, ledger, stock, kind="receipt", counter_role="@grni", ...)
    [number] = await numbered(work, ledger, stock, "goods_receipt")
    post_moves(work, ledger, stock, booking, number=number, text=text)

Quantities are in the product's base unit (<= 6 decimals), values in the tenant's currency and rounded. Cost is
the moving average per product over all locations, by day and then in the order of recording: an issue takes its
share of the product's value, rounded, and the last unit takes what is left, so the moves of a product always add up
to its value and all of them to the inventory account. A document that is recorded late costs what the average was
on its day; what it means for issues of later days is one correction of today (see `corrections`). History taken
over from another system is left in the order of recording: `history=True`.
"""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import date
from typing import Any, NamedTuple
from uuid import UUID

from db.identifiers import new_id
from db.statement import Bound
from erp.accounting.posting import Ledger, Posting, ledger_loads, open_ledger, save_heading, save_lines
from erp.inventory.backdating import moved_since, reach_of
from erp.inventory.corrections import SERIES, Correction, Source, postings_of, save_correction
from erp.inventory.hindsight import arrivals
from erp.inventory.holdings import Stock
from erp.inventory.positions import Demand, Move, MoveKind, Pair, in_lock_order, products_of, value_at
from erp.inventory.repository import (
    ARRIVED_LATER,
    ENSURE_COSTS,
    ENSURE_LEVELS,
    LOCK_COSTS,
    LOCK_LEVELS,
    CostRow,
    LaterRow,
    LevelRow,
)
from erp.numbering.service import take, take_dated
from tenancy.work import UnitOfWork

__all__ = [
    "Booking",
    "CostRow",
    "Demand",
    "LaterRow",
    "LevelRow",
    "Move",
    "MoveKind",
    "Pair",
    "Stock",
    "arrival_saves",
    "arrived_later",
    "book_moves",
    "book_postings",
    "cost_loads",
    "ensure_levels",
    "in_lock_order",
    "level_loads",
    "numbered",
    "past_loads",
    "post_moves",
    "stock_loads",
    "stock_on",
    "value_at",
]

#: So many later moves are gone through beside other requests, not before them.
_MANY = 1_000


def stock_loads(pairs: Iterable[Pair]) -> tuple[Bound[LevelRow], Bound[CostRow]]:
    """Levels, then costs, locked in sorted order; they come after documents and before open items."""
    ordered = in_lock_order(pairs)
    return level_loads(ordered), cost_loads(products_of(ordered))


def level_loads(pairs: Iterable[Pair]) -> Bound[LevelRow]:
    """Only the levels, for commands that move no goods (reserving, releasing)."""
    ordered = in_lock_order(pairs)
    return LOCK_LEVELS(products=[product for product, _ in ordered], locations=[place for _, place in ordered])


def cost_loads(ordered: list[UUID]) -> Bound[CostRow]:
    """Only the costs of these products, sorted; they come behind the levels."""
    return LOCK_COSTS(products=ordered)


def arrived_later(pairs: Iterable[Pair], on: date) -> Bound[LaterRow]:
    """What of the levels was not there yet on `on`. Load it behind `stock_loads`."""
    ordered = in_lock_order(pairs)
    return ARRIVED_LATER(
        products=[product for product, _ in ordered], locations=[place for _, place in ordered], on=on
    )


def past_loads(work: UnitOfWork, pairs: Iterable[Pair], on: date, *, history: bool = False) -> tuple[Bound[Any], ...]:
    """What `stock_on` has to know of the days since `on`; nothing for a document of today.

    Load it behind `stock_loads`. Too far back, or history: only what today's levels owe to later days.
    """
    if on >= work.today:
        return ()
    if history or on < reach_of(work.tenant, work.today).earliest:
        return (arrived_later(pairs, on),)
    return _since_loads(work, pairs, on)


def _since_loads(work: UnitOfWork, pairs: Iterable[Pair], on: date) -> tuple[Bound[Any], ...]:
    return moved_since((product for product, _ in pairs), on), ledger_loads(work.today)[0]


async def stock_on(
    work: UnitOfWork,
    ledger: Ledger,
    pairs: Iterable[Pair],
    levels: Sequence[LevelRow],
    costs: Sequence[CostRow],
    past: Sequence[list[Any]],
    *,
    history: bool = False,
) -> Stock:
    """The stock as a document of the ledger's day finds it. `past`: the rows of `past_loads`.

    Raises BackdatedTooFar, BackdatedTooMuch when issues of later days would have to follow.
    """
    on, currency, reach = ledger.document_date, work.tenant.base_currency, reach_of(work.tenant, work.today)
    latest = {cost.product_id: cost.last_on for cost in costs if cost.last_on is not None and cost.last_on > on}
    if not latest:
        return Stock(levels, costs, currency)
    # Costs follow from the day it is booked on, which is a later one when the period of its own day is closed.
    late = [product for product, day in latest.items() if day > ledger.date and not history]
    if not past:
        # Later than today: documents that moved on like that, before the period was opened again.
        past = await work.load(*((arrived_later(pairs, on),) if history else _since_loads(work, pairs, on)))
    if len(past) == 1:
        [later] = past
        reach.check(ledger.date, late)
        if not late:
            return Stock(levels, costs, currency, later)
        since, periods = await work.load(*_since_loads(work, pairs, ledger.date))
    else:
        since, periods = past
        later = arrivals(since)
    reach.check(ledger.date, late, len(since))
    stock = Stock(levels, costs, currency, later, [row for row in since if row.date > ledger.date])
    stock.periods = periods
    return stock


class Booking(NamedTuple):
    """Moves that are queued with the lines of their entry, before the document has its number.

    `entry_id`: None when nothing has a value.
    """

    source_type: str
    source_id: UUID
    entry_id: UUID | None
    line_count: int


async def book_moves(
    work: UnitOfWork,
    ledger: Ledger,
    stock: Stock,
    *,
    kind: MoveKind,
    counter_role: str,
    source_type: str,
    source_id: UUID,
) -> Booking:
    """Queue the moves and the lines of their entry against `counter_role`. Make all moves first."""
    return await book_postings(
        work, ledger, stock, stock.postings(counter_role), kind=kind, source_type=source_type, source_id=source_id
    )


async def book_postings(
    work: UnitOfWork,
    ledger: Ledger,
    stock: Stock,
    postings: Sequence[Posting],
    *,
    kind: MoveKind,
    source_type: str,
    source_id: UUID,
) -> Booking:
    """The same for an entry that begins with the moves' lines and has others."""
    if stock.late_moves > _MANY:
        await asyncio.to_thread(stock.effects)
    entry_id = new_id() if postings else None
    if entry_id is not None:
        save_lines(work, ledger, entry_id, postings)
    stock.save(work, kind=kind, source_type=source_type, source_id=source_id, entry_id=entry_id, date=ledger.date)
    return Booking(source_type, source_id, entry_id, len(postings))


async def numbered(work: UnitOfWork, ledger: Ledger, stock: Stock, *series: str) -> list[str]:
    """The document's numbers, taken together with that of the correction it makes, if it makes one.

    Others wait for them until the commit, so what bears none is queued before: the moves by `book_moves`.
    """
    stock.settle(work, ledger.date)
    if not postings_of(stock.effects()):
        return await take(work, ledger.date, *series)
    today = replace(open_ledger(stock.periods, (), work.today), roles=ledger.roles)
    *numbers, own = await take_dated(work, *((ledger.date, name) for name in series), (today.date, SERIES))
    stock.correction = Correction(own, today)
    return numbers


def post_moves(work: UnitOfWork, ledger: Ledger, stock: Stock, booking: Booking, *, number: str, text: str) -> None:
    """Queue the heading of the moves' entry, and the correction of later issues with an entry of its own."""
    source_type, source_id, entry_id, line_count = booking
    if entry_id is not None:
        save_heading(
            work, ledger, entry_id=entry_id, number=number, journal="stock", line_count=line_count,
            source_type=source_type, source_id=source_id, text=text,
        )  # fmt: skip
    if stock.correction is not None:
        source = Source(source_type, source_id, number, ledger.date)
        places = {move.product_id: move.location_id for move in stock.moves}
        save_correction(work, stock.correction, stock.effects(), source, places)
    elif postings_of(stock.effects()):
        raise RuntimeError(f"{number} changes costs of later issues: take its numbers by `numbered`")


def ensure_levels(work: UnitOfWork, pairs: Iterable[Pair]) -> None:
    """Queue level and cost rows at zero where there are none, to be locked by the next load."""
    ordered = in_lock_order(pairs)
    if ordered:
        work.save(*arrival_saves(ordered))


def arrival_saves(ordered: Sequence[Pair]) -> tuple[Bound[Any], Bound[Any]]:
    """The writes of `ensure_levels`, for pairs in the order of locks."""
    return ENSURE_LEVELS(
        products=[product for product, _ in ordered],
        locations=[place for _, place in ordered],
        ids=[new_id() for _ in ordered],
    ), ENSURE_COSTS(products=products_of(ordered))
