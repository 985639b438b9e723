"""What commands that move goods need to know before they decide: the location, the product, the day."""

from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import Uuid, bindparam, case, cast, or_, select

from db.errors import UnknownReference
from db.statement import TENANT, Bound, Statement, any_of
from erp.inventory.errors import DateInFuture, LocationInactive, NoDefaultLocation, NotStocked
from erp.inventory.models import locations
from erp.kernel.quantity import NotRepresentable, quantity_text
from erp.pricing.facts import SellingFacts
from tenancy.work import UnitOfWork

__all__ = [
    "LocationFacts",
    "check_decimals",
    "chosen_location",
    "default_location",
    "location_facts",
    "locations_facts",
    "movement_date",
    "stocked_product",
]


class LocationFacts(NamedTuple):
    id: UUID
    warehouse_id: UUID
    code: str
    name: str
    is_default: bool
    active: bool


_columns = tuple(locations.c[name] for name in LocationFacts._fields)
_asked = cast(bindparam("location_id"), Uuid)

_LOCATION: Statement[LocationFacts] = Statement(
    select(*_columns).where(
        locations.c.tenant_id == TENANT,
        case((_asked.is_(None), locations.c.is_default), else_=locations.c.id == _asked),
    ),
    LocationFacts,
)
_DEFAULT: Statement[LocationFacts] = Statement(
    select(*_columns).where(locations.c.tenant_id == TENANT, locations.c.is_default), LocationFacts
)
_SEVERAL: Statement[LocationFacts] = Statement(
    select(*_columns).where(
        locations.c.tenant_id == TENANT, or_(locations.c.is_default, locations.c.id == any_of("ids", Uuid))
    ),
    LocationFacts,
)


def default_location() -> Bound[LocationFacts]:
    """The tenant's default location, at most one row."""
    return _DEFAULT()


def location_facts(location_id: UUID | None) -> Bound[LocationFacts]:
    """The location with this id; the default one for None."""
    return _LOCATION(location_id=location_id)


def locations_facts(ids: Sequence[UUID]) -> Bound[LocationFacts]:
    """The locations with these ids and the default one."""
    return _SEVERAL(ids=list(ids))


def chosen_location(
    rows: Sequence[LocationFacts], location_id: UUID | None, *, pointer: str = "/location_id"
) -> LocationFacts:
    """The named location, the default one for None.

    Raises UnknownReference, NoDefaultLocation, LocationInactive.
    """
    for row in rows:
        if row.id == location_id or (location_id is None and row.is_default):
            if not row.active:
                raise LocationInactive(pointer=pointer, location_id=str(row.id), code=row.code)
            return row
    if location_id is None:
        raise NoDefaultLocation(pointer=pointer)
    raise UnknownReference("There is no location with this id.", pointer=pointer, location_id=str(location_id))


def stocked_product(rows: Sequence[SellingFacts], product_id: UUID, *, pointer: str) -> SellingFacts:
    """The product, if it is kept in stock. Raises UnknownReference, NotStocked."""
    for row in rows:
        if row.product_id == product_id:
            if row.kind != "stocked":
                raise NotStocked(pointer=pointer, product_id=str(product_id), product=row.code)
            return row
    raise UnknownReference("There is no product with this id.", pointer=pointer, product_id=str(product_id))


def check_decimals(quantity: Decimal, product: SellingFacts, *, pointer: str) -> None:
    """Raises NotRepresentable for half a piece: a base quantity with more decimals than its unit has."""
    if quantity != round(quantity, product.unit_decimals):
        raise NotRepresentable(
            f"{quantity_text(quantity)} {product.unit_code} of {product.code}: the unit has"
            f" {product.unit_decimals} decimals.",
            pointer=pointer, quantity=quantity_text(quantity), unit_code=product.unit_code,
            decimals=product.unit_decimals,
        )  # fmt: skip


def movement_date(work: UnitOfWork, asked: date | None, *, pointer: str = "/date") -> date:
    """The day goods move: today unless the document names an earlier one. Raises DateInFuture."""
    if asked is None:
        return work.today
    if asked > work.today:
        raise DateInFuture(f"Today is {work.today}.", pointer=pointer, date=asked.isoformat())
    return asked
