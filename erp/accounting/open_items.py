"""Open items: what parties owe and are owed, and how payments and credit notes settle it.

An item is a posted document's amount on a control account. A `debit` item of side `receivable` is a customer
invoice, its `credit` twin a credit note; on side `payable` the supplier's bill is the `credit` item. Allocations
are rows of their own, dated and never changed: taking one back is a row with the opposite amount.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any, Literal
from uuid import UUID

from db.identifiers import new_id
from db.statement import Bound
from erp.accounting.errors import (
    AllocationMismatch,
    AllocationReversed,
    AllocationTooEarly,
    OverAllocation,
)
from erp.accounting.items_repository import (
    ADD_ALLOCATIONS,
    ADD_OPEN_ITEM,
    ALLOCATIONS_OF_COUNTER,
    LOCK_ITEMS,
    LOCK_SETTLED_ITEMS,
    MOVE_ITEMS,
    AllocationRow,
    OpenItemRow,
)
from erp.kernel.errors import UnknownReference
from erp.kernel.money import money_text
from erp.kernel.text import Date
from tenancy.trail import Event
from tenancy.work import UnitOfWork

__all__ = [
    "Allocation",
    "AllocationRow",
    "Counter",
    "Demand",
    "Direction",
    "NewOpenItem",
    "OpenItemRow",
    "Side",
    "allocations_by",
    "check_settles",
    "chosen_allocations",
    "find_item",
    "lock_items",
    "lock_settled_items",
    "made_row",
    "new_item_row",
    "pair",
    "pointer_of",
    "save_allocations",
    "save_open_item",
    "settle",
    "take_back",
]

Side = Literal["receivable", "payable"]
Direction = Literal["debit", "credit"]
Counter = Literal["payment", "open_item"]


@dataclass(frozen=True, slots=True)
class NewOpenItem:
    """`amount` > 0 in the tenant's currency; `date` is the accounting date of the entry that carries it."""

    id: UUID
    party_id: UUID
    side: Side
    direction: Direction
    document_type: str
    document_id: UUID
    document_number: str
    due_date: Date
    amount: Decimal
    date: Date


@dataclass(frozen=True, slots=True)
class Demand:
    """Settle `amount` of the item whose id, or whose document's id, is `target`."""

    target: UUID
    amount: Decimal
    pointer: str | None = None


@dataclass(frozen=True, slots=True)
class Allocation:
    """One dated change of an item's open amount: `amount` > 0 settles, < 0 takes an allocation back.

    With another item as the counter there is a twin on that item: see `pair`.
    """

    id: UUID
    item_id: UUID
    counter_type: Counter
    counter_id: UUID
    amount: Decimal
    date: Date
    entry_id: UUID | None = None
    pair_id: UUID | None = None
    reverses_id: UUID | None = None


def save_open_item(work: UnitOfWork, item: NewOpenItem) -> None:
    """Queue a new item, fully open. Its creation is told by the document's own event."""
    work.save(
        ADD_OPEN_ITEM(
            id=item.id, party_id=item.party_id, side=item.side, direction=item.direction,
            document_type=item.document_type, document_id=item.document_id, document_number=item.document_number,
            date=item.date, due_date=item.due_date, currency=work.tenant.base_currency, amount=item.amount,
            created_at=work.now,
        )
    )  # fmt: skip


def new_item_row(item: NewOpenItem, currency: str) -> OpenItemRow:
    """The row `save_open_item` writes, for settling it in the same transaction."""
    return OpenItemRow(
        item.id, item.party_id, item.side, item.direction, item.document_type, item.document_id,
        item.document_number, item.date, item.due_date, currency, item.amount, item.amount, 1,
    )  # fmt: skip


def lock_items(targets: Iterable[UUID]) -> Bound[OpenItemRow]:
    """The items with these ids or of these documents, locked in the order of their ids."""
    return LOCK_ITEMS(targets=sorted(set(targets)))


def lock_settled_items(counter_id: UUID) -> Bound[OpenItemRow]:
    """The items this payment or credit note (its document's id) has settled and its own, locked like `lock_items`.

    Lock the payment first: nothing is settled with it meanwhile.
    """
    return LOCK_SETTLED_ITEMS(counter_id=counter_id)


def allocations_by(counter_id: UUID) -> Bound[AllocationRow]:
    """The allocations made with this payment or credit note (its document's id), oldest first."""
    return ALLOCATIONS_OF_COUNTER(counter_id=counter_id)


def find_item(items: Sequence[OpenItemRow], demand: Demand) -> OpenItemRow:
    """The item a demand names. Raises UnknownReference."""
    for item in items:
        if demand.target in (item.id, item.document_id):
            return item
    raise UnknownReference("There is no open item with this id.", pointer=demand.pointer, id=str(demand.target))


def pointer_of(demands: Sequence[Demand], item: OpenItemRow) -> str | None:
    """Where the request names the item, the last of several times."""
    return next(
        (demand.pointer for demand in reversed(demands) if demand.target in (item.id, item.document_id)), None
    )


def check_settles(
    item: OpenItemRow, *, party_id: UUID, side: Side, direction: Direction, on: date, pointer: str | None = None
) -> None:
    """Raises unless the item may be settled by a document of this party that settles `direction` items."""
    facts: dict[str, Any] = {"open_item_id": str(item.id), "document": item.document_number}
    if item.party_id != party_id:
        raise AllocationMismatch(f"{item.document_number} belongs to another party.", pointer=pointer, **facts)
    if (item.side, item.direction) != (side, direction):
        raise AllocationMismatch(
            f"{item.document_number} is a {item.side} {item.direction} item.", pointer=pointer, **facts
        )
    if on < item.date:
        raise AllocationTooEarly(
            f"{item.document_number} is dated {item.date}, the allocation {on}.",
            pointer=pointer,
            hint="Allocate on or after the date of the document; until then a payment is an advance.",
            **facts,
        )


def settle(
    items: Sequence[OpenItemRow], demands: Sequence[Demand], *, available: Decimal, source: str
) -> list[tuple[OpenItemRow, Decimal]]:
    """What each item gets, demands for one item added up first. Pure.

    Raises OverAllocation naming the item, or `source` when all of them exceed `available`.
    """
    wanted: dict[UUID, Decimal] = {}
    found: dict[UUID, OpenItemRow] = {}
    for demand in demands:
        item = find_item(items, demand)
        found[item.id] = item
        wanted[item.id] = wanted.get(item.id, Decimal(0)) + demand.amount
        if wanted[item.id] > item.open_amount:
            raise _too_much(item.document_number, item.open_amount, wanted[item.id], item, demand.pointer)
    total = sum(wanted.values(), Decimal(0))
    if total > available:
        raise _too_much(source, available, total)
    return [(found[item_id], amount) for item_id, amount in sorted(wanted.items())]


def _too_much(
    document: str, left: Decimal, asked: Decimal, item: OpenItemRow | None = None, pointer: str | None = None
) -> OverAllocation:
    facts: dict[str, Any] = {"document": document, "open_amount": str(left), "requested": str(asked)}
    if item is not None:
        facts["open_item_id"] = str(item.id)
    return OverAllocation(f"{document} has {left} left, {asked} would be allocated.", pointer=pointer, **facts)


def made_row(allocation: Allocation, item: OpenItemRow) -> AllocationRow:
    """The row `allocations_by` will read back for an allocation just made."""
    return AllocationRow(
        allocation.id, item.id, allocation.counter_type, allocation.counter_id, allocation.amount, allocation.date,
        allocation.entry_id, allocation.pair_id, item.document_type, item.document_id, item.document_number, False,
    )  # fmt: skip


def chosen_allocations(allocations: Sequence[AllocationRow], ids: Iterable[UUID]) -> list[AllocationRow]:
    """The allocations with these ids, each once. Raises UnknownReference."""
    known = {row.id: row for row in allocations}
    chosen: dict[UUID, AllocationRow] = {}
    for index, allocation_id in enumerate(ids):
        if allocation_id not in known:
            raise UnknownReference(
                "There is no such allocation here.", pointer=f"/allocation_ids/{index}", id=str(allocation_id)
            )
        chosen[allocation_id] = known[allocation_id]
    return list(chosen.values())


def take_back(allocations: Sequence[AllocationRow], *, entry_id: UUID | None, on: date) -> list[Allocation]:
    """The rows that take these allocations back on `on`. Raises when one is taken back already or dated later."""
    for row in allocations:
        if row.reversed:
            raise AllocationReversed(allocation_id=str(row.id))
        if on < row.date:
            raise AllocationTooEarly(
                f"The allocation is dated {row.date}, it cannot be taken back on {on}.", allocation_id=str(row.id)
            )
    opposites: list[Allocation] = []
    for row in allocations:
        if row.pair_id is None:
            opposites.append(
                Allocation(
                    new_id(), row.open_item_id, row.counter_type, row.counter_id, -row.amount, on, entry_id,
                    reverses_id=row.id,
                )
            )  # fmt: skip
        else:
            opposites += pair(row.open_item_id, row.counter_id, -row.amount, on, reverses=(row.id, row.pair_id))
    return opposites


def pair(
    one: UUID, other: UUID, amount: Decimal, on: date, *, reverses: tuple[UUID, UUID] | None = None
) -> list[Allocation]:
    """Two items (an invoice's and a credit note's) settling each other by `amount`."""
    here, there = new_id(), new_id()
    taken_here, taken_there = reverses or (None, None)
    return [
        Allocation(here, one, "open_item", other, amount, on, pair_id=there, reverses_id=taken_here),
        Allocation(there, other, "open_item", one, amount, on, pair_id=here, reverses_id=taken_there),
    ]


def save_allocations(work: UnitOfWork, items: Sequence[OpenItemRow], allocations: Sequence[Allocation]) -> None:
    """Queue the allocations, the new open amounts of their (locked) items, and one event per item."""
    if not allocations:
        return
    changes: dict[UUID, Decimal] = {}
    latest: dict[UUID, date] = {}
    for allocation in allocations:
        changes[allocation.item_id] = changes.get(allocation.item_id, Decimal(0)) + allocation.amount
        latest[allocation.item_id] = max(allocation.date, latest.get(allocation.item_id, allocation.date))
    work.save(
        ADD_ALLOCATIONS(
            ids=[row.id for row in allocations],
            items=[row.item_id for row in allocations],
            counter_types=[row.counter_type for row in allocations],
            counters=[row.counter_id for row in allocations],
            amounts=[row.amount for row in allocations],
            dates=[row.date for row in allocations],
            entries=[row.entry_id for row in allocations],
            pairs=[row.pair_id for row in allocations],
            reversals=[row.reverses_id for row in allocations],
            at=work.now,
        ),
        MOVE_ITEMS(ids=list(changes), changes=list(changes.values()), dates=[latest[item] for item in changes]),
    )
    rows = {item.id: item for item in items}
    work.publish(*(_changed(rows[item_id], change) for item_id, change in changes.items()))


def _changed(item: OpenItemRow, change: Decimal) -> Event:
    left = item.open_amount - change
    data = {
        "document_type": item.document_type,
        "document_id": str(item.document_id),
        "number": item.document_number,
        "party_id": str(item.party_id),
        "allocated": money_text(change, item.currency),
        "open_amount": money_text(left, item.currency),
    }
    kind = "reopened" if change < 0 else "settled" if not left else "allocated"
    return Event("open_item", item.id, item.version + 1, f"open_item.{kind}", data)
