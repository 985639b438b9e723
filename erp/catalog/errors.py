"""What the catalogue refuses, and which database constraint means what to a client."""

from db.constraints import on_violation
from db.errors import DomainError, Duplicate, UnknownReference


class CategoryCycle(DomainError):
    """The category would lie below itself.

    Fix: name a parent that is not below this category.
    """

    code = "category-cycle"
    title = "A category cannot lie below itself"
    status = 422


class ProductInactive(DomainError):
    """The product was deactivated and is no longer traded.

    Fix: activate it again, or name another product.
    """

    code = "product-inactive"
    title = "The product is inactive"
    status = 422


class NotInThisUnit(DomainError):
    """The product does not come in this unit.

    Fix: name the product's own unit or one of its other units, or add the unit to the product.
    """

    code = "product-not-in-unit"
    title = "The product does not come in this unit"
    status = 422


on_violation("units_code_key", Duplicate, fields=["code"], pointer="/code")
on_violation("units_external_id_key", Duplicate, fields=["external_id"], pointer="/external_id")
on_violation("categories_code_key", Duplicate, fields=["code"], pointer="/code")
on_violation("categories_external_id_key", Duplicate, fields=["external_id"], pointer="/external_id")
on_violation("categories_parent", UnknownReference, fields=["parent_id"], pointer="/parent_id")
on_violation("categories_parent_check", CategoryCycle, pointer="/parent_id")
on_violation("products_code_key", Duplicate, fields=["code"], pointer="/code")
on_violation("products_barcode_key", Duplicate, fields=["barcode"], pointer="/barcode")
on_violation("products_external_id_key", Duplicate, fields=["external_id"], pointer="/external_id")
on_violation("products_category", UnknownReference, fields=["category_id"], pointer="/category_id")
on_violation("products_tax_group", UnknownReference, fields=["tax_group_id"], pointer="/tax_group_id")
