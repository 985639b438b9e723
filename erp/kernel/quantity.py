"""Quantities: at most six decimals in the product's base unit, converted between units by exact ratios."""

from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from erp.kernel.errors import DomainError
from erp.kernel.money import EXACT

#: Decimals a stored quantity may have.
DECIMALS = 6


class NotRepresentable(DomainError):
    """The quantity has no exact value in the base unit within six decimals.

    Fix: order in a unit that converts exactly, for example 1/3 of a box of 10 is not a whole number of
    pieces.
    """

    code = "quantity-not-representable"
    title = "The quantity cannot be expressed in the base unit"
    status = 422


@dataclass(frozen=True, slots=True)
class Ratio:
    """One of the unit is `numerator / denominator` of the base unit; both positive."""

    numerator: int | Decimal
    denominator: int | Decimal = 1

    @property
    def exact(self) -> Fraction:
        return Fraction(self.numerator) / Fraction(self.denominator)


ONE = Ratio(1)


def to_base(quantity: Decimal, ratio: Ratio, *, pointer: str | None = None) -> Decimal:
    """The quantity in the base unit. Raises NotRepresentable at `pointer` when six decimals cannot hold it."""
    scaled = Fraction(quantity) * ratio.exact * 10**DECIMALS
    if scaled.denominator != 1:
        raise NotRepresentable(pointer=pointer, quantity=quantity_text(quantity), ratio=str(ratio.exact))
    return _shortest(scaled.numerator)


def from_base(quantity: Decimal, ratio: Ratio) -> Decimal:
    """A base quantity in the unit. Raises NotRepresentable when six decimals cannot hold it."""
    return to_base(quantity, Ratio(ratio.denominator, ratio.numerator))


def round_down(quantity: Decimal, ratio: Ratio = ONE) -> Decimal:
    """The quantity in the base unit, cut (towards zero) to six decimals: reserving never takes more."""
    scaled = Fraction(quantity) * ratio.exact * 10**DECIMALS
    cut = abs(scaled.numerator) // scaled.denominator
    return _shortest(cut if scaled >= 0 else -cut)


def quantity_text(quantity: Decimal) -> str:
    """The wire form: no trailing zeros, no exponent, no negative zero ("12", "0.5")."""
    text = str(quantity)
    if text.isdigit():
        return text  # most are whole
    text = format(quantity, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def _shortest(scaled: int) -> Decimal:
    """`scaled` millionths, without trailing decimal zeros."""
    decimals = DECIMALS
    while decimals and scaled % 10 == 0:
        scaled //= 10
        decimals -= 1
    return Decimal(scaled).scaleb(-decimals, EXACT)
