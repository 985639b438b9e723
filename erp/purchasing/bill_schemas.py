"""Supplier bills on the wire. Quantities are in the order line's unit, amounts in the tenant's currency."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from msgspec import Meta, Struct

from erp.kernel.text import Amount, Date, ExternalId, Percent, Quantity, Reason, Text, UnitPrice
from erp.purchasing.schemas import LineNo, Rounding

SupplierNumber = Annotated[
    str,
    Meta(
        min_length=1, max_length=64, pattern=r"^\S([^\n\t]*\S)?(?!\n)$",
        description="The number on the supplier's bill, unique for each supplier.", examples=["INV-88213"],
    ),
]  # fmt: skip


class PurchaseBillLineInput(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A line of the order, as the supplier bills it. What is left out is as ordered: price, discount, tax rate.

    Without `quantity`, all that was received and not billed.
    """

    line_no: LineNo
    quantity: Quantity | None = None
    unit_price: UnitPrice | None = None
    discount_percent: Percent | None = None
    tax_rate: Percent | None = None


class SupplierBillLineInput(PurchaseBillLineInput, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A line of one of the orders: `order_id` unless the bill names it."""

    order_id: UUID | None = None


class BillTerms(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is written on a bill besides its lines.

    `gross` is the total on the bill: a difference that rounding explains goes to the rounding account, a larger
    one is refused. Prices hold tax when those of the orders do, unless `prices_include_tax` says. `date` is today
    unless given, `due_date` follows from the supplier's payment terms.
    """

    supplier_number: SupplierNumber
    date: Date | None = None
    due_date: Date | None = None
    gross: Amount | None = None
    prices_include_tax: bool | None = None
    tax_rounding: Rounding | None = None
    text: Text = ""
    strict_date: bool = False
    external_id: ExternalId | None = None


class BillPurchaseOrderInput(BillTerms, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A supplier's bill of one order; without `lines`, everything received and not billed.

    `gross` is the total on the bill: a difference that rounding explains goes to the rounding account.
    """

    lines: Annotated[list[PurchaseBillLineInput], Meta(min_length=1, max_length=2000)] | None = None


class CreateSupplierBillInput(BillTerms, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A supplier's bill for goods received, of one order or of several.

    With `order_id` and without `lines`, everything received of the order and not billed. `gross` is the total on
    the bill: a difference that rounding explains goes to the rounding account.
    """

    party_id: UUID
    order_id: UUID | None = None
    lines: Annotated[list[SupplierBillLineInput], Meta(min_length=1, max_length=2000)] | None = None


class CancelSupplierBillInput(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`date`: the day of the reversal, today unless given; not before the bill's own accounting date."""

    reason: Reason
    date: Date | None = None
    strict_date: bool = False


class SupplierBillSummary(Struct, frozen=True, kw_only=True):
    """A supplier's bill in a list. `variance`: billed more (or less) than the receipts were valued at."""

    id: UUID
    version: int
    number: str
    supplier_number: str
    state: Literal["posted", "cancelled"]
    party_id: UUID
    date: Date
    due_date: Date
    accounting_date: Date
    date_shifted: bool
    currency: str
    prices_include_tax: bool
    tax_rounding: Rounding
    net: str
    tax: str
    rounding: str
    gross: str
    receipt_value: str
    variance: str
    line_count: int
    text: str
    entry_id: UUID | None
    cancel_entry_id: UUID | None
    cancelled_on: Date | None
    cancel_reason: str
    external_id: str | None
    created_at: datetime


class SupplierBillLineView(Struct, frozen=True, kw_only=True):
    line_no: int
    order_id: UUID
    order_line_id: UUID
    product_id: UUID
    description: str
    quantity: str
    unit_code: str
    unit_price: str
    discount_percent: str
    tax_group_id: UUID | None
    tax_rate: str
    net: str
    tax: str
    gross: str
    receipt_value: str


class SupplierBillView(SupplierBillSummary, frozen=True, kw_only=True):
    """A supplier's bill with its lines. Posted when entered; a wrong one is cancelled by a reversing entry."""

    lines: list[SupplierBillLineView]
