"""Buying on the wire. Quantities of lines are in the line's unit, amounts in the tenant's currency."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from msgspec import Meta, Struct

from erp.kernel.text import Code, Date, ExternalId, Percent, Quantity, Reason, Text, UnitPrice

OrderState = Literal["draft", "confirmed", "partially_received", "received", "billed", "cancelled"]
Rounding = Literal["line", "document"]
LineNo = Annotated[int, Meta(ge=1, le=2_147_483_647)]
Description = Annotated[str, Meta(min_length=1, max_length=500, description="1 to 500 characters.")]
Reference = Annotated[str, Meta(max_length=200, description="The supplier's own reference.")]


class PurchaseLineInput(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`unit_price` is for one `unit_code`, the product's own unit unless given."""

    product_id: UUID
    quantity: Quantity
    unit_price: UnitPrice
    unit_code: Code | None = None
    discount_percent: Percent = "0"
    description: Description | None = None


class CreatePurchaseOrderInput(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A draft, or with `confirm` an order that is placed. `date` is today unless given, the location the default."""

    party_id: UUID
    lines: Annotated[list[PurchaseLineInput], Meta(min_length=1, max_length=2000)]
    date: Date | None = None
    expected_on: Date | None = None
    location_id: UUID | None = None
    prices_include_tax: bool = False
    tax_rounding: Rounding | None = None
    reference: Reference = ""
    text: Text = ""
    external_id: ExternalId | None = None
    confirm: bool = False


class DirectReceiptInput(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Ordered and received in one step, today or on an earlier `date`. The supplier's bill follows.

    `history`: taken over from another system, so that costs of later issues are left alone (needs `imports:write`).
    """

    party_id: UUID
    lines: Annotated[list[PurchaseLineInput], Meta(min_length=1, max_length=10_000)]
    date: Date | None = None
    location_id: UUID | None = None
    prices_include_tax: bool = False
    tax_rounding: Rounding | None = None
    reference: Reference = ""
    text: Text = ""
    strict_date: bool = False
    history: bool = False
    external_id: ExternalId | None = None


class StopPurchaseOrderInput(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    reason: Reason


class GoodsReceiptLineInput(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A line of the order and how much of it came; all that is open of the line without `quantity`."""

    line_no: LineNo
    quantity: Quantity | None = None


class ReceivePurchaseOrderInput(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Without `lines`, everything still open. `date`: the day the goods came, today unless given.

    They go to the order's location unless `location_id` says. `strict_date` refuses a closed period instead of
    moving to the first open day.
    """

    lines: Annotated[list[GoodsReceiptLineInput], Meta(min_length=1, max_length=2000)] | None = None
    date: Date | None = None
    location_id: UUID | None = None
    reference: Reference = ""
    text: Text = ""
    strict_date: bool = False
    external_id: ExternalId | None = None


class PurchaseOrderSummary(Struct, frozen=True, kw_only=True):
    """An order in a list, without its lines."""

    id: UUID
    version: int
    number: str
    state: OrderState
    party_id: UUID
    location_id: UUID
    date: Date
    expected_on: Date | None
    currency: str
    prices_include_tax: bool
    tax_rounding: Rounding
    net: str
    tax: str
    gross: str
    line_count: int
    reference: str
    text: str
    reason: str
    external_id: str | None
    confirmed_at: datetime | None
    created_at: datetime


class PurchaseLineView(Struct, frozen=True, kw_only=True):
    """`open`: still to be received. `received_value` is net, as posted to stock."""

    id: UUID
    line_no: int
    product_id: UUID
    kind: Literal["stocked", "service"]
    description: str
    quantity: str
    unit_code: str
    base_quantity: str
    unit_price: str
    discount_percent: str
    tax_group_id: UUID | None
    tax_rate: str
    net: str
    tax: str
    gross: str
    open: str
    cancelled: str
    received: str
    received_value: str
    billed: str


class PurchaseOrderView(PurchaseOrderSummary, frozen=True, kw_only=True):
    """`reason`: why the order was cancelled or closed before everything came."""

    lines: list[PurchaseLineView]


class GoodsReceiptSummary(Struct, frozen=True, kw_only=True):
    """A goods receipt in a list. `value` is net; `accounting_date` differs when the period of `date` was closed."""

    id: UUID
    version: int
    number: str
    order_id: UUID
    party_id: UUID
    location_id: UUID
    date: Date
    accounting_date: Date
    date_shifted: bool
    currency: str
    value: str
    line_count: int
    reference: str
    text: str
    entry_id: UUID | None
    external_id: str | None
    created_at: datetime


class GoodsReceiptLineView(Struct, frozen=True, kw_only=True):
    line_no: int
    order_line_id: UUID
    product_id: UUID
    kind: Literal["stocked", "service"]
    quantity: str
    unit_code: str
    base_quantity: str
    value: str


class GoodsReceiptView(GoodsReceiptSummary, frozen=True, kw_only=True):
    """A goods receipt with its lines. It is never changed."""

    lines: list[GoodsReceiptLineView]


class DirectReceiptView(Struct, frozen=True, kw_only=True):
    """The two documents of a direct receipt, without their lines. `id` is the goods receipt's."""

    id: UUID
    version: int
    order: PurchaseOrderSummary
    receipt: GoodsReceiptSummary

    @property
    def location(self) -> str:
        """Where the document is that stands for all of it."""
        return f"/v1/goods-receipts/{self.id}"
