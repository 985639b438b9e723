"""All stock levels of a tenant beside what their events add up to, in statements that stay small.

What transactions wrote that had ended when the look began is there for good: it is read by position, a page a
statement, and added up by level. Levels are then read a page a statement too, each with everything written since, in
one snapshot. A change is therefore in one of the two, however late its transaction commits.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final
from uuid import UUID

from db.consistency import PRIMARY_ONLY
from erp.eventstore.levels_repository import (
    FIXED_BELOW,
    LEVELS,
    PAGE_END,
    PART_OF_PAGE,
    PART_SINCE,
    LevelFinding,
    LevelPart,
)
from erp.eventstore.repository import LevelPlace
from tenancy.caller import Caller
from tenancy.database import TenantDatabase

#: Events and levels of one statement.
_EVENTS: Final = 5_000
_LEVELS: Final = 1_000
#: Pages of events one look reads: half a billion.
_PAGES: Final = 100_000

_Place = tuple[UUID, UUID]


@dataclass(frozen=True, slots=True)
class Told:
    """What events say of one level: sums from `start` on, where `opened` says that this was told as a whole.

    `least` and `version`: of the first and the last change; `changes`: those after the start.
    """

    start: int = 1
    opened: bool = False
    least: int = 0
    version: int = 0
    on_hand: Decimal = Decimal(0)
    reserved: Decimal = Decimal(0)
    changes: int = 0

    def plus(self, part: LevelPart) -> "Told":
        """With the changes of a later page; one that opens the level makes those before it void."""
        if part.opened is not None and part.opened >= self.start:
            return Told(
                part.opened, True, part.least, part.version, part.on_hand, part.reserved, part.changes
            )  # fmt: skip
        if self.opened and part.version < self.start:
            return self
        return Told(
            self.start, self.opened, min(self.least, part.least) if self.least else part.least,
            max(self.version, part.version), self.on_hand + part.on_hand, self.reserved + part.reserved,
            self.changes + part.changes,
        )  # fmt: skip


_NOTHING: Final = Told()


async def look_at_levels(database: TenantDatabase, caller: Caller) -> tuple[int, list[LevelFinding]]:
    """How many levels there are, and those that are not what their events add up to; on the primary."""
    [[(below,)]] = await database.read(caller, FIXED_BELOW(), consistency=PRIMARY_ONLY)
    fixed = await _add_up(database, caller, below)
    checked, found, after = 0, list[LevelFinding](), UUID(int=0)
    while True:
        levels, since = await database.read(
            caller, LEVELS(after=after, at_most=_LEVELS), PART_SINCE(below=below), consistency=PRIMARY_ONLY
        )
        checked += len(levels)
        found += compare_levels(levels, fixed, since)
        if len(levels) < _LEVELS:
            return checked, found
        after = levels[-1].id


async def _add_up(database: TenantDatabase, caller: Caller, below: str) -> dict[_Place, Told]:
    fixed: dict[_Place, Told] = {}
    reached = 0
    for _ in range(_PAGES):
        page = {"after": reached, "at_most": _EVENTS}
        [(last,)], parts = await database.read(
            caller, PAGE_END(**page), PART_OF_PAGE(**page, below=below), consistency=PRIMARY_ONLY
        )
        if last is None:
            break
        for part in parts:
            fixed[part.place] = fixed.get(part.place, _NOTHING).plus(part)
        reached = last
    return fixed


def compare_levels(
    levels: Sequence[LevelPlace], fixed: Mapping[_Place, Told], since: Sequence[LevelPart]
) -> list[LevelFinding]:
    """Pure: the levels that are not what `fixed` and then `since` amount to."""
    later = {part.place: part for part in since}
    found = []
    for level in levels:
        place = (level.product_id, level.location_id)
        told = fixed.get(place, _NOTHING)
        if place in later:
            told = told.plus(later[place])
        finding = LevelFinding(
            level.id, level.version, level.on_hand, level.reserved, max(1, told.version), told.on_hand,
            told.reserved, told.changes, told.start, told.opened or (told.least or level.version + 1) == 2,
        )  # fmt: skip
        if not finding.agrees:
            found.append(finding)
    return found
