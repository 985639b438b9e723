"""The units every tenant starts with."""

from typing import Final

from db.identifiers import new_id
from erp.catalog.repository import UnitRow
from erp.catalog.units import save_unit
from tenancy.work import UnitOfWork

#: (code, name, decimals)
UNITS: Final = (
    ("pcs", "Piece", 0),
    ("box", "Box", 0),
    ("kg", "Kilogram", 3),
    ("m", "Metre", 3),
    ("l", "Litre", 3),
    ("h", "Hour", 2),
)


def seed(work: UnitOfWork) -> None:
    """Queue the units of measure."""
    for code, name, decimals in UNITS:
        save_unit(work, UnitRow(new_id(), 1, code, name, decimals, True, None, work.now))
