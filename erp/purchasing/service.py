"""The commands of purchasing."""

from erp.purchasing.billing import bill_order, create_bill
from erp.purchasing.cancelling import cancel_bill
from erp.purchasing.orders import cancel_order, close_order, confirm_order, create_order
from erp.purchasing.receiving import receive_directly, receive_order

__all__ = [
    "bill_order",
    "cancel_bill",
    "cancel_order",
    "close_order",
    "confirm_order",
    "create_bill",
    "create_order",
    "receive_directly",
    "receive_order",
]
