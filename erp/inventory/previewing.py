"""What a stock document of an earlier day would change, worked out like booking it, without booking it. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

from db.identifiers import new_id
from erp.accounting.posting import PeriodRow, RoleRow, open_ledger
from erp.inventory.adjustments import Difference, apply_lines
from erp.inventory.backdating import Reach
from erp.inventory.correction_schemas import (
    CorrectedProductView,
    CorrectionPreviewView,
    PreviewLineView,
    PreviewPostingView,
)
from erp.inventory.corrections import by_product, postings_of
from erp.inventory.errors import DateInFuture
from erp.inventory.hindsight import ZERO, Effect, arrivals
from erp.inventory.repository import CostRow, LevelRow, SinceRow
from erp.inventory.stock import Move, Stock
from erp.kernel.money import money_text
from erp.kernel.quantity import quantity_text
from erp.kernel.text import Date


@dataclass(frozen=True, slots=True)
class Situation:
    """What was read: the products as they are, what moved since the day, and the periods of that day and of today."""

    levels: Sequence[LevelRow]
    costs: Sequence[CostRow]
    since: Sequence[SinceRow]
    periods: Sequence[PeriodRow]
    periods_today: Sequence[PeriodRow]
    roles: Sequence[RoleRow]


def check_not_future(on: Date, reach: Reach) -> None:
    """Raises DateInFuture."""
    if on > reach.today:
        raise DateInFuture(f"Today is {reach.today}.", pointer="/date", date=on.isoformat())


def preview(
    on: Date, lines: Sequence[Difference], found: Situation, reach: Reach, currency: str, codes: Mapping[UUID, str]
) -> CorrectionPreviewView:
    """Raises what booking it would raise: InsufficientStock, CostUnknown, BackdatedTooFar, BackdatedTooMuch, ..."""
    ledger = open_ledger(found.periods, found.roles, on)
    since = [row for row in found.since if row.date > ledger.date]
    reach.check(ledger.date, sorted({row.product_id for row in since}), len(found.since))
    stock = Stock(*_with_empty(found, lines), currency, arrivals(found.since), since)
    moves = apply_lines(stock, lines)
    effects = stock.effects()
    posts = postings_of(effects)
    today = open_ledger(found.periods_today, found.roles, reach.today) if posts else None
    if today is None:
        effects = []
    return CorrectionPreviewView(
        date=on, accounting_date=ledger.date, date_shifted=ledger.date_shifted, earliest_date=reach.earliest,
        currency=currency, lines=_lines(moves, currency), correction_date=today.date if today else None,
        value=money_text(sum(by_product(effects).values(), ZERO), currency), issues=len(effects),
        products=_products(effects, codes, currency),
        entry=[
            PreviewPostingView(
                account=(today or ledger).account(one.account), debit=money_text(max(one.amount, ZERO), currency),
                credit=money_text(max(-one.amount, ZERO), currency), product_id=one.product_id,
            )
            for one in posts
        ],
    )  # fmt: skip


def _with_empty(found: Situation, lines: Sequence[Difference]) -> tuple[list[LevelRow], list[CostRow]]:
    """The rows there are, and empty ones where goods would come in for the first time."""
    levels = {(row.product_id, row.location_id): row for row in found.levels}
    costs = {row.product_id: row for row in found.costs}
    for line in lines:
        levels.setdefault(line.pair, LevelRow(*line.pair, new_id(), ZERO, ZERO, 1))
        costs.setdefault(line.product_id, CostRow(line.product_id, ZERO, ZERO, None))
    return list(levels.values()), list(costs.values())


def _lines(moves: Sequence[Move], currency: str) -> list[PreviewLineView]:
    return [
        PreviewLineView(
            line_no=line_no, product_id=move.product_id, location_id=move.location_id,
            quantity=quantity_text(move.quantity), unit_cost=quantity_text(move.unit_cost),
            value=money_text(move.value, currency),
        )
        for line_no, move in enumerate(moves, start=1)
    ]  # fmt: skip


def _products(effects: Sequence[Effect], codes: Mapping[UUID, str], currency: str) -> list[CorrectedProductView]:
    total: dict[UUID, tuple[int, Decimal]] = {}
    for effect in effects:
        issues, value = total.get(effect.move.product_id, (0, ZERO))
        total[effect.move.product_id] = issues + 1, value + effect.amount
    return [
        CorrectedProductView(
            product_id=product, product_code=codes[product], issues=issues, value=money_text(value, currency)
        )
        for product, (issues, value) in sorted(total.items(), key=lambda one: codes[one[0]])
    ]
