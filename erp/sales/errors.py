"""What selling refuses, and which database constraint means what to a client."""

from db.constraints import on_violation
from db.errors import DomainError, Duplicate


class PriceUnknown(DomainError):
    """The line names no price, the party's price list has none for it and the product neither.

    Fix: give `unit_price`, set the product's sale price, or add the product to the price list.
    """

    code = "price-unknown"
    title = "There is no price"
    status = 422


class MoreThanOpen(DomainError):
    """More would be delivered, invoiced, cancelled or returned than is left of the line.

    Fix: ask for at most `open`.
    """

    code = "more-than-open"
    title = "More than is left of the line"


class CreditLimitExceeded(DomainError):
    """With this order the customer would owe more than its credit limit; nothing was changed.

    Fix: wait for a payment, cancel other orders, raise `credit_limit`, or confirm with `credit_override`.
    """

    code = "credit-limit-exceeded"
    title = "The customer's credit limit would be exceeded"


class OrderChanged(DomainError):
    """The draft was changed while it was being confirmed; nothing was changed.

    Fix: read it again, then confirm it.
    """

    code = "order-changed"
    title = "The order changed meanwhile"
    retryable = True


class NothingToDo(DomainError):
    """Nothing of the order is left for this step: all of it is done, cancelled or not in stock.

    Fix: read the order's lines; receive goods when they are on backorder.
    """

    code = "nothing-to-do"
    title = "There is nothing left to do"


on_violation("sales_order_lines_delivered_check", MoreThanOpen)
on_violation("sales_order_lines_cancelled_check", MoreThanOpen)
on_violation("sales_order_lines_returned_check", MoreThanOpen)
on_violation("delivery_lines_returned_check", MoreThanOpen)
on_violation("sales_orders_external_id_key", Duplicate, fields=["external_id"], pointer="/external_id")
on_violation("deliveries_external_id_key", Duplicate, fields=["external_id"], pointer="/external_id")
on_violation("sales_returns_external_id_key", Duplicate, fields=["external_id"], pointer="/external_id")
