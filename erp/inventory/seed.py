"""Where a new tenant's goods lie until it says otherwise: one warehouse with one location, the default."""

from db.identifiers import new_id
from erp.inventory.places_repository import ADD_LOCATION, ADD_WAREHOUSE, LocationRow, WarehouseRow
from tenancy.work import UnitOfWork

WAREHOUSE = ("MAIN", "Main warehouse")
LOCATION = ("STOCK", "Stock")


def seed(work: UnitOfWork) -> None:
    """Queue the rows."""
    warehouse = WarehouseRow(new_id(), 1, *WAREHOUSE, True, None, work.now)
    location = LocationRow(new_id(), 1, warehouse.id, *LOCATION, True, True, None, work.now)
    work.save(ADD_WAREHOUSE(**warehouse._asdict()), ADD_LOCATION(**location._asdict()))
