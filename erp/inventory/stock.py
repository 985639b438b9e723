"""How any slice reserves, receives and issues stock: lock the levels, decide on a `Stock`, save it.

    ensure_levels(work, pairs)                                  # only where goods may arrive for the first time
    periods, roles, levels, costs = await work.load(*ledger_loads(on), *stock_loads(pairs))
    ledger = open_ledger(periods, roles, on)
    stock = Stock(levels, costs, work.tenant.base_currency)
    stock.receive(line.id, product_id, location_id, quantity, value)
    [number] = await take(work, ledger.date, "goods_receipt")
    entry_id = post_moves(work, ledger, stock, number=number, kind="receipt", counter_role="@grni", ...)

Quantities are in the product's base unit (<= 6 decimals), values in the tenant's currency and rounded. Cost is
the moving average per product over all locations, in the order of recording: an issue takes its share of the
product's value, rounded, and the last unit takes what is left, so the moves of a product always add up to its
value and all of them to the inventory account. A late document costs what the average is when it is recorded;
costs already posted never change.
"""

from collections.abc import Iterable
from datetime import date
from uuid import UUID

from db.identifiers import new_id
from db.statement import Bound
from erp.accounting.posting import Ledger, save_entry
from erp.inventory.holdings import Demand, Move, MoveKind, Pair, Stock, value_at
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
from tenancy.work import UnitOfWork

__all__ = [
    "CostRow",
    "Demand",
    "LaterRow",
    "LevelRow",
    "Move",
    "MoveKind",
    "Pair",
    "Stock",
    "arrived_later",
    "ensure_levels",
    "level_loads",
    "post_moves",
    "stock_loads",
    "value_at",
]


def stock_loads(pairs: Iterable[Pair]) -> tuple[Bound[LevelRow], Bound[CostRow]]:
    """Levels, then costs, locked in sorted order; they come after documents and before open items."""
    ordered = sorted(set(pairs))
    return level_loads(ordered), LOCK_COSTS(products=sorted({product for product, _ in ordered}))


def level_loads(pairs: Iterable[Pair]) -> Bound[LevelRow]:
    """Only the levels, for commands that move no goods (reserving, releasing)."""
    ordered = sorted(set(pairs))
    return LOCK_LEVELS(products=[product for product, _ in ordered], locations=[place for _, place in ordered])


def arrived_later(pairs: Iterable[Pair], on: date) -> Bound[LaterRow]:
    """What of the levels was not there yet on `on`. Load it behind `stock_loads`; empty for today."""
    ordered = sorted(set(pairs))
    return ARRIVED_LATER(
        products=[product for product, _ in ordered], locations=[place for _, place in ordered], on=on
    )


def ensure_levels(work: UnitOfWork, pairs: Iterable[Pair]) -> None:
    """Queue level and cost rows at zero where there are none, to be locked by the next load."""
    ordered = sorted(set(pairs))
    if not ordered:
        return
    work.save(
        ENSURE_LEVELS(
            products=[product for product, _ in ordered],
            locations=[place for _, place in ordered],
            ids=[new_id() for _ in ordered],
        ),
        ENSURE_COSTS(products=sorted({product for product, _ in ordered})),
    )


def post_moves(
    work: UnitOfWork,
    ledger: Ledger,
    stock: Stock,
    *,
    number: str,
    kind: MoveKind,
    counter_role: str,
    source_type: str,
    source_id: UUID,
    text: str,
) -> UUID | None:
    """Queue the moves with their entry against `counter_role`; the entry's id, None when nothing has a value."""
    postings = stock.postings(counter_role)
    entry_id = new_id() if postings else None
    if entry_id is not None:
        save_entry(
            work, ledger, entry_id=entry_id, number=number, journal="stock", postings=postings,
            source_type=source_type, source_id=source_id, text=text,
        )  # fmt: skip
    stock.save(work, kind=kind, source_type=source_type, source_id=source_id, entry_id=entry_id, date=ledger.date)
    return entry_id
