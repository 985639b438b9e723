"""What is on its way: kept by the documents that expect goods (purchase orders), read by availability."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from uuid import UUID

from erp.inventory.claims_repository import DROP_INCOMING, SET_INCOMING
from tenancy.work import UnitOfWork


@dataclass(frozen=True, slots=True)
class Incoming:
    """`quantity` >= 0 still to come, in the base unit; `expected_on` when known."""

    product_id: UUID
    location_id: UUID
    quantity: Decimal
    expected_on: date | None = None


def set_incoming(work: UnitOfWork, source_type: str, source_id: UUID, expected: Sequence[Incoming]) -> None:
    """Queue what one document still expects, replacing what it expected before; empty when nothing is left.

    The caller holds the document's row lock, so the last writer is right. Rows of the same product and
    location are added up, the earliest date counts.
    """
    total: dict[tuple[UUID, UUID], Decimal] = {}
    first: dict[tuple[UUID, UUID], date | None] = {}
    for row in expected:
        pair = (row.product_id, row.location_id)
        total[pair] = total.get(pair, Decimal(0)) + row.quantity
        known = [day for day in (first.get(pair), row.expected_on) if day is not None]
        first[pair] = min(known, default=None)
    open_pairs = sorted(pair for pair, quantity in total.items() if quantity > 0)
    products, locations = [pair[0] for pair in open_pairs], [pair[1] for pair in open_pairs]
    work.save(DROP_INCOMING(source_id=source_id, products=products, locations=locations))
    if open_pairs:
        work.save(
            SET_INCOMING(
                source_id=source_id, source_type=source_type, products=products, locations=locations,
                quantities=[total[pair] for pair in open_pairs], dates=[first[pair] for pair in open_pairs],
            )
        )  # fmt: skip
