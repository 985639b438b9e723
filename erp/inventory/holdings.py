"""Locked stock levels and costs as values: questions, changes, and the statements that save them."""

from collections.abc import Iterable, Sequence
from datetime import date
from decimal import Decimal
from itertools import groupby
from typing import Any
from uuid import UUID

from erp.accounting.posting import PeriodRow, Posting
from erp.inventory.corrections import Correction
from erp.inventory.errors import CostUnknown, Shortage, insufficient
from erp.inventory.events import level_change, tell_if_low
from erp.inventory.hindsight import Effect, Holding, before, effects_of, share
from erp.inventory.positions import (
    ZERO,
    Cost,
    Demand,
    Level,
    Move,
    MoveKind,
    Pair,
    per_unit,
    value_at,
)
from erp.inventory.repository import ADD_MOVES, MOVE_COSTS, MOVE_LEVELS, CostRow, LaterRow, LevelRow, SinceRow
from tenancy.work import UnitOfWork


class Stock:
    """Locked levels and costs, and what a command does to them. Pure until `save`.

    For a document dated in the past: `later` is what today's levels owe to later days, `since` the moves of later
    days in their order, whose costs then follow (see `effects`).
    """

    def __init__(
        self,
        levels: Sequence[LevelRow],
        costs: Sequence[CostRow],
        currency: str,
        later: Sequence[LaterRow] = (),
        since: Sequence[SinceRow] = (),
    ) -> None:
        self.currency = currency
        self.moves: list[Move] = []
        self._levels = {(row.product_id, row.location_id): Level(row, row.on_hand, row.reserved) for row in levels}
        self._costs = {row.product_id: Cost(row, Holding(row.quantity, row.value), row.last_cost) for row in costs}
        self._effects: list[Effect] | None = None
        self._settled = False
        #: For a late document: the period its correction is posted in, and that correction once it is decided.
        self.periods: Sequence[PeriodRow] = ()
        self.correction: Correction | None = None
        for row in later:
            if level := self._levels.get((row.product_id, row.location_id)):
                level.later = row.quantity
        for product_id, rows in groupby(since, key=lambda row: row.product_id):
            cost = self._cost(product_id)
            cost.since = list(rows)
            cost.then = before(cost.row, cost.since)

    # -- questions -------------------------------------------------------------------------

    def available(self, product_id: UUID, location_id: UUID) -> Decimal:
        """On hand and not reserved; zero where the product never was."""
        level = self._levels.get((product_id, location_id))
        return level.available if level else ZERO

    def present(self, product_id: UUID, location_id: UUID) -> Decimal:
        """On hand and already there on the document's date, whoever holds it."""
        level = self._levels.get((product_id, location_id))
        return max(ZERO, level.on_hand - level.later) if level else ZERO

    def unit_cost(self, product_id: UUID) -> Decimal | None:
        """The moving average, or the last one when nothing is left; None when the product never had any."""
        cost = self._costs.get(product_id)
        if cost is None:
            return None
        return per_unit(cost.basis.value, cost.basis.quantity) if cost.basis.quantity else cost.last

    def average_value(self, product_id: UUID, quantity: Decimal, *, pointer: str | None = None) -> Decimal:
        """What `quantity` more would be worth at the average of the day. Raises CostUnknown: `pointer` gives it."""
        cost = self._costs.get(product_id)
        if cost is not None and cost.basis.quantity:
            return share(cost.basis, quantity, self.currency)
        if cost is None or cost.last is None:
            raise CostUnknown(pointer=pointer, product_id=str(product_id))
        return value_at(quantity, cost.last, self.currency)

    def require(self, demands: Iterable[Demand], *, issue: bool = False) -> None:
        """Raises InsufficientStock naming every level that lacks; demands for one level count together.

        `issue`: the goods leave now, so they must also have been there on the document's date.
        """
        wanted: dict[Pair, list[Demand]] = {}
        for demand in demands:
            wanted.setdefault((demand.product_id, demand.location_id), []).append(demand)
        short = []
        for (product, location), asked in wanted.items():
            total = sum((demand.quantity for demand in asked), ZERO)
            held = sum((demand.reserved for demand in asked), ZERO)
            there = self.available(product, location) + held
            if issue:
                there = min(there, self.present(product, location))
            if total > there:
                short.append(Shortage(product, location, total, there, asked[0].pointer))
        if short:
            raise insufficient(short)

    # -- changes ---------------------------------------------------------------------------

    def reserve(self, product_id: UUID, location_id: UUID, quantity: Decimal, pointer: str | None = None) -> None:
        """Hold `quantity` > 0. Raises InsufficientStock."""
        self.require([Demand(product_id, location_id, quantity, pointer=pointer)])
        self._level(product_id, location_id).reserved += quantity

    def release(self, product_id: UUID, location_id: UUID, quantity: Decimal) -> None:
        """Give back what was held."""
        self._level(product_id, location_id).reserved -= quantity

    def issue(
        self,
        line_id: UUID | None,
        product_id: UUID,
        location_id: UUID,
        quantity: Decimal,
        *,
        reserved: Decimal = ZERO,
        pointer: str | None = None,
    ) -> Move:
        """Take `quantity` > 0 out at the moving average; `reserved` of it ends a reservation.

        Raises InsufficientStock.
        """
        level = self._levels.get((product_id, location_id))
        if level is None or quantity > min(level.available + reserved, max(ZERO, level.on_hand - level.later)):
            self.require([Demand(product_id, location_id, quantity, reserved, pointer)], issue=True)
        level, cost = level or self._level(product_id, location_id), self._cost(product_id)
        value = share(cost.basis, quantity, self.currency)
        level.on_hand -= quantity
        level.reserved -= reserved
        return self._moved(line_id, level, cost, -quantity, -value)

    def receive(
        self, line_id: UUID | None, product_id: UUID, location_id: UUID, quantity: Decimal, value: Decimal
    ) -> Move:
        """Put `quantity` > 0 in, worth `value` >= 0 (rounded)."""
        level, cost = self._level(product_id, location_id), self._cost(product_id)
        level.on_hand += quantity
        return self._moved(line_id, level, cost, quantity, value)

    # -- results ---------------------------------------------------------------------------

    @property
    def late_moves(self) -> int:
        """How many moves of later days `effects` goes through."""
        return sum(len(cost.since) for cost in self._costs.values())

    def effects(self) -> list[Effect]:
        """What the moves of this document change of the costs of later issues. Ask when all moves are made."""
        if self._effects is None:
            self._effects = [
                effect
                for cost in self._costs.values()
                if cost.moved and cost.then is not None
                for effect in effects_of(cost.then, cost.since, self.currency)
            ]
        return self._effects

    def postings(self, counter_role: str) -> list[Posting]:
        """One line on @inventory for each move that has a value, in order, then the counter lines.

        They must be the first lines of their entry, unless `save` is told where they begin.
        """
        lines = [Posting("@inventory", move.value, product_id=move.product_id) for move in self.moves if move.value]
        taken = sum((-line.amount for line in lines if line.amount < 0), ZERO)
        given = sum((-line.amount for line in lines if line.amount > 0), ZERO)
        return [*lines, *(Posting(counter_role, amount) for amount in (taken, given) if amount)]

    def save(
        self,
        work: UnitOfWork,
        *,
        kind: MoveKind,
        source_type: str,
        source_id: UUID,
        entry_id: UUID | None,
        date: date,
        first_line: int = 1,
    ) -> None:
        """Queue levels, costs and moves, behind the entry: the moves point to its lines from `first_line` on.

        `date` is the ledger's. Without any value there is no entry and `entry_id` is not used.
        """
        self.settle(work, date)
        if not self.moves:
            return
        work.save(
            ADD_MOVES(
                date=date, kind=kind, source_type=source_type, source_id=source_id, entry_id=entry_id,
                ids=[move.id for move in self.moves],
                products=[move.product_id for move in self.moves],
                locations=[move.location_id for move in self.moves],
                quantities=[move.quantity for move in self.moves],
                amounts=[move.value for move in self.moves],
                costs=[move.unit_cost for move in self.moves],
                source_lines=[move.line_id for move in self.moves],
                line_nos=self._line_numbers(first_line),
            ),
        )  # fmt: skip

    def settle(self, work: UnitOfWork, date: date) -> None:
        """Queue what the moves make of levels and costs, once: it bears no number. `date` is the ledger's."""
        if self._settled:
            return
        self._settled = True
        self.save_levels(work)
        if not self.moves:
            return
        for effect in self.effects():
            self._correct(effect)
        costs = [cost for cost in self._costs.values() if cost.moved]
        work.save(
            MOVE_COSTS(
                on=date,
                products=[cost.row.product_id for cost in costs],
                quantities=[cost.now.quantity - cost.row.quantity for cost in costs],
                amounts=[cost.now.value - cost.row.value for cost in costs],
                lasts=[cost.last for cost in costs],
            )
        )

    def level_facts(self) -> list[dict[str, Any]]:
        """What became of each level, for the one event of the command: levels are rebuilt from it (`eventstore`)."""
        return [level_change(level.row, level.on_hand, level.reserved) for level in self._changed()]

    def _changed(self) -> list[Level]:
        return [one for one in self._levels.values() if (one.on_hand, one.reserved) != one.row[3:5]]

    def save_levels(self, work: UnitOfWork) -> None:
        """Queue only the quantities: for reserving and releasing. Tells of levels that fell below reorder."""
        changed = self._changed()
        if not changed:
            return
        work.save(
            MOVE_LEVELS(
                products=[level.row.product_id for level in changed],
                locations=[level.row.location_id for level in changed],
                on_hands=[level.on_hand - level.row.on_hand for level in changed],
                reserveds=[level.reserved - level.row.reserved for level in changed],
            )
        )
        for level in changed:
            tell_if_low(work, level.row, level.available)

    # -- inside ----------------------------------------------------------------------------

    def _level(self, product_id: UUID, location_id: UUID) -> Level:
        """The level, to change it."""
        self._refuse_once_settled()
        try:
            return self._levels[product_id, location_id]
        except KeyError:
            raise RuntimeError(f"the level of {product_id} in {location_id} was not loaded") from None

    def _cost(self, product_id: UUID) -> Cost:
        try:
            return self._costs[product_id]
        except KeyError:
            raise RuntimeError(f"the cost of {product_id} was not loaded") from None

    def _correct(self, effect: Effect) -> None:
        cost = self._cost(effect.move.product_id)
        cost.now.add(ZERO, effect.amount)
        if cost.now.quantity:
            cost.last = per_unit(cost.now.value, cost.now.quantity)

    def _refuse_once_settled(self) -> None:
        if self._settled:
            raise RuntimeError("what the moves make of levels and costs is queued already: make all of them before")

    def _moved(self, line_id: UUID | None, level: Level, cost: Cost, quantity: Decimal, value: Decimal) -> Move:
        self._refuse_once_settled()
        cost.now.add(quantity, value)
        if cost.then is not None:
            cost.then.add(quantity, value)
        cost.moved = True
        unit_cost = per_unit(value, quantity)
        cost.last = per_unit(cost.now.value, cost.now.quantity) if cost.now.quantity else unit_cost
        move = Move(level.row.product_id, level.row.location_id, quantity, value, unit_cost, line_id)
        self.moves.append(move)
        return move

    def _line_numbers(self, first_line: int) -> list[int | None]:
        numbers: list[int | None] = []
        following = first_line
        for move in self.moves:
            numbers.append(following if move.value else None)
            following += 1 if move.value else 0
        return numbers
