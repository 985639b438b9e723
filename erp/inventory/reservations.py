"""Claims on stock that end by themselves: made, extended, released, consumed, expired.

A reservation and its level's `reserved` change together, under the row lock of the level. One that is past its
time holds until the expiry command has freed it: until then it can still be delivered or extended.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final, Literal
from uuid import UUID

from db.identifiers import new_id
from db.statement import Bound
from erp.inventory.claims_repository import (
    ADD_RESERVATIONS,
    DUE_RESERVATIONS,
    LOCK_OF_SOURCE,
    LOCK_RESERVATIONS,
    OF_SOURCE,
    PEEK_RESERVATION,
    SET_EXPIRY,
    TAKE_FROM_RESERVATIONS,
    ReservationRow,
)
from erp.inventory.errors import ReservationClosed
from erp.inventory.events import reservation_event
from erp.inventory.facts import check_decimals, chosen_location, location_facts, stocked_product
from erp.inventory.schemas import CreateReservationInput, ExtendReservationInput, ReservationView
from erp.inventory.stock import Stock, level_loads
from erp.kernel.errors import Invalid, NotFound
from erp.kernel.quantity import quantity_text
from erp.kernel.text import decimal
from erp.pricing.facts import selling_facts
from fleet.configuration.keys import Key
from tenancy.configured import configured
from tenancy.locks import stock_operation
from tenancy.trail import Event
from tenancy.work import UnitOfWork

# A basket waits half an hour for its payment, a confirmed order three days for its delivery.
INVENTORY_TTL: Final = Key(
    name="inventory.reservation_ttl", kind=int, default=1_800, unit="seconds", minimum=60, maximum=31_622_400,
    describe="How long a reservation made by hand holds.", per_tenant=True,
)  # fmt: skip
SALES_TTL: Final = Key(
    name="sales.reservation_ttl", kind=int, default=259_200, unit="seconds", minimum=60, maximum=31_622_400,
    describe="How long the reservations of a confirmed order hold.", per_tenant=True,
)  # fmt: skip
_LONGEST = timedelta(days=366)

FinalState = Literal["consumed", "released", "expired"]


@dataclass(frozen=True, slots=True)
class Hold:
    """A reservation about to be made: `quantity` > 0 in the base unit, for a line of the document that asks."""

    product_id: UUID
    location_id: UUID
    quantity: Decimal
    line_id: UUID | None = None
    id: UUID = field(default_factory=new_id)


def expiry(work: UnitOfWork, ttl: Key[int]) -> datetime:
    """When a reservation made now ends."""
    return work.now + timedelta(seconds=configured(work.tenant, ttl))


def reservations_of(source_id: UUID) -> Bound[ReservationRow]:
    """The document's active reservations, locked. Load them behind their levels."""
    return LOCK_OF_SOURCE(source_id=source_id)


def shown_reservations_of(source_id: UUID) -> Bound[ReservationRow]:
    """The same for a read."""
    return OF_SOURCE(source_id=source_id)


def save_reservations(
    work: UnitOfWork,
    holds: Sequence[Hold],
    *,
    expires_at: datetime,
    source_type: str,
    source_id: UUID | None,
    reference: str = "",
    external_id: str | None = None,
) -> None:
    """Queue reservations whose quantities were reserved on a `Stock`; the document's event tells of them."""
    if not holds:
        return
    work.save(
        ADD_RESERVATIONS(
            expires_at=expires_at, source_type=source_type, source_id=source_id, reference=reference,
            created_at=work.now,
            ids=[hold.id for hold in holds],
            products=[hold.product_id for hold in holds],
            locations=[hold.location_id for hold in holds],
            quantities=[hold.quantity for hold in holds],
            source_lines=[hold.line_id for hold in holds],
            external_ids=[external_id for _ in holds],
        )
    )  # fmt: skip


def take_from(work: UnitOfWork, taken: Sequence[tuple[ReservationRow, Decimal]], final_state: FinalState) -> None:
    """Queue that so much of each (locked) reservation was used or given up; an emptied one ends in `final_state`."""
    total: dict[UUID, Decimal] = {}
    for row, quantity in taken:
        total[row.id] = total.get(row.id, Decimal(0)) + quantity
    if total:
        work.save(
            TAKE_FROM_RESERVATIONS(
                ids=list(total), quantities=list(total.values()), final_state=final_state, at=work.now
            )
        )


async def create_reservation(work: UnitOfWork, data: CreateReservationInput) -> ReservationView:
    """Raises InsufficientStock, NotStocked, UnknownReference, LocationInactive, NoDefaultLocation, Duplicate."""
    places, facts = await work.peek(location_facts(data.location_id), selling_facts([data.product_id], work.today))
    location = chosen_location(places, data.location_id)
    product = stocked_product(facts, data.product_id, pointer="/product_id")
    wanted = decimal(data.quantity)
    check_decimals(wanted, product, pointer="/quantity")
    pair = (product.product_id, location.id)
    await stock_operation(work, [pair])
    [levels] = await work.load(level_loads([pair]))

    stock = Stock(levels, [], work.tenant.base_currency)
    there = stock.available(*pair)
    quantity = min(wanted, there) if data.allow_partial and there > 0 else wanted
    stock.reserve(*pair, quantity, "/quantity")

    hold = Hold(*pair, quantity)
    ends = expiry(work, INVENTORY_TTL)
    if data.expires_in is not None:
        ends = work.now + timedelta(seconds=data.expires_in)
    stock.save_levels(work)
    save_reservations(
        work, [hold], expires_at=ends, source_type="manual", source_id=None, reference=data.reference,
        external_id=data.external_id,
    )  # fmt: skip
    row = ReservationRow(
        hold.id, *pair, "active", quantity, quantity, ends, "manual", None, None, data.reference, data.external_id,
        None, 1, work.now,
    )  # fmt: skip
    facts_told = {
        "product_id": str(pair[0]), "location_id": str(pair[1]), "quantity": quantity_text(quantity),
        "expires_at": ends.isoformat(),
    }  # fmt: skip
    told = {**facts_told, "levels": stock.level_facts()}
    work.publish(Event("reservation", row.id, 1, "reservation.created", told))
    work.audit("reservation.create", "reservation", row.id, after=facts_told)
    return reservation_view(row)


async def extend_reservation(work: UnitOfWork, reservation_id: UUID, data: ExtendReservationInput) -> ReservationView:
    """Raises NotFound, VersionConflict, ReservationClosed, Invalid for an end that is past or too far away."""
    [found] = await work.load(LOCK_RESERVATIONS(ids=[reservation_id]))
    row = _active(work, found, reservation_id)
    ends = _new_end(work, row, data)
    work.save(SET_EXPIRY(ids=[row.id], new_expiry=ends))
    change = {"expires_at": ends.isoformat()}
    work.publish(reservation_event(row, "extended", row.open_quantity, expires_at=ends.isoformat()))
    work.audit(
        "reservation.extend", "reservation", row.id, before={"expires_at": row.expires_at.isoformat()}, after=change
    )
    return reservation_view(row._replace(expires_at=ends, version=row.version + 1))


async def release_reservation(work: UnitOfWork, reservation_id: UUID) -> ReservationView:
    """Give back what it still holds. Raises NotFound, VersionConflict, ReservationClosed."""
    [peeked] = await work.peek(PEEK_RESERVATION(id=reservation_id))
    if not peeked:
        raise NotFound(reservation_id=str(reservation_id))
    pair = (peeked[0].product_id, peeked[0].location_id)
    await stock_operation(work, [pair])
    levels, found = await work.load(level_loads([pair]), LOCK_RESERVATIONS(ids=[reservation_id]))
    row = _active(work, found, reservation_id)
    _free(work, Stock(levels, [], work.tenant.base_currency), [row], "released")
    work.audit(
        "reservation.release", "reservation", row.id,
        before={"open_quantity": quantity_text(row.open_quantity)}, after={"state": "released"},
    )  # fmt: skip
    return reservation_view(
        row._replace(state="released", open_quantity=Decimal(0), closed_at=work.now, version=row.version + 1)
    )


async def expire_reservations(work: UnitOfWork, limit: int) -> int:
    """Free what at most `limit` overdue reservations hold; how many were freed.

    Which are overdue is asked again under the locks of their levels: one that was extended or delivered in the
    meantime stays out of it. Run it again while it returns `limit`.
    """
    [due] = await work.peek(DUE_RESERVATIONS(now=work.now, limit=limit))
    if not due:
        return 0
    pairs = sorted({(row.product_id, row.location_id) for row in due})
    await stock_operation(work, pairs)
    levels, rows = await work.load(level_loads(pairs), LOCK_RESERVATIONS(ids=[row.id for row in due]))
    overdue = [row for row in rows if row.state == "active" and row.expires_at <= work.now]
    _free(work, Stock(levels, [], work.tenant.base_currency), overdue, "expired")
    for row in overdue:
        work.audit(
            "reservation.expire", "reservation", row.id,
            before={"open_quantity": quantity_text(row.open_quantity)}, after={"state": "expired"},
        )  # fmt: skip
    return len(overdue)


def reservation_view(row: ReservationRow) -> ReservationView:
    values: dict[str, Any] = row._asdict()
    values["quantity"] = quantity_text(row.quantity)
    values["open_quantity"] = quantity_text(row.open_quantity)
    return ReservationView(**values)


def _free(work: UnitOfWork, stock: Stock, rows: Sequence[ReservationRow], final_state: FinalState) -> None:
    for row in rows:
        stock.release(row.product_id, row.location_id, row.open_quantity)
    stock.save_levels(work)
    take_from(work, [(row, row.open_quantity) for row in rows], final_state)
    # Told once, by the first: two of them may share a level, which changes once.
    levels = stock.level_facts()
    work.publish(
        *(
            reservation_event(row, final_state, row.open_quantity, levels if not number else ())
            for number, row in enumerate(rows)
        )
    )


def _active(work: UnitOfWork, found: Sequence[ReservationRow], reservation_id: UUID) -> ReservationRow:
    if not found:
        raise NotFound(reservation_id=str(reservation_id))
    [row] = found
    work.check_version(row.version)
    if row.state != "active":
        raise ReservationClosed(f"The reservation is {row.state}.", state=row.state)
    return row


def _new_end(work: UnitOfWork, row: ReservationRow, data: ExtendReservationInput) -> datetime:
    if data.expires_at is not None and data.expires_in is not None:
        raise Invalid("Send `expires_at` or `expires_in`, not both.", pointer="/expires_in")
    if data.expires_at is not None:
        ends = data.expires_at
    elif data.expires_in is not None:
        ends = work.now + timedelta(seconds=data.expires_in)
    else:
        of_order = row.source_type != "manual"
        ends = expiry(work, SALES_TTL if of_order else INVENTORY_TTL)
    if not work.now < ends <= work.now + _LONGEST:
        raise Invalid("A reservation ends within the next 366 days.", pointer="/expires_at")
    return ends
