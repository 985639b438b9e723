"""What payments refuse."""

from db.constraints import on_violation
from db.errors import DomainError, Duplicate
from erp.accounting.errors import OverAllocation


class PaymentReversed(DomainError):
    """The payment was reversed: it settles nothing any more.

    Fix: record the payment again if the money did come after all.
    """

    code = "payment-reversed"
    title = "The payment is reversed"


class PaymentImmutable(DomainError):
    """What a posted payment says was received or paid is never changed.

    Fix: reverse the payment and record it again.
    """

    code = "payment-immutable"
    title = "A posted payment cannot be changed"


on_violation("payments_unallocated_check", OverAllocation)
on_violation("payments_immutable", PaymentImmutable)
on_violation("payments_external_id_key", Duplicate, fields=["external_id"], pointer="/external_id")
