"""A supplier's bill against what was ordered and received: three-way match. Pure: rows in, rows out.

Quantities: never more than was received and not billed. Values: each billed part clears its share of what the
receipts were posted at, the last part clears what is left; the difference to the billed net amount is the
price variance.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

from erp.kernel.errors import Invalid, UnknownReference
from erp.kernel.money import EXACT, round_money
from erp.kernel.quantity import quantity_text
from erp.kernel.text import decimal
from erp.pricing.errors import NoTaxRate
from erp.pricing.tax import PricingLine, Rounding, price_document
from erp.purchasing.bill_schemas import SupplierBillLineInput
from erp.purchasing.errors import MoreThanReceived, NothingOpen
from erp.purchasing.rows import BillLineRow, LineRow

_ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class Claim:
    """What the supplier bills of one order line; `cleared` of the receipts' value is settled by it."""

    line: LineRow
    quantity: Decimal
    unit_price: Decimal
    discount_percent: Decimal
    tax_rate: Decimal
    cleared: Decimal


def asked_lines(
    asked: Sequence[SupplierBillLineInput] | None, order_id: UUID | None, lines: Sequence[LineRow]
) -> list[SupplierBillLineInput]:
    """The lines of the bill; everything received and not billed for None. Raises NothingOpen."""
    if asked is not None:
        return list(asked)
    found = [SupplierBillLineInput(line_no=line.line_no, order_id=order_id) for line in lines if line.unbilled]
    if not found:
        raise NothingOpen
    return found


def match(
    asked: Sequence[SupplierBillLineInput],
    order_id: UUID | None,
    lines: Sequence[LineRow],
    rates: Mapping[UUID, Decimal],
    currency: str,
) -> tuple[list[Claim], list[LineRow]]:
    """The claims in the order asked, and all the order lines as they are after them.

    `rates`: tax group -> rate on the date of the bill. Raises Invalid, UnknownReference, MoreThanReceived,
    NothingOpen, NoTaxRate, each with a pointer to its line.
    """
    left = {(line.order_id, line.line_no): line for line in lines}
    claims = []
    for index, step in enumerate(asked):
        at = f"/lines/{index}"
        named = step.order_id or order_id
        if named is None:
            raise Invalid("Neither the bill nor the line says which order.", pointer=f"{at}/order_id")
        line = left.get((named, step.line_no))
        if line is None:
            raise UnknownReference(f"The order has no line {step.line_no}.", pointer=f"{at}/line_no")
        claim = _claim(step, line, rates, currency, at)
        claims.append(claim)
        left[named, step.line_no] = line._replace(
            billed=line.billed + claim.quantity, billed_value=line.billed_value + claim.cleared
        )
    return claims, [left[line.order_id, line.line_no] for line in lines]


def _claim(
    step: SupplierBillLineInput, line: LineRow, rates: Mapping[UUID, Decimal], currency: str, at: str
) -> Claim:
    quantity = line.unbilled if step.quantity is None else decimal(step.quantity)
    if not quantity:
        raise NothingOpen(f"Line {line.line_no} has nothing received and not billed.", pointer=at)
    if quantity > line.unbilled:
        raise MoreThanReceived(
            f"Line {line.line_no}: {quantity_text(quantity)} billed, {quantity_text(line.unbilled)} received and not"
            " billed yet.",
            pointer=f"{at}/quantity", line_no=line.line_no, open=quantity_text(line.unbilled),
            requested=quantity_text(quantity),
        )  # fmt: skip
    return Claim(
        line=line,
        quantity=quantity,
        unit_price=line.unit_price if step.unit_price is None else decimal(step.unit_price),
        discount_percent=line.discount_percent if step.discount_percent is None else decimal(step.discount_percent),
        tax_rate=_tax_rate(line, rates, at) if step.tax_rate is None else decimal(step.tax_rate),
        cleared=_cleared(line, quantity, currency),
    )


def _tax_rate(line: LineRow, rates: Mapping[UUID, Decimal], at: str) -> Decimal:
    """The rate of the line's tax group on the date of the bill; without a group as ordered."""
    if line.tax_group_id is None:
        return line.tax_rate
    try:
        return rates[line.tax_group_id]
    except KeyError:
        raise NoTaxRate(pointer=f"{at}/tax_rate", tax_group_id=str(line.tax_group_id)) from None


def _cleared(line: LineRow, quantity: Decimal, currency: str) -> Decimal:
    """The share of the receipts' value, counted from the first bill so that roundings never add up."""
    rest = line.received_value - line.billed_value
    total = line.billed + quantity
    if total == line.received:
        return rest
    share = EXACT.divide(EXACT.multiply(line.received_value, total), line.received)
    # A later receipt may have changed the average by a rounding; nothing is ever given back.
    return min(max(round_money(share, currency) - line.billed_value, _ZERO), rest)


def bill_lines(claims: Sequence[Claim], *, included: bool, rounding: Rounding, currency: str) -> list[BillLineRow]:
    """The lines of the bill, priced and taxed together."""
    priced = price_document(
        [PricingLine(claim.quantity, claim.unit_price, claim.tax_rate, claim.discount_percent) for claim in claims],
        included=included, rounding=rounding, currency=currency,
    )  # fmt: skip
    return [
        BillLineRow(
            line_no=line_no, order_id=claim.line.order_id, order_line_id=claim.line.id,
            product_id=claim.line.product_id, description=claim.line.description, quantity=claim.quantity,
            unit_code=claim.line.unit_code, unit_price=claim.unit_price, discount_percent=claim.discount_percent,
            tax_group_id=claim.line.tax_group_id, tax_rate=claim.tax_rate, net=amounts.net, tax=amounts.tax,
            gross=amounts.gross, receipt_value=claim.cleared,
        )
        for line_no, (claim, amounts) in enumerate(zip(claims, priced.lines, strict=True), start=1)
    ]  # fmt: skip
