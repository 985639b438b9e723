"""Fulfilments on the wire."""

from typing import Annotated, Any, Final, Literal
from uuid import UUID

from msgspec import Meta, Struct

from erp.kernel.text import Count, PositiveCount, Reason, Timestamp

#: The kind of saga that fulfils an order, and its steps in order.
KIND: Final = "fulfil-order"
STEPS: Final = ("reserve", "authorise", "capture", "deliver", "invoice")

RunState = Literal["running", "compensating", "completed", "compensated", "needs_operator"]
StepState = Literal["planned", "intended", "done", "refused", "skipped", "undoing", "undone"]
Source = Annotated[
    str,
    Meta(
        min_length=1, max_length=200, pattern="^[!-~]+$",
        description="What the payment provider gave the customer's device for their card: no card number.",
        examples=["card_4242"],
    ),
]  # fmt: skip


class CreateFulfilmentInput(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Fulfil an order that is a draft or confirmed: its goods, its payment, its delivery and its invoice."""

    order_id: UUID
    payment_source: Source


class OperatorInput(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Why this was decided."""

    reason: Reason


class StepError(Struct, frozen=True, kw_only=True):
    code: str
    detail: str


class FulfilmentStepView(Struct, frozen=True, kw_only=True):
    """`intended`: asked of the provider, answer not known yet. `undoing`, `undone`: taken back again.

    `key` is what the provider knows the step by. `undo` is what would take it back, kept before it was asked for.
    """

    name: str
    state: StepState
    key: str
    attempts: Count
    undo_attempts: Count
    undo: dict[str, Any] | None
    result: dict[str, Any] | None
    undo_result: dict[str, Any] | None
    error: StepError | None
    started_at: Timestamp | None
    finished_at: Timestamp | None


class FulfilmentSummary(Struct, frozen=True, kw_only=True):
    """A fulfilment in a list. `retry_at`: when it goes on by itself; `error`: what it waits or stopped for."""

    id: UUID
    version: PositiveCount
    order_id: UUID
    state: RunState
    direction: Literal["forward", "back"]
    attempts: Count
    retry_at: Timestamp | None
    error: StepError | None
    correlation_id: str
    created_at: Timestamp
    finished_at: Timestamp | None


class FulfilmentView(FulfilmentSummary, frozen=True, kw_only=True):
    """It goes on by itself until it is `completed`, or everything it did is taken back (`compensated`).

    `needs_operator`: it waited too long or the provider refused to take something back.
    """

    steps: list[FulfilmentStepView]


class CausationView(Struct, frozen=True, kw_only=True):
    """One fact of the trace: `causation_id` is the event that led to it, null for what the request itself did."""

    id: UUID
    type: str
    aggregate_type: str
    aggregate_id: UUID
    version: PositiveCount
    causation_id: UUID | None
    position: Count
    occurred_at: Timestamp


class MoneyView(Struct, frozen=True, kw_only=True):
    """The money of one fulfilment, in three books: the provider's, what its steps recorded, the payments booked.

    `pending`: it has not ended, so that they may differ yet.
    """

    fulfilment_id: UUID | None
    payment: str
    state: Literal["agrees", "differs", "pending"]
    provider_captured: str
    provider_refunded: str
    captured: str
    refunded: str
    booked: str


class ReconciliationView(Struct, frozen=True, kw_only=True):
    """`agrees`: money in is money out in all of them, as far as this page goes."""

    agrees: bool
    data: list[MoneyView]
    has_more: bool
    next_cursor: str | None
