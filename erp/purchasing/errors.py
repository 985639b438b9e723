"""What buying refuses, and which database constraint means what to a client."""

from db.constraints import on_violation
from db.errors import DomainError, Duplicate, UnknownReference


class MoreThanOrdered(DomainError):
    """More would be received than is still open of the line.

    Fix: receive at most `open`; order the rest first.
    """

    code = "more-than-ordered"
    title = "More than was ordered"


class MoreThanReceived(DomainError):
    """The supplier's bill is for more than was received and not billed yet.

    Fix: record the goods receipt first, or bill at most `open`.
    """

    code = "more-than-received"
    title = "More than was received"


class NothingOpen(DomainError):
    """Nothing is left of the order for this step.

    Fix: read the order; what it says as open is what the step can take.
    """

    code = "nothing-open"
    title = "Nothing is left to do"


class OtherSupplier(DomainError):
    """The bill names an order of another supplier.

    Fix: enter one bill for each supplier.
    """

    code = "other-supplier"
    title = "The order belongs to another supplier"
    status = 422


class MixedPrices(DomainError):
    """Some of the billed orders have prices with tax, others without.

    Fix: say `prices_include_tax` and give the prices as they are on the bill, or enter two bills.
    """

    code = "mixed-prices"
    title = "The orders state their prices differently"
    status = 422


class BillSettled(DomainError):
    """The bill is paid or settled, wholly or in part, so it cannot be cancelled.

    Fix: take the allocations back first.
    """

    code = "bill-settled"
    title = "The bill is already settled"


on_violation("purchase_orders_external_id_key", Duplicate, fields=["external_id"], pointer="/external_id")
on_violation("goods_receipts_external_id_key", Duplicate, fields=["external_id"], pointer="/external_id")
on_violation("goods_receipts_location", UnknownReference, fields=["location_id"], pointer="/location_id")
on_violation("supplier_bills_external_id_key", Duplicate, fields=["external_id"], pointer="/external_id")
on_violation("supplier_bills_supplier_number_key", Duplicate, fields=["supplier_number"], pointer="/supplier_number")
on_violation("purchase_order_lines_received_check", MoreThanOrdered)
on_violation("purchase_order_lines_billed_check", MoreThanReceived)
