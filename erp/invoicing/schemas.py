"""Invoices and credit notes on the wire."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from msgspec import Meta, Struct

from erp.accounting.schemas import AccountRef
from erp.kernel.text import Date, ExternalId, Percent, PositiveAmount, Quantity, Reason, Text, UnitPrice

Kind = Literal["invoice", "credit_note"]
Rounding = Literal["line", "document"]
Description = Annotated[str, Meta(min_length=1, max_length=500, description="1 to 500 characters.")]


class InvoiceLineInput(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A line of a product, or of anything else with its own `description`, `unit_price` and `tax_rate`.

    A product's name, its price and its tax rate on the invoice's date stand in for what is left out: the price of the
    party's price list for this line's quantity, else the product's sale price.
    """

    quantity: Quantity
    product_id: UUID | None = None
    description: Description | None = None
    unit_price: UnitPrice | None = None
    discount_percent: Percent = "0"
    tax_rate: Percent | None = None
    account: AccountRef = "@revenue"


class CreateInvoiceInput(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A draft, or with `post` a posted document. `date` is today unless given.

    `due_date` follows from the party's payment terms; how tax is computed from the tenant's settings.
    """

    party_id: UUID
    lines: Annotated[list[InvoiceLineInput], Meta(min_length=1, max_length=2000)]
    kind: Kind = "invoice"
    date: Date | None = None
    due_date: Date | None = None
    prices_include_tax: bool | None = None
    tax_rounding: Rounding | None = None
    text: Text = ""
    external_id: ExternalId | None = None
    post: bool = False
    strict_date: bool = False


class UpdateInvoiceInput(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole draft as it shall be: all lines are replaced. The due date moves with `date` unless given."""

    date: Date
    lines: Annotated[list[InvoiceLineInput], Meta(min_length=1, max_length=2000)]
    due_date: Date | None = None
    prices_include_tax: bool | None = None
    tax_rounding: Rounding | None = None
    text: Text = ""


class PostInvoiceInput(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`strict_date`: refuse instead of moving to the first open day when the period is closed."""

    strict_date: bool = False


class CancelInvoiceInput(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    reason: Reason


class CreditLineInput(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How much of a line of the invoice is credited."""

    line_no: Annotated[int, Meta(ge=1, le=2_147_483_647)]
    quantity: Quantity


class CreditInvoiceInput(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Without `lines`, everything not credited yet. `allocate`: settle what is open of the invoice with it."""

    reason: Reason
    lines: Annotated[list[CreditLineInput], Meta(min_length=1, max_length=2000)] | None = None
    date: Date | None = None
    allocate: bool = True
    strict_date: bool = False
    external_id: ExternalId | None = None


class CreditTarget(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An invoice's open item, named by either id."""

    amount: PositiveAmount
    open_item_id: UUID | None = None
    invoice_id: UUID | None = None


class ApplyCreditInput(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Settle invoices with a posted credit note. `date`: today unless given."""

    allocations: Annotated[list[CreditTarget], Meta(min_length=1, max_length=200)]
    date: Date | None = None


class TakeBackCreditInput(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Take allocations of a credit note back. `date`: today unless given."""

    allocation_ids: Annotated[list[UUID], Meta(min_length=1, max_length=200)]
    reason: Reason
    date: Date | None = None


class InvoiceLineView(Struct, frozen=True, kw_only=True):
    line_no: int
    product_id: UUID | None
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
    account: str
    source_line_id: UUID | None
    credits_line_no: int | None


class TaxView(Struct, frozen=True, kw_only=True):
    rate: str
    base: str
    tax: str


class InvoiceSummary(Struct, frozen=True, kw_only=True):
    """An invoice or credit note in a list, without its lines.

    `open_amount` and `payment_state` belong to posted documents; `accounting_date` differs from `date` when the
    period of that was closed.
    """

    id: UUID
    version: int
    kind: Kind
    state: Literal["draft", "posted", "cancelled"]
    number: str | None
    party_id: UUID
    date: Date
    due_date: Date
    accounting_date: Date | None
    date_shifted: bool
    currency: str
    prices_include_tax: bool
    tax_rounding: Rounding
    net: str
    tax: str
    gross: str
    open_amount: str | None
    payment_state: Literal["unpaid", "partly_paid", "paid"] | None
    order_id: UUID | None
    credits_id: UUID | None
    entry_id: UUID | None
    text: str
    external_id: str | None
    created_at: datetime
    posted_at: datetime | None


class InvoiceView(InvoiceSummary, frozen=True, kw_only=True):
    """The document with its lines, its tax per rate, and the credit notes that take it back."""

    lines: list[InvoiceLineView]
    taxes: list[TaxView]
    credited_by: list[UUID]


class CreditAllocationView(Struct, frozen=True, kw_only=True):
    """One settling of an invoice by a credit note."""

    id: UUID
    open_item_id: UUID
    invoice_id: UUID
    invoice_number: str
    amount: str
    date: Date
    taken_back: bool


class CreditAllocationsView(Struct, frozen=True, kw_only=True):
    """The credit note's allocations so far and what is left of it."""

    invoice_id: UUID
    number: str
    open_amount: str
    allocations: list[CreditAllocationView]
