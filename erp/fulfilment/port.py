"""The payment provider as we need it: five operations, each under a key that makes it one effect."""

from collections.abc import Sequence
from typing import Literal, Protocol

from msgspec import Struct

from erp.fulfilment.errors import PaymentsUnavailable

Operation = Literal["authorise", "capture", "void", "refund"]


class PaymentRequest(Struct, frozen=True, kw_only=True):
    """What is asked for. `account` is the tenant's id, `payment` our name of the payment, `amount` a decimal text.

    `void` and `refund` also refuse whatever of the payment is still on its way, so that they can be asked for
    without knowing whether the operation they undo arrived.
    """

    operation: Operation
    account: str
    payment: str
    amount: str
    currency: str
    source: str = ""


class PaymentAnswer(Struct, frozen=True, kw_only=True):
    """A definite answer to the operation of that key; `code` says why it was refused."""

    key: str
    accepted: bool
    amount: str
    code: str = ""


class LedgerPayment(Struct, frozen=True, kw_only=True):
    """A payment in the provider's own books."""

    payment: str
    currency: str
    captured: str
    refunded: str


class Payments(Protocol):
    """Every method raises PaymentsUnavailable when the answer is not known, CircuitOpen when it did not ask.

    `timeout`: seconds the call may take; without one, what the process has configured.
    """

    async def perform(self, key: str, request: PaymentRequest, timeout: float | None = None) -> PaymentAnswer:
        """Do it, once for the key whatever happens on the way."""
        ...

    async def look_up(self, key: str, timeout: float | None = None) -> PaymentAnswer | None:
        """What became of the key; None: nothing has arrived under it so far."""
        ...

    async def ledger(self, account: str, after: str, limit: int) -> Sequence[LedgerPayment]:
        """The account's payments with names above `after`, by name."""
        ...

    async def close(self) -> None: ...


class NoPayments:
    """Stands for the provider where none is configured: whoever needs one waits for it."""

    async def perform(self, key: str, request: PaymentRequest, timeout: float | None = None) -> PaymentAnswer:
        raise _missing()

    async def look_up(self, key: str, timeout: float | None = None) -> PaymentAnswer | None:
        raise _missing()

    async def ledger(self, account: str, after: str, limit: int) -> Sequence[LedgerPayment]:
        raise _missing()

    async def close(self) -> None:
        return None


def _missing() -> PaymentsUnavailable:
    return PaymentsUnavailable("No payment provider is configured.", setting="ERP_PAYMENTS_URL")
