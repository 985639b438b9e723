"""The commands of stock. Slices that move goods themselves use `stock`, `reservations` and `facts`."""

from erp.inventory.adjustments import create_adjustment
from erp.inventory.places import create_location, create_warehouse, update_location, update_warehouse
from erp.inventory.reservations import (
    create_reservation,
    expire_reservations,
    extend_reservation,
    release_reservation,
)

__all__ = [
    "create_adjustment",
    "create_location",
    "create_reservation",
    "create_warehouse",
    "expire_reservations",
    "extend_reservation",
    "release_reservation",
    "update_location",
    "update_warehouse",
]
