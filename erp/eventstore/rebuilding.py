"""One aggregate at any version or time, from its events."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from db.statement import Bound
from erp.eventstore import levels, orders
from erp.eventstore.errors import CannotRebuild
from erp.eventstore.folding import Folded, StreamEvent, Until
from erp.eventstore.levels import LevelChange
from erp.eventstore.repository import LEVEL, LEVEL_CHANGES, STREAM, LevelPlace, stored
from erp.kernel.errors import NotFound
from erp.sales.repository import ORDER, ORDER_LINES
from erp.sales.rows import LineRow, OrderRow


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """`stored`: what the tables say, in the fold's form; None when an earlier state was asked for."""

    folded: Folded
    stored: dict[str, Any] | None


#: Statements, and what makes a result of their rows. All are read from one snapshot.
Recipe = tuple[tuple[Bound[Any], ...], Callable[[Sequence[list[Any]]], Rebuilt]]


def order_recipe(order_id: UUID, until: Until) -> Recipe:
    """Raises NotFound, CannotRebuild when its rows come."""

    def rebuild(results: Sequence[list[Any]]) -> Rebuilt:
        found: list[OrderRow] = results[0]
        lines: list[LineRow] = results[1]
        events: list[StreamEvent] = results[2]
        if not found:
            raise NotFound(stream_id=str(order_id))
        folded = _checked(orders.fold_order(events, until), until)
        return Rebuilt(folded, None if _earlier(until) else orders.stored_order(found[0], lines))

    statements = (
        ORDER(order_id=order_id), ORDER_LINES(order_id=order_id),
        STREAM(aggregate_id=order_id, aggregate_type=orders.AGGREGATE),
    )  # fmt: skip
    return statements, rebuild


def level_recipe(level: LevelPlace, until: Until) -> Recipe:
    """The level again, in the snapshot of its changes. Raises CannotRebuild when the rows come."""

    def rebuild(results: Sequence[list[Any]]) -> Rebuilt:
        [now] = results[0]
        changes: list[LevelChange] = results[1]
        folded = _checked(levels.fold_level(changes, until), until)
        return Rebuilt(folded, None if _earlier(until) else levels.stored_level(stored(now)))

    statements = (
        LEVEL(level_id=level.id),
        LEVEL_CHANGES(product=str(level.product_id), location=str(level.location_id)),
    )
    return statements, rebuild


def _earlier(until: Until) -> bool:
    return until.version is not None or until.time is not None


def _checked(folded: Folded, until: Until) -> Folded:
    """Raises CannotRebuild where history does not reach what was asked for, or has a gap before it."""
    if until.version is not None and folded.version != until.version:
        raise CannotRebuild(f"The history has no version {until.version}.", version=folded.version)
    if folded.broken:
        raise CannotRebuild(f"The history has a gap: {folded.broken}.", version=folded.version)
    if not folded.version:
        raise CannotRebuild("There was nothing yet at that time.")
    return folded
