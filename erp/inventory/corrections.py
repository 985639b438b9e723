"""Cost corrections: what a document of an earlier day changed of costs booked since, as one entry of today.

What is posted is never rewritten. The value of stock and the cost of what left since get the difference in the open
period of the day the document was recorded, each affected issue with its part of it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from db.identifiers import new_id
from erp.accounting.posting import Ledger, Posting, save_entry
from erp.inventory.corrections_repository import ADD_CORRECTION, ADD_CORRECTION_LINES, CorrectionRow
from erp.inventory.hindsight import ZERO, Effect
from erp.inventory.repository import ADD_MOVES
from erp.kernel.money import money_text
from tenancy.trail import Event
from tenancy.work import UnitOfWork

SERIES: Final = "cost_correction"
#: What an issue of this kind was booked against.
COUNTER_ROLES: Final[Mapping[str, str]] = {"delivery": "@cogs", "adjustment": "@inventory_adjustment"}


@dataclass(frozen=True, slots=True)
class Correction:
    """One about to be posted: its number, and the ledger of the day it is posted on."""

    number: str
    ledger: Ledger


@dataclass(frozen=True, slots=True)
class Source:
    """The document that was recorded late. `effective_from`: the day it is booked on."""

    type: str
    id: UUID
    number: str
    effective_from: date


def by_product(effects: Sequence[Effect]) -> dict[UUID, Decimal]:
    """What the stock of each product gains, where it is anything."""
    total: dict[UUID, Decimal] = {}
    for effect in effects:
        total[effect.move.product_id] = total.get(effect.move.product_id, ZERO) + effect.amount
    return {product: amount for product, amount in total.items() if amount}


def postings_of(effects: Sequence[Effect]) -> list[Posting]:
    """One line on @inventory for each product, then what the issues were booked against.

    None when all of it cancels out: one issue of a product gains a penny that the next one loses. There is nothing
    to correct then; should it ever matter, a later correction finds it again.
    """
    lines = [Posting("@inventory", amount, product_id=product) for product, amount in by_product(effects).items()]
    counter: dict[str, Decimal] = {}
    for effect in effects:
        role = COUNTER_ROLES[effect.move.kind]
        counter[role] = counter.get(role, ZERO) - effect.amount
    return [*lines, *(Posting(role, amount) for role, amount in sorted(counter.items()) if amount)]


def save_correction(
    work: UnitOfWork,
    correction: Correction,
    effects: Sequence[Effect],
    source: Source,
    places: Mapping[UUID, UUID],
) -> None:
    """Queue the correction with its entry and moves. `places`: product -> one of its locations.

    The caller has made sure that there is something to post.
    """
    correction_id, entry_id, currency = new_id(), new_id(), work.tenant.base_currency
    ledger, number, totals = correction.ledger, correction.number, by_product(effects)
    save_entry(
        work, ledger, entry_id=entry_id, number=number, journal="stock", postings=postings_of(effects),
        source_type=SERIES, source_id=correction_id, text=f"{source.number}, recorded late",
    )  # fmt: skip
    row = CorrectionRow(
        id=correction_id, number=number, date=ledger.document_date, accounting_date=ledger.date,
        effective_from=source.effective_from, source_type=source.type, source_id=source.id,
        source_number=source.number, currency=currency, value=sum(totals.values(), ZERO), line_count=len(effects),
        entry_id=entry_id, version=1, created_at=work.now,
    )  # fmt: skip
    work.save(
        ADD_CORRECTION(**row._asdict()),
        ADD_CORRECTION_LINES(
            correction_id=correction_id,
            moves=[effect.move.id for effect in effects],
            products=[effect.move.product_id for effect in effects],
            amounts=[effect.amount for effect in effects],
        ),
    )
    if totals:
        work.save(_moves(row, totals, places))
    facts = correction_facts(row)
    work.publish(Event(SERIES, row.id, 1, "cost_correction.posted", facts))
    work.audit("cost_correction.post", SERIES, row.id, after=facts)


def _moves(row: CorrectionRow, totals: Mapping[UUID, Decimal], places: Mapping[UUID, UUID]) -> Any:
    """One move of value alone for each product, on the entry's lines from the first on."""
    return ADD_MOVES(
        date=row.accounting_date, kind="correction", source_type=SERIES, source_id=row.id, entry_id=row.entry_id,
        ids=[new_id() for _ in totals],
        products=list(totals),
        locations=[places[product] for product in totals],
        quantities=[ZERO for _ in totals],
        amounts=list(totals.values()),
        costs=[ZERO for _ in totals],
        source_lines=[None for _ in totals],
        line_nos=list(range(1, len(totals) + 1)),
    )  # fmt: skip


def correction_facts(row: CorrectionRow) -> dict[str, Any]:
    return {
        "number": row.number, "date": row.date.isoformat(), "accounting_date": row.accounting_date.isoformat(),
        "effective_from": row.effective_from.isoformat(), "source_type": row.source_type,
        "source_id": str(row.source_id), "source_number": row.source_number,
        "value": money_text(row.value, row.currency), "issues": row.line_count, "entry_id": str(row.entry_id),
    }  # fmt: skip
