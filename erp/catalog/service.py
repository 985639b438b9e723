"""The commands of the catalogue."""

from erp.catalog.categories import create_category, update_category
from erp.catalog.products import create_product, update_product
from erp.catalog.units import create_unit, update_unit

__all__ = [
    "create_category",
    "create_product",
    "create_unit",
    "update_category",
    "update_product",
    "update_unit",
]
