"""What other slices need to know of locations before they decide."""

from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import Uuid, bindparam, case, cast, or_, select

from db.errors import UnknownReference
from db.statement import TENANT, Bound, Statement, any_of
from erp.inventory.errors import LocationInactive, NoDefaultLocation
from erp.inventory.models import locations


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
