"""The commands of selling."""

from erp.sales.billing import invoice_order
from erp.sales.cancelling import cancel_order
from erp.sales.confirming import confirm_order, reserve_order
from erp.sales.delivering import deliver_order
from erp.sales.direct import create_direct_sale
from erp.sales.direct_credits import create_direct_credit
from erp.sales.orders import create_order, update_order
from erp.sales.returning import return_delivery

__all__ = [
    "cancel_order",
    "confirm_order",
    "create_direct_credit",
    "create_direct_sale",
    "create_order",
    "deliver_order",
    "invoice_order",
    "reserve_order",
    "return_delivery",
    "update_order",
]
