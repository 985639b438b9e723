"""An invoice or credit note about to be written."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal
from uuid import UUID

import msgspec

from db.identifiers import new_id
from erp.kernel.text import Date
from erp.pricing.tax import PricedLine

InvoiceKind = Literal["invoice", "credit_note"]
Rounding = Literal["line", "document"]


class NewInvoiceLine(msgspec.Struct, frozen=True):
    """`quantity` > 0 also on a credit note. `tax_rate` and `discount_percent` in percent.

    `account` receives the net amount; `source_line_id` is the order line it invoices. `credits_line_no` with
    `priced` is a credit of that line of the credited invoice at its original amounts; `priced` alone are the amounts
    of a document that was priced a moment ago, line by line the same.
    """

    product_id: UUID | None
    description: str
    quantity: Decimal
    unit_price: Decimal
    tax_rate: Decimal
    discount_percent: Decimal = Decimal(0)
    tax_group_id: UUID | None = None
    unit_code: str = ""
    account: str = "@revenue"
    source_line_id: UUID | None = None
    credits_line_no: int | None = None
    priced: PricedLine | None = None


@dataclass(frozen=True, slots=True)
class NewInvoice:
    """`date` is the document's date; `due_date` follows from the party's terms unless given."""

    party_id: UUID
    date: Date
    lines: Sequence[NewInvoiceLine]
    kind: InvoiceKind = "invoice"
    prices_include_tax: bool = False
    tax_rounding: Rounding = "line"
    payment_terms_days: int = 0
    due_date: Date | None = None
    order_id: UUID | None = None
    credits_id: UUID | None = None
    external_id: str | None = None
    text: str = ""
    id: UUID = field(default_factory=new_id)
