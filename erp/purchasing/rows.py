"""Rows of orders, goods receipts and bills, with what can be said of one row alone."""

from datetime import datetime
from decimal import Decimal
from typing import NamedTuple
from uuid import UUID

from erp.kernel.quantity import Ratio, to_base
from erp.kernel.text import Date


class OrderRow(NamedTuple):
    id: UUID
    number: str
    state: str
    party_id: UUID
    location_id: UUID
    date: Date
    expected_on: Date | None
    currency: str
    prices_include_tax: bool
    tax_rounding: str
    net: Decimal
    tax: Decimal
    gross: Decimal
    line_count: int
    reference: str
    text: str
    reason: str
    external_id: str | None
    confirmed_at: datetime | None
    version: int
    created_at: datetime


class LineRow(NamedTuple):
    """A line of an order. Quantities are in its unit; `base_quantity` is `quantity` in the product's own unit.

    `received_value` is what the receipts posted to stock, `billed_value` what bills cleared of it.
    """

    id: UUID
    order_id: UUID
    line_no: int
    product_id: UUID
    kind: str
    description: str
    quantity: Decimal
    unit_code: str
    base_quantity: Decimal
    unit_price: Decimal
    discount_percent: Decimal
    tax_group_id: UUID | None
    tax_rate: Decimal
    net: Decimal
    tax: Decimal
    gross: Decimal
    cancelled: Decimal
    received: Decimal
    received_value: Decimal
    billed: Decimal
    billed_value: Decimal

    @property
    def goods(self) -> bool:
        """Whether it is kept in stock; a service is not."""
        return self.kind == "stocked"

    @property
    def open(self) -> Decimal:
        """Still to be received."""
        return self.quantity - self.cancelled - self.received

    @property
    def unbilled(self) -> Decimal:
        """Received and not billed."""
        return self.received - self.billed

    def base(self, quantity: Decimal, *, pointer: str | None = None) -> Decimal:
        """A quantity of this line in the product's own unit. Raises NotRepresentable at `pointer`."""
        if self.quantity == self.base_quantity:
            return quantity
        return to_base(quantity, Ratio(self.base_quantity, self.quantity), pointer=pointer)


class ReceiptRow(NamedTuple):
    id: UUID
    number: str
    order_id: UUID
    party_id: UUID
    location_id: UUID
    date: Date
    accounting_date: Date
    currency: str
    value: Decimal
    line_count: int
    reference: str
    text: str
    entry_id: UUID | None
    external_id: str | None
    version: int
    created_at: datetime


class ReceiptLineRow(NamedTuple):
    id: UUID
    line_no: int
    order_line_id: UUID
    product_id: UUID
    kind: str
    quantity: Decimal
    unit_code: str
    base_quantity: Decimal
    value: Decimal


class BillRow(NamedTuple):
    """`variance` = net - receipt_value; `rounding` is what the supplier's own total differs by."""

    id: UUID
    number: str
    supplier_number: str
    state: str
    party_id: UUID
    date: Date
    due_date: Date
    accounting_date: Date
    currency: str
    prices_include_tax: bool
    tax_rounding: str
    net: Decimal
    tax: Decimal
    rounding: Decimal
    gross: Decimal
    receipt_value: Decimal
    variance: Decimal
    line_count: int
    text: str
    entry_id: UUID | None
    cancel_entry_id: UUID | None
    cancelled_on: Date | None
    cancel_reason: str
    external_id: str | None
    version: int
    created_at: datetime


class BillLineRow(NamedTuple):
    line_no: int
    order_id: UUID
    order_line_id: UUID
    product_id: UUID
    description: str
    quantity: Decimal
    unit_code: str
    unit_price: Decimal
    discount_percent: Decimal
    tax_group_id: UUID | None
    tax_rate: Decimal
    net: Decimal
    tax: Decimal
    gross: Decimal
    receipt_value: Decimal
