"""What clients send to sell. Quantities of lines are in the line's unit, amounts in the tenant's currency."""

from typing import Annotated, Literal
from uuid import UUID

from msgspec import UNSET, Meta, Struct, UnsetType

from erp.kernel.text import Code, Date, ExternalId, Percent, Quantity, Reason, Text, UnitCost, UnitPrice

OrderState = Literal["draft", "confirmed", "partially_delivered", "delivered", "cancelled"]
Rounding = Literal["line", "document"]
LineNo = Annotated[int, Meta(ge=1, le=2_147_483_647)]
Description = Annotated[str, Meta(min_length=1, max_length=500, description="1 to 500 characters.")]
Reference = Annotated[str, Meta(max_length=200, description="The customer's own reference.")]
Override = Annotated[
    str,
    Meta(
        min_length=3, max_length=500, pattern=r"\S",
        description="Why the order is confirmed though the customer's credit limit is exceeded, in 3 to 500"
        " characters. Needs the permission `credit_limits:override`.",
    ),
]  # fmt: skip


class OrderLineInput(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The product's own unit and name stand in for what is left out; for `unit_price` what the party's price list
    says for this line's quantity on the document's day, else the product's sale price.

    In another of the product's units the price is converted too; the quantity must come out exactly in the
    product's own unit.
    """

    product_id: UUID
    quantity: Quantity
    unit_code: Code | None = None
    unit_price: UnitPrice | None = None
    discount_percent: Percent = "0"
    description: Description | None = None


OrderLines = Annotated[list[OrderLineInput], Meta(min_length=1, max_length=2000)]


class CreateOrderInput(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A draft, or with `confirm` a confirmed order that holds its stock.

    `date` is today unless given, the location the default one, tax as in the tenant's settings.
    `allow_partial` and `credit_override` go with `confirm`.
    """

    party_id: UUID
    lines: OrderLines
    date: Date | None = None
    location_id: UUID | None = None
    prices_include_tax: bool | None = None
    tax_rounding: Rounding | None = None
    reference: Reference = ""
    text: Text = ""
    external_id: ExternalId | None = None
    confirm: bool = False
    allow_partial: bool = False
    credit_override: Override | None = None


class UpdateOrderInput(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Only the fields that are sent change. `lines` replaces all lines; a draft is priced again as a whole."""

    party_id: UUID | UnsetType = UNSET
    lines: OrderLines | UnsetType = UNSET
    date: Date | UnsetType = UNSET
    location_id: UUID | UnsetType = UNSET
    prices_include_tax: bool | UnsetType = UNSET
    tax_rounding: Rounding | UnsetType = UNSET
    reference: Reference | UnsetType = UNSET
    text: Text | UnsetType = UNSET
    external_id: ExternalId | UnsetType | None = UNSET


class ConfirmOrderInput(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All lines are reserved or none is; with `allow_partial` each line gets what is there."""

    allow_partial: bool = False
    credit_override: Override | None = None


class ReserveOrderInput(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All lines are reserved or none is; with `allow_partial` each line gets what is there."""

    allow_partial: bool = False


class StepLineInput(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A line and how much of it; all that is left of the line without `quantity`."""

    line_no: LineNo
    quantity: Quantity | None = None


StepLines = Annotated[list[StepLineInput], Meta(min_length=1, max_length=2000)]


class DeliverOrderInput(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Without `lines`, all that is open as far as stock allows: what is reserved for the order, then what is free.

    Lines that are named are delivered exactly, or the delivery is refused. `date`: the day the goods left, today
    unless given. `strict_date` refuses a closed period instead of moving to the first open day.
    """

    lines: StepLines | None = None
    date: Date | None = None
    text: Text = ""
    strict_date: bool = False
    external_id: ExternalId | None = None


class InvoiceOrderInput(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Without `lines`, everything delivered and not invoiced yet. `date` is today unless given."""

    lines: StepLines | None = None
    date: Date | None = None
    due_date: Date | None = None
    text: Text = ""
    external_id: ExternalId | None = None


class CancelOrderInput(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Without `lines`, everything that is left. What was delivered is returned, what was invoiced credited."""

    reason: Reason
    lines: StepLines | None = None


class ReturnDeliveryInput(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Without `lines`, everything that did not come back yet. It goes where it came from unless `location_id` says.

    `line_no` is the line of the delivery.
    """

    reason: Reason
    lines: StepLines | None = None
    date: Date | None = None
    location_id: UUID | None = None
    strict_date: bool = False
    external_id: ExternalId | None = None


class DirectSaleInput(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Sold, handed over and invoiced in one step, today or on an earlier `date`.

    `history`: taken over from another system, so that costs of later issues are left alone and no credit limit
    counts (needs `imports:write`).
    """

    party_id: UUID
    lines: OrderLines
    date: Date | None = None
    due_date: Date | None = None
    location_id: UUID | None = None
    prices_include_tax: bool | None = None
    tax_rounding: Rounding | None = None
    reference: Reference = ""
    text: Text = ""
    strict_date: bool = False
    history: bool = False
    credit_override: Override | None = None
    external_id: ExternalId | None = None


class DirectCreditLineInput(OrderLineInput, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`restock`: whether the goods came back (a service never does). `unit_cost`: what one that did was worth."""

    restock: bool = True
    unit_cost: UnitCost | None = None


class DirectCreditInput(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A credit note without its invoice, with the goods that came back.

    Nobody knows which delivery they were of, so they come back at `unit_cost`, else at the moving average of the day
    (the last one when none is left). `history`: taken over from another system, so that costs of later issues are
    left alone (needs `imports:write`).
    """

    party_id: UUID
    lines: Annotated[list[DirectCreditLineInput], Meta(min_length=1, max_length=2000)]
    reason: Reason
    date: Date | None = None
    location_id: UUID | None = None
    prices_include_tax: bool | None = None
    tax_rounding: Rounding | None = None
    strict_date: bool = False
    history: bool = False
    external_id: ExternalId | None = None
