"""Prices and tax of a document, computed from its lines alone.

The base of every line (quantity x unit price - discount) is rounded to the currency's minor unit, half-up.
Without tax in the prices the base is the net amount and tax is added; with tax in the prices the base is the
gross amount, the net amount comes from one division and tax is the difference. Rounding mode `line` computes
the tax of each line; `document` computes it once per rate and hands it to the lines by largest remainder, so
that the lines always add up to the document and no line is a minor unit or more away from its exact tax.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from typing import Literal

import msgspec

from erp.kernel.money import EXACT, exponent

__all__ = ["PricedDocument", "PricedLine", "PricingLine", "Rounding", "TaxTotal", "price_document"]

Rounding = Literal["line", "document"]

_HUNDRED = Decimal(100)
_ZERO = Decimal(0)


class PricingLine(msgspec.Struct, frozen=True):
    """`quantity` in the unit the price is for, negative on returns; rate and discount in percent."""

    quantity: Decimal
    unit_price: Decimal
    tax_rate: Decimal
    discount_percent: Decimal = _ZERO


class PricedLine(msgspec.Struct, frozen=True):
    """Amounts in the currency's minor unit; net + tax = gross."""

    net: Decimal
    tax: Decimal
    gross: Decimal


@dataclass(frozen=True, slots=True)
class TaxTotal:
    """What the document carries at one rate: `base` is the net amount taxed."""

    rate: Decimal
    base: Decimal
    tax: Decimal


@dataclass(frozen=True, slots=True)
class PricedDocument:
    """The lines in the order given, their sums, and the tax per rate, lowest rate first."""

    lines: tuple[PricedLine, ...]
    net: Decimal
    tax: Decimal
    gross: Decimal
    taxes: tuple[TaxTotal, ...]


def price_document(
    lines: Sequence[PricingLine], *, included: bool, rounding: Rounding, currency: str
) -> PricedDocument:
    """Price and tax `lines`. `included`: the unit prices hold the tax. Raises Invalid for no ISO currency.

    Negating every quantity negates every amount, so a credit note takes back exactly what was charged.
    """
    digits = exponent(currency)
    bases = [_base(line, digits) for line in lines]
    by_rate: dict[Decimal, list[int]] = {}
    for position, line in enumerate(lines):
        by_rate.setdefault(line.tax_rate, []).append(position)
    taxes = [0] * len(lines)
    for rate, positions in by_rate.items():
        groups = [positions] if rounding == "document" else [[position] for position in positions]
        for group in groups:
            shares = _group_tax([bases[position] for position in group], rate, included=included)
            for position, share in zip(group, shares, strict=True):
                taxes[position] = share
    nets = [base - tax for base, tax in zip(bases, taxes, strict=True)] if included else bases
    return _document(nets, taxes, by_rate, digits)


def _base(line: PricingLine, digits: int) -> int:
    """The line's amount in minor units."""
    amount = EXACT.multiply(line.quantity, line.unit_price)
    if line.discount_percent:
        amount = EXACT.divide(EXACT.multiply(amount, _HUNDRED - line.discount_percent), _HUNDRED)
    return int(amount.scaleb(digits, EXACT).to_integral_value(ROUND_HALF_UP))


def _group_tax(bases: list[int], rate: Decimal, *, included: bool) -> list[int]:
    """The tax of lines taxed together at `rate`, in minor units: tax is the share p/q of each base."""
    numerator, denominator = rate.as_integer_ratio()
    p, q = numerator, 100 * denominator + (numerator if included else 0)
    whole = sum(bases)
    # With tax in the prices the net amount is what gets rounded (one division), tax is the rest.
    total = whole - _half_up(whole * (q - p), q) if included else _half_up(whole * p, q)
    if len(bases) == 1:
        return [total]
    # Largest remainder is not symmetric by itself: flip a negative group, so that -x gives -f(x).
    sign = -1 if (whole or next((base for base in bases if base), 0)) < 0 else 1
    cut = [divmod(sign * base * p, q) for base in bases]
    shares = [share for share, _ in cut]
    by_remainder = sorted(range(len(cut)), key=lambda position: -cut[position][1])
    for position in by_remainder[: sign * total - sum(shares)]:
        shares[position] += 1
    return [sign * share for share in shares]


def _half_up(dividend: int, divisor: int) -> int:
    """`dividend / divisor` to the nearest integer, halves away from zero; `divisor` > 0."""
    nearest = (2 * abs(dividend) + divisor) // (2 * divisor)
    return -nearest if dividend < 0 else nearest


def _document(nets: list[int], taxes: list[int], by_rate: dict[Decimal, list[int]], digits: int) -> PricedDocument:
    def amount(units: int) -> Decimal:
        return Decimal(units).scaleb(-digits, EXACT)

    net, tax = sum(nets), sum(taxes)
    return PricedDocument(
        lines=tuple(
            PricedLine(amount(net), amount(tax), amount(net + tax)) for net, tax in zip(nets, taxes, strict=True)
        ),
        net=amount(net),
        tax=amount(tax),
        gross=amount(net + tax),
        taxes=tuple(
            TaxTotal(
                rate,
                amount(sum(nets[position] for position in positions)),
                amount(sum(taxes[position] for position in positions)),
            )
            for rate, positions in sorted(by_rate.items())
        ),
    )
