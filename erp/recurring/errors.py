"""Refusals about recurring orders."""

from db.constraints import on_violation
from db.errors import DomainError, Duplicate


class SlotSettled(DomainError):
    """The recurring order has had its turn for this moment; nothing was changed.

    Fix: read its runs: one of them is this moment's.
    """

    code = "slot-settled"
    title = "This moment has had its order"


class TemplateChanged(DomainError):
    """The recurring order was changed while an order was being made of it; nothing was changed.

    Fix: try again.
    """

    code = "template-changed"
    title = "The recurring order changed meanwhile"
    retryable = True


on_violation("recurring_orders_name_key", Duplicate, fields=["name"], pointer="/name")
on_violation("recurring_order_runs_slot_key", SlotSettled)
