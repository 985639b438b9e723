"""A stock level rebuilt from what events of documents and reservations tell of it."""

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, NamedTuple

from erp.eventstore.folding import Folded, Until
from erp.inventory.events import OPENED
from erp.kernel.quantity import quantity_text

AGGREGATE: Final = "stock_level"


class LevelChange(NamedTuple):
    """What one event did to a level: differences, or with `type` stock_level.opened what was there."""

    version: int
    on_hand: Decimal
    reserved: Decimal
    type: str
    occurred_at: datetime


class StoredLevel(NamedTuple):
    version: int
    on_hand: Decimal
    reserved: Decimal


def stored_level(row: StoredLevel) -> dict[str, Any]:
    return {
        "version": row.version, "on_hand": quantity_text(row.on_hand), "reserved": quantity_text(row.reserved)
    }  # fmt: skip


def fold_level(changes: Iterable[LevelChange], until: Until = Until()) -> Folded:  # frozen
    """The level after these changes, in the order of their versions. A level begins at version 1 with nothing.

    A change in between that nobody told ends what can be known until the level was opened again. `broken` says so
    only where history was told from its beginning: before this release it was not.
    """
    folded = Folded(1, None, stored_level(StoredLevel(1, Decimal(0), Decimal(0))), complete=True)
    told = False
    for change in changes:
        if not until.covers(change.version, change.occurred_at):
            break
        folded, told = _after(folded, change, told), True
    return folded


def _after(before: Folded, change: LevelChange, told: bool) -> Folded:
    if change.type == OPENED:
        state = stored_level(StoredLevel(change.version, change.on_hand, change.reserved))
        return Folded(change.version, change.occurred_at, state, complete=True)
    if not before.complete or change.version != before.version + 1:
        broken = before.broken or (f"version {before.version + 1} was not told" if told and before.complete else "")
        return Folded(change.version, change.occurred_at, {"version": change.version}, complete=False, broken=broken)
    state = stored_level(
        StoredLevel(
            change.version, Decimal(before.state["on_hand"]) + change.on_hand,
            Decimal(before.state["reserved"]) + change.reserved,
        )
    )  # fmt: skip
    return Folded(change.version, change.occurred_at, state, complete=True)
