"""Streams against tables: what the events of a tenant amount to is what its tables say, or the first difference."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any, Final
from uuid import UUID

from db.consistency import PRIMARY_ONLY
from erp.eventstore import levels, orders
from erp.eventstore.folding import Folded, StreamEvent, differences
from erp.eventstore.level_history import look_at_levels
from erp.eventstore.levels import StoredLevel
from erp.eventstore.levels_repository import LevelFinding
from erp.eventstore.repository import (
    EVENT_PAGE,
    LINE_PAGE,
    LOCK_LEVEL,
    ORDER_PAGE,
    TOUCH_LEVEL,
    LineOfOrder,
)
from erp.inventory.events import OPENED
from erp.kernel.quantity import quantity_text
from erp.sales.rows import OrderRow
from tenancy.caller import Caller
from tenancy.database import TenantDatabase
from tenancy.trail import Event
from tenancy.work import UnitOfWork

#: Orders compared in one snapshot, and levels opened by one run.
_PAGE: Final = 200
_MOST: Final = 1_000
#: Pages one run reads: five million orders.
_PAGES: Final = 25_000

Step = Callable[[Callable[[UnitOfWork], Awaitable[Any]]], Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class Difference:
    """`stored` and `rebuilt` as on the wire."""

    aggregate_type: str
    aggregate_id: str
    field: str
    stored: Any
    rebuilt: Any

    def facts(self) -> dict[str, Any]:
        return {
            "aggregate_type": self.aggregate_type, "aggregate_id": self.aggregate_id, "field": self.field,
            "stored": self.stored, "rebuilt": self.rebuilt,
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Findings:
    """`incomplete`: begun before their events said enough; what those do say agrees. `first`: of the differences."""

    checked: int = 0
    incomplete: int = 0
    differing: int = 0
    first: Difference | None = None

    def plus(self, other: "Findings") -> "Findings":
        return Findings(
            self.checked + other.checked, self.incomplete + other.incomplete, self.differing + other.differing,
            self.first or other.first,
        )  # fmt: skip


Heard = Callable[[Findings], Awaitable[None]]


async def unheard(found: Findings) -> None:
    """Nobody wants to know how far it is."""


async def verify_events(database: TenantDatabase, caller: Caller, heard: Heard = unheard) -> Findings:
    """All orders and stock levels of the tenant, on the primary, page by page, each page of one snapshot.

    After each page `heard` gets what was found so far; what it raises ends the verification.
    """
    found = await _verify_orders(database, caller, heard)
    return found.plus(await _verify_levels(database, caller))


async def _verify_orders(database: TenantDatabase, caller: Caller, heard: Heard) -> Findings:
    found, after = Findings(), UUID(int=0)
    for _ in range(_PAGES):
        page = {"after": after, "at_most": _PAGE}
        rows, lines, events = await database.read(
            caller, ORDER_PAGE(**page), LINE_PAGE(**page), EVENT_PAGE(**page), consistency=PRIMARY_ONLY
        )
        if not rows:
            break
        found, after = found.plus(compare_orders(rows, lines, events)), rows[-1].id
        await heard(found)
    return found


def compare_orders(rows: Sequence[OrderRow], lines: Sequence[LineOfOrder], events: Sequence[StreamEvent]) -> Findings:
    """Pure: stored orders beside the folds of their streams."""
    of_order = {order_id: list(group) for order_id, group in groupby(lines, key=lambda line: line.order_id)}
    streams = {order_id: list(group) for order_id, group in groupby(events, key=lambda event: event.aggregate_id)}
    found = Findings()
    for row in rows:
        stored = orders.stored_order(row, [one.line for one in of_order.get(row.id, ())])
        folded = orders.fold_order(streams.get(row.id, ()))
        found = found.plus(judge(orders.AGGREGATE, str(row.id), stored, folded))
    return found


def judge(aggregate_type: str, aggregate_id: str, stored: Mapping[str, Any], folded: Folded) -> Findings:
    """One aggregate: what is known of both must be equal, and the last version must be told."""
    if folded.broken:
        first = Difference(aggregate_type, aggregate_id, "version", stored["version"], folded.broken)
        return Findings(1, 0, 1, first)
    if not folded.version:
        return Findings(1, 0, 1, Difference(aggregate_type, aggregate_id, "version", stored["version"], 0))
    found = [Difference(aggregate_type, aggregate_id, *one) for one in differences(stored, folded.state)]
    if found:
        return Findings(1, 0, 1, found[0])
    return Findings(1, 0 if folded.complete else 1)


async def _verify_levels(database: TenantDatabase, caller: Caller) -> Findings:
    checked, rows = await look_at_levels(database, caller)
    found = Findings(checked=checked)
    for row in rows:
        found = found.plus(replace(_judge_level(row), checked=0))
    return found


def _judge_level(row: LevelFinding) -> Findings:
    if not row.told:
        return Findings(1, incomplete=1)
    stored = levels.stored_level(StoredLevel(row.version, row.on_hand, row.reserved))
    if not row.complete:
        told = f"{row.changes} of {row.version - row.start} changes told"
        return Findings(1, 0, 1, Difference(levels.AGGREGATE, str(row.id), "version", row.version, told))
    folded = levels.stored_level(StoredLevel(row.version, row.folded_on_hand, row.folded_reserved))
    [first, *_] = differences(stored, folded)
    return Findings(1, 0, 1, Difference(levels.AGGREGATE, str(row.id), *first))


async def open_levels(database: TenantDatabase, caller: Caller, step: Step, *, broken: bool = False) -> int:
    """Begin the histories of levels of which nobody told from the start: an event says what is there now.

    With `broken` those with a gap too: after releases of both kinds have run side by side.
    """
    _, rows = await look_at_levels(database, caller)
    untold = [row.id for row in rows if not row.told or (broken and not row.complete)][:_MOST]
    for level_id in untold:
        await step(lambda work, level_id=level_id: _open(work, level_id))  # type: ignore[misc]
    return len(untold)


async def _open(work: UnitOfWork, level_id: UUID) -> None:
    [[level]] = await work.load(LOCK_LEVEL(level_id=level_id))
    told = {
        "product_id": str(level.product_id), "location_id": str(level.location_id), "version": level.version + 1,
        "on_hand": quantity_text(level.on_hand), "reserved": quantity_text(level.reserved),
    }  # fmt: skip
    work.save(TOUCH_LEVEL(level_id=level_id))
    work.publish(Event(levels.AGGREGATE, level_id, level.version + 1, OPENED, {"levels": [told]}))
    work.audit(OPENED, levels.AGGREGATE, level_id, after=told)
