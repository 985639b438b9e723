"""The payment provider of this process, set by its composition root."""

from erp.fulfilment.payment_client import HttpPayments
from erp.fulfilment.port import NoPayments, Payments

_current: Payments = NoPayments()


def build(url: str, timeout: float) -> Payments:
    """A client of the provider at the address; without one, whoever needs payments waits for it."""
    return HttpPayments(url, timeout=timeout) if url else NoPayments()


def use(payments: Payments) -> None:
    global _current
    _current = payments


def provider() -> Payments:
    return _current
