"""The documents of selling as the API shows them. Quantities of lines are in the line's unit."""

from datetime import datetime
from typing import Literal
from uuid import UUID

from msgspec import Struct

from erp.kernel.text import Date
from erp.sales.schemas import OrderState, Rounding


class OrderLineView(Struct, frozen=True, kw_only=True):
    """`open` is still to be delivered; `backorder` is open and not reserved; all in the line's unit.

    `base_quantity` is `quantity` in the product's own unit.
    """

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
    cancelled: str
    reserved: str
    delivered: str
    returned: str
    invoiced: str
    open: str
    backorder: str


class OrderSummary(Struct, frozen=True, kw_only=True):
    """An order in a list, without its lines. Amounts are those ordered, whatever was cancelled since.

    `direct`: a direct sale, delivered and invoiced as it was made.
    """

    id: UUID
    version: int
    number: str
    state: OrderState
    party_id: UUID
    location_id: UUID
    date: Date
    currency: str
    prices_include_tax: bool
    tax_rounding: Rounding
    payment_terms_days: int
    net: str
    tax: str
    gross: str
    line_count: int
    reference: str
    text: str
    cancel_reason: str
    direct: bool
    external_id: str | None
    confirmed_at: datetime | None
    created_at: datetime


class OrderView(OrderSummary, frozen=True, kw_only=True):
    """The order with its lines and how far it is invoiced and paid.

    `invoiced_amount` is gross, of posted invoices less their credit notes; `unpaid_amount` what is open of it.
    """

    invoice_state: Literal["none", "partly_invoiced", "invoiced"]
    payment_state: Literal["none", "unpaid", "partly_paid", "paid"]
    invoiced_amount: str
    unpaid_amount: str
    lines: list[OrderLineView]


class DeliveryLineView(Struct, frozen=True, kw_only=True):
    """`cost` is the cost of goods posted for the line, `unit_cost` that of one base unit."""

    id: UUID
    line_no: int
    order_line_id: UUID
    product_id: UUID
    quantity: str
    unit_code: str
    base_quantity: str
    unit_cost: str
    cost: str
    returned: str


class DeliverySummary(Struct, frozen=True, kw_only=True):
    """`accounting_date` differs from `date` when the period of that was closed (`date_shifted`)."""

    id: UUID
    version: int
    number: str
    order_id: UUID
    party_id: UUID
    location_id: UUID
    date: Date
    accounting_date: Date
    date_shifted: bool
    cost: str
    line_count: int
    entry_id: UUID | None
    text: str
    external_id: str | None
    created_at: datetime


class DeliveryView(DeliverySummary, frozen=True, kw_only=True):
    """`order_state` tells whether something is left on backorder."""

    order_state: OrderState
    lines: list[DeliveryLineView]


class ReturnLineView(Struct, frozen=True, kw_only=True):
    id: UUID
    line_no: int
    delivery_line_id: UUID | None
    product_id: UUID
    quantity: str
    unit_code: str
    base_quantity: str
    unit_cost: str
    cost: str


class ReturnSummary(Struct, frozen=True, kw_only=True):
    """Of a delivery, or with `credit_note_id` of a credit note that has none."""

    id: UUID
    version: int
    number: str
    delivery_id: UUID | None
    order_id: UUID | None
    credit_note_id: UUID | None
    party_id: UUID
    location_id: UUID
    date: Date
    accounting_date: Date
    date_shifted: bool
    cost: str
    line_count: int
    reason: str
    entry_id: UUID | None
    external_id: str | None
    created_at: datetime


class ReturnView(ReturnSummary, frozen=True, kw_only=True):
    lines: list[ReturnLineView]


class DirectSaleView(Struct, frozen=True, kw_only=True):
    """The three documents it made; no delivery when only services were sold. `cost` is the cost of goods.

    `id` is the order's.
    """

    id: UUID
    order_number: str
    delivery_id: UUID | None
    delivery_number: str | None
    invoice_id: UUID
    invoice_number: str
    date: Date
    accounting_date: Date
    date_shifted: bool
    currency: str
    net: str
    tax: str
    gross: str
    cost: str
    line_count: int
    external_id: str | None


class DirectCreditView(Struct, frozen=True, kw_only=True):
    """The credit note and the return receipt it came with, if goods came back. `cost` is what they are worth.

    `id` is the credit note's.
    """

    id: UUID
    credit_note_number: str
    return_id: UUID | None
    return_number: str | None
    date: Date
    accounting_date: Date
    date_shifted: bool
    currency: str
    net: str
    tax: str
    gross: str
    cost: str
    line_count: int
    external_id: str | None


class CreditView(Struct, frozen=True, kw_only=True):
    """What a customer owes and has ordered against its credit limit; null: no limit.

    `exposure` is `open_receivables` (open invoices less open credit notes) less `advances` (paid and not used yet)
    plus `uninvoiced_orders` (of confirmed orders, on no posted invoice yet, gross). `available` is what is left.
    """

    party_id: UUID
    currency: str
    credit_limit: str | None
    open_receivables: str
    advances: str
    uninvoiced_orders: str
    exposure: str
    available: str | None
