"""What stock tells the rest of the house, in the transaction that made it so."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Final

from erp.inventory.claims_repository import ReservationRow
from erp.inventory.repository import LevelRow
from erp.kernel.quantity import quantity_text
from tenancy.trail import Event
from tenancy.work import UnitOfWork

#: The event of a level whose history began untold: what was there, whole.
OPENED: Final = "stock_level.opened"


def tell_if_low(work: UnitOfWork, row: LevelRow, available: Decimal) -> None:
    """`stock.low` each time a level falls from its product's reorder point or above to below it; a notice follows.

    `row` is the level before the command, locked, so each crossing is told once; the reorder point holds for every
    location by itself.
    """
    point = row.reorder_point
    if point is None or not available < point <= row.on_hand - row.reserved:
        return
    facts = {
        "product_id": str(row.product_id), "location_id": str(row.location_id),
        "available": quantity_text(available), "reorder_point": quantity_text(point),
    }  # fmt: skip
    work.publish(Event("stock_level", row.id, row.version + 1, "stock.low", facts))


def level_change(row: LevelRow, on_hand: Decimal, reserved: Decimal) -> dict[str, Any]:
    """What became of a level: differences, and the version they made. `row` is the level before, locked."""
    return {
        "product_id": str(row.product_id), "location_id": str(row.location_id), "version": row.version + 1,
        "on_hand": quantity_text(on_hand - row.on_hand), "reserved": quantity_text(reserved - row.reserved),
    }  # fmt: skip


def reservation_event(
    row: ReservationRow, what: str, quantity: Decimal, levels: Sequence[dict[str, Any]] = (), *, expires_at: str = ""
) -> Event:
    """`reservation.<what>`: `quantity` of it was taken or given; `row` is the reservation before the change."""
    data: dict[str, Any] = {
        "product_id": str(row.product_id), "location_id": str(row.location_id), "quantity": quantity_text(quantity),
        "source_type": row.source_type, "source_id": str(row.source_id) if row.source_id else None,
        "source_line_id": str(row.source_line_id) if row.source_line_id else None,
    }  # fmt: skip
    if expires_at:
        data["expires_at"] = expires_at
    if levels:
        data["levels"] = levels
    return Event("reservation", row.id, row.version + 1, f"reservation.{what}", data)
