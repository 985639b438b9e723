"""What stock refuses, and which database constraint means what to a client."""

from collections.abc import Sequence
from decimal import Decimal
from typing import NamedTuple
from uuid import UUID

from db.constraints import on_violation
from db.errors import DomainError, Duplicate, UnknownReference
from erp.kernel.quantity import quantity_text


class InsufficientStock(DomainError):
    """Less is available than asked for; nothing was changed. `shortages` names every product that lacks.

    Fix: ask for at most `available`, allow a partial reservation, or receive goods first.
    """

    code = "insufficient-stock"
    title = "Not enough stock"


class Shortage(NamedTuple):
    """One level that has less than is asked of it."""

    product_id: UUID
    location_id: UUID
    requested: Decimal
    available: Decimal
    pointer: str | None = None


def insufficient(short: Sequence[Shortage]) -> InsufficientStock:
    """The refusal that names every shortage; there is at least one."""
    first = short[0]
    more = f" {len(short) - 1} more products lack." if len(short) > 1 else ""
    return InsufficientStock(
        f"{quantity_text(first.requested)} asked for, {quantity_text(first.available)} available.{more}",
        pointer=first.pointer,
        shortages=[
            {
                "product_id": str(one.product_id), "location_id": str(one.location_id),
                "requested": quantity_text(one.requested), "available": quantity_text(one.available),
            }
            for one in short
        ],
    )  # fmt: skip


class ReservationClosed(DomainError):
    """The reservation was consumed, released or has expired; it holds nothing any more.

    Fix: make a new reservation.
    """

    code = "reservation-closed"
    title = "The reservation is closed"


class NotStocked(DomainError):
    """The product is a service: it is sold but never lies in a location.

    Fix: leave the product out, or name a stocked one.
    """

    code = "product-not-stocked"
    title = "The product is not kept in stock"
    status = 422


class CostUnknown(DomainError):
    """The product has no stock and never had any, so there is no average to value it at.

    Fix: give `unit_cost`.
    """

    code = "cost-unknown"
    title = "The unit cost is not known"
    status = 422


class NoDefaultLocation(DomainError):
    """The document names no location and the tenant has no default one.

    Fix: name a `location_id`, or make a location the default.
    """

    code = "no-default-location"
    title = "There is no default location"


class LocationInactive(DomainError):
    """The location is out of use.

    Fix: name another location, or take this one back into use.
    """

    code = "location-inactive"
    title = "The location is inactive"


class LocationInUse(DomainError):
    """The location still holds stock or is the default one, so it stays in use.

    Fix: empty the location, or make another one the default, first.
    """

    code = "location-in-use"
    title = "The location is in use"


class DateInFuture(DomainError):
    """Goods move today or moved earlier, never tomorrow.

    Fix: send the day of the movement, in the tenant's time zone.
    """

    code = "date-in-future"
    title = "The date lies in the future"
    status = 422


class BackdatedTooFar(DomainError):
    """Products of the document moved since its day, which is too long ago for their costs to follow.

    Fix: date it `earliest` or later, raise the setting `inventory.max_backdate_days`, or record what is taken over
    from another system as `history`, which leaves the costs of later issues alone.
    """

    code = "backdated-too-far"
    title = "The document is dated too far back"


class BackdatedTooMuch(DomainError):
    """So much has moved since the document's day that the costs of it all cannot follow at once.

    Fix: date it later, put fewer products on it, or record it as `history`.
    """

    code = "backdated-too-much"
    title = "Too much has moved since the document's day"


on_violation("stock_levels_on_hand_not_negative", InsufficientStock)
on_violation("stock_levels_reserved_not_negative", ReservationClosed)
on_violation("stock_levels_reserved_on_hand", InsufficientStock)
on_violation("product_costs_quantity_not_negative", InsufficientStock)
on_violation("locations_one_default", Duplicate, fields=["is_default"], pointer="/is_default")
on_violation("locations_default_is_active", LocationInUse)
on_violation("warehouses_code_key", Duplicate, fields=["code"], pointer="/code")
on_violation("warehouses_external_id_key", Duplicate, fields=["external_id"], pointer="/external_id")
on_violation("locations_code_key", Duplicate, fields=["code"], pointer="/code")
on_violation("locations_external_id_key", Duplicate, fields=["external_id"], pointer="/external_id")
on_violation("locations_warehouse", UnknownReference, fields=["warehouse_id"], pointer="/warehouse_id")
on_violation("stock_levels_location", UnknownReference, fields=["location_id"], pointer="/location_id")
on_violation("reservations_external_id_key", Duplicate, fields=["external_id"], pointer="/external_id")
on_violation("stock_adjustments_external_id_key", Duplicate, fields=["external_id"], pointer="/external_id")
