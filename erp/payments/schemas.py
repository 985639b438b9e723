"""Payments on the wire."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from msgspec import Meta, Struct

from erp.accounting.schemas import AccountRef
from erp.kernel.text import Date, ExternalId, PositiveAmount, Reason, Text

Direction = Literal["in", "out"]
Side = Literal["receivable", "payable"]
Method = Literal["bank_transfer", "card", "cash", "cheque", "direct_debit", "other"]


class AllocationInput(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to settle, named by exactly one id: an open item, or the invoice, credit note or bill it belongs to."""

    amount: PositiveAmount
    open_item_id: UUID | None = None
    invoice_id: UUID | None = None
    bill_id: UUID | None = None


class CreatePaymentInput(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Money received (`in`) or paid (`out`). What `allocations` leave over becomes the party's advance.

    `side` is whose books it settles: receivable for `in`, payable for `out`, unless it is a refund. `account` is
    the bank or cash account: by default `@cash` for cash, else `@bank`. `date` is today unless given.
    """

    direction: Direction
    party_id: UUID
    amount: PositiveAmount
    method: Method = "bank_transfer"
    side: Side | None = None
    date: Date | None = None
    account: AccountRef | None = None
    reference: Text = ""
    allocations: Annotated[list[AllocationInput], Meta(max_length=200)] = []
    external_id: ExternalId | None = None
    strict_date: bool = False


class AllocatePaymentInput(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Settle items with what is left of the payment. `date`: today unless given."""

    allocations: Annotated[list[AllocationInput], Meta(min_length=1, max_length=200)]
    date: Date | None = None
    strict_date: bool = False


class TakeBackInput(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Take allocations back: the items are open again, the amount is the party's advance. `date`: today."""

    allocation_ids: Annotated[list[UUID], Meta(min_length=1, max_length=200)]
    reason: Reason
    date: Date | None = None
    strict_date: bool = False


class ReversePaymentInput(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The money did not come after all: everything it settled is open again. `date`: today unless given."""

    reason: Reason
    date: Date | None = None
    strict_date: bool = False


class AllocationView(Struct, frozen=True, kw_only=True):
    """`entry_id`: the journal entry that booked it; `taken_back`: it settles nothing any more."""

    id: UUID
    open_item_id: UUID
    document_type: str
    document_id: UUID
    document_number: str
    amount: str
    date: Date
    entry_id: UUID | None
    taken_back: bool


class PaymentSummary(Struct, frozen=True, kw_only=True):
    """A payment in a list, without its allocations."""

    id: UUID
    version: int
    number: str
    direction: Direction
    side: Side
    state: Literal["posted", "reversed"]
    party_id: UUID
    date: Date
    accounting_date: Date
    date_shifted: bool
    currency: str
    amount: str
    unallocated: str
    method: str
    account: str
    reference: str
    entry_id: UUID
    reversal_entry_id: UUID | None
    reversal_reason: str
    external_id: str | None
    created_at: datetime


class PaymentView(PaymentSummary, frozen=True, kw_only=True):
    """`accounting_date` differs from `date` when the period of that was closed."""

    allocations: list[AllocationView]
