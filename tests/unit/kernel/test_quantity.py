"""Quantities convert exactly or not at all."""

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from erp.kernel.quantity import NotRepresentable, Ratio, from_base, quantity_text, round_down, to_base

D = Decimal
quantities = st.integers(-(10**15), 10**15).map(lambda n: D(n).scaleb(-6))
ratios = st.builds(Ratio, st.integers(1, 10**6), st.integers(1, 10**6))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("12.500000", "12.5"),
        ("1200", "1200"),
        ("1.2E+3", "1200"),
        ("0E-6", "0"),
        ("-0.0", "0"),
        ("0.000001", "0.000001"),
    ],
)
def test_the_wire_form_is_short_and_without_exponent(value: str, text: str) -> None:
    assert quantity_text(D(value)) == text


@given(quantities)
def test_the_wire_form_keeps_the_value(quantity: Decimal) -> None:
    text = quantity_text(quantity)
    assert D(text) == quantity
    assert "E" not in text


def test_a_dozen_and_a_half_is_eighteen_pieces() -> None:
    assert to_base(D("1.5"), Ratio(12)) == D(18)
    assert from_base(D(18), Ratio(12)) == D("1.5")


def test_a_third_of_a_piece_cannot_be_ordered_but_can_be_cut_down() -> None:
    with pytest.raises(NotRepresentable):
        to_base(D(1), Ratio(1, 3))
    assert round_down(D(1), Ratio(1, 3)) == D("0.333333")
    assert round_down(D(-1), Ratio(1, 3)) == D("-0.333333")


def test_ratios_may_come_from_the_database_as_decimals() -> None:
    assert to_base(D(2), Ratio(D("2.54"), D(1))) == D("5.08")


@given(quantities, ratios)
def test_conversion_is_exact_or_refused(quantity: Decimal, ratio: Ratio) -> None:
    exact = Fraction(quantity) * ratio.exact
    try:
        assert Fraction(to_base(quantity, ratio)) == exact
    except NotRepresentable:
        assert (exact * 10**6).denominator != 1


@given(quantities, ratios)
def test_rounding_down_never_takes_more(quantity: Decimal, ratio: Ratio) -> None:
    exact, cut = Fraction(quantity) * ratio.exact, Fraction(round_down(quantity, ratio))
    assert abs(cut) <= abs(exact) < abs(cut) + Fraction(1, 10**6)
