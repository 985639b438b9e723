"""Rows of orders, deliveries and returns, with what can be said of one row alone."""

from datetime import datetime
from decimal import Decimal
from typing import NamedTuple, Protocol
from uuid import UUID

from erp.kernel.quantity import NotRepresentable, Ratio, from_base, quantity_text, to_base
from erp.kernel.text import Date
from erp.sales.schemas import OrderState, Rounding


class Converted(Protocol):
    """A line that knows one quantity in both units, and so the ratio of the two."""

    @property
    def quantity(self) -> Decimal: ...
    @property
    def base_quantity(self) -> Decimal: ...
    @property
    def base_decimals(self) -> int: ...


def ratio_of(line: Converted) -> Ratio:
    return Ratio(line.base_quantity, line.quantity)


def in_base_unit(quantity: Decimal, line: Converted, *, pointer: str | None = None) -> Decimal:
    """A quantity of the line in the product's own unit.

    Raises NotRepresentable at `pointer`: no tenth of a box of twelve, no half a piece.
    """
    same = line.quantity == line.base_quantity
    base = quantity if same else to_base(quantity, ratio_of(line), pointer=pointer)
    if base != round(base, line.base_decimals):
        raise NotRepresentable(
            f"{quantity_text(quantity)} is {quantity_text(base)} of the product's own unit, which has"
            f" {line.base_decimals} decimals.",
            pointer=pointer, quantity=quantity_text(quantity), decimals=line.base_decimals,
        )  # fmt: skip
    return base


class OrderRow(NamedTuple):
    """`direct`: made by a direct sale, which delivered and invoiced it in the same transaction."""

    id: UUID
    number: str
    state: OrderState
    party_id: UUID
    location_id: UUID
    date: Date
    currency: str
    prices_include_tax: bool
    tax_rounding: Rounding
    payment_terms_days: int
    net: Decimal
    tax: Decimal
    gross: Decimal
    line_count: int
    reference: str
    text: str
    cancel_reason: str
    direct: bool
    external_id: str | None
    confirmed_at: datetime | None
    version: int
    created_at: datetime


class OrderAhead(NamedTuple):
    """What a step has to know of an order before it locks anything. `limited`: its party has a credit limit.

    `goods`: the products of its lines that are kept in stock, one for each line.
    """

    state: OrderState
    party_id: UUID
    location_id: UUID
    limited: bool
    goods: list[UUID]


class LineRow(NamedTuple):
    """A line of an order. Quantities are in its unit; `base_quantity` is `quantity` in the product's own unit.

    `base_decimals`: how many decimals a quantity in that unit may have.
    """

    id: UUID
    line_no: int
    product_id: UUID
    kind: str
    description: str
    quantity: Decimal
    unit_code: str
    base_quantity: Decimal
    base_decimals: int
    unit_price: Decimal
    discount_percent: Decimal
    tax_group_id: UUID | None
    tax_rate: Decimal
    net: Decimal
    tax: Decimal
    gross: Decimal
    cancelled: Decimal
    delivered: Decimal
    returned: Decimal

    @property
    def goods(self) -> bool:
        """Whether it is kept in stock; a service is not."""
        return self.kind == "stocked"

    @property
    def wanted(self) -> Decimal:
        """Ordered and not cancelled."""
        return self.quantity - self.cancelled

    @property
    def open(self) -> Decimal:
        """Still to be delivered."""
        return self.quantity - self.cancelled - self.delivered

    @property
    def in_base_unit(self) -> bool:
        return self.quantity == self.base_quantity

    def base(self, quantity: Decimal) -> Decimal:
        """A quantity of this line in the product's own unit. Raises NotRepresentable."""
        return in_base_unit(quantity, self)

    def in_unit(self, base_quantity: Decimal) -> Decimal:
        """The other way round. Raises NotRepresentable."""
        return base_quantity if self.in_base_unit else from_base(base_quantity, ratio_of(self))


class BilledRow(NamedTuple):
    """An order's posted invoices less its posted credit notes, and what is open of both."""

    invoiced: Decimal
    open: Decimal


class DeliveryRow(NamedTuple):
    id: UUID
    number: str
    order_id: UUID
    party_id: UUID
    location_id: UUID
    date: Date
    accounting_date: Date
    cost: Decimal
    line_count: int
    entry_id: UUID | None
    text: str
    external_id: str | None
    version: int
    created_at: datetime


class DeliveryLineRow(NamedTuple):
    """`cost` is what the move of the line cost; `returned_cost` what of it came back with `returned`."""

    id: UUID
    line_no: int
    order_line_id: UUID
    product_id: UUID
    quantity: Decimal
    unit_code: str
    base_quantity: Decimal
    base_decimals: int
    unit_cost: Decimal
    cost: Decimal
    returned: Decimal
    returned_cost: Decimal


class ReturnRow(NamedTuple):
    id: UUID
    number: str
    delivery_id: UUID | None
    order_id: UUID | None
    credit_note_id: UUID | None
    party_id: UUID
    location_id: UUID
    date: Date
    accounting_date: Date
    cost: Decimal
    line_count: int
    reason: str
    entry_id: UUID | None
    external_id: str | None
    version: int
    created_at: datetime


class ReturnLineRow(NamedTuple):
    id: UUID
    line_no: int
    delivery_line_id: UUID | None
    product_id: UUID
    quantity: Decimal
    unit_code: str
    base_quantity: Decimal
    unit_cost: Decimal
    cost: Decimal
