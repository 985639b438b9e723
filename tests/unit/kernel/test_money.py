"""Money is rounded half-up to the currency's minor unit, and splitting it loses nothing."""

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from erp.kernel.errors import Invalid, InvalidAmount
from erp.kernel.money import CURRENCIES, EXACT, exponent, money, money_text, round_money, spread

D = Decimal
units = st.integers(-(10**12), 10**12)
weights = st.lists(st.integers(-(10**9), 10**9).map(lambda n: D(n) / 1000), min_size=1, max_size=40)


@pytest.mark.parametrize(("currency", "digits"), [("EUR", 2), ("JPY", 0), ("KWD", 3), ("GBP", 2), ("XAF", 0)])
def test_each_currency_has_its_decimals(currency: str, digits: int) -> None:
    assert exponent(currency) == digits


def test_every_currency_has_none_two_or_three_decimals() -> None:
    assert {exponent(currency) for currency in CURRENCIES} == {0, 2, 3}


@pytest.mark.parametrize("code", ["eur", "XXX", "", "EURO"])
def test_an_unknown_currency_is_refused(code: str) -> None:
    with pytest.raises(Invalid):
        exponent(code)


@pytest.mark.parametrize(
    ("value", "currency", "text"),
    [
        ("2.345", "EUR", "2.35"), ("2.3449", "EUR", "2.34"), ("-2.345", "EUR", "-2.35"), ("0.5", "JPY", "1"),
        ("1.0005", "KWD", "1.001"), ("-0.001", "EUR", "0.00"), ("10", "EUR", "10.00"), ("1E+3", "EUR", "1000.00"),
        ("99999999999999.995", "EUR", "100000000000000.00"),
    ],
)  # fmt: skip
def test_rounding_is_half_up_and_never_gives_minus_zero(value: str, currency: str, text: str) -> None:
    assert money_text(D(value), currency) == text


def test_numbers_longer_than_the_default_precision_are_rounded_once() -> None:
    product = EXACT.multiply(D("99999999999999.123456"), D("99999999999999.654321"))
    assert Fraction(product) == Fraction("99999999999999.123456") * Fraction("99999999999999.654321")
    assert abs(Fraction(round_money(product, "EUR")) - Fraction(product)) <= Fraction(1, 200)


def test_an_amount_with_more_decimals_than_its_currency_is_refused() -> None:
    assert money("12.50", "EUR") == D("12.50")
    with pytest.raises(InvalidAmount) as refused:
        money("12.5", "JPY", pointer="/amount")
    assert refused.value.pointer == "/amount"


@given(units, weights, st.sampled_from([0, 2, 3]))
def test_the_parts_always_add_up(total: int, over: list[Decimal], digits: int) -> None:
    amount = D(total).scaleb(-digits)
    parts = spread(amount, over, digits)
    assert sum(parts) == amount
    assert len(parts) == len(over)
    assert all(-part.as_tuple().exponent <= digits for part in parts)  # type: ignore[operator]


@given(units, st.lists(st.integers(0, 10**9).map(D), min_size=1, max_size=40).filter(any))
def test_no_part_is_more_than_one_unit_from_its_exact_share(total: int, over: list[Decimal]) -> None:
    parts = spread(D(total), over, 0)
    whole = sum(map(Fraction, over))
    assert all(abs(Fraction(part) - total * Fraction(w) / whole) < 1 for part, w in zip(parts, over, strict=True))


@given(units, weights)
def test_a_credit_note_takes_back_exactly_what_was_charged(total: int, over: list[Decimal]) -> None:
    assert spread(D(-total), over, 0) == [-part for part in spread(D(total), over, 0)]


def test_the_remainder_goes_to_the_largest_fraction_and_the_earlier_line() -> None:
    assert spread(D("10.00"), [D(1), D(1), D(1)], 2) == [D("3.34"), D("3.33"), D("3.33")]
    assert spread(D("0.05"), [D(1), D(2)], 2) == [D("0.02"), D("0.03")]


@pytest.mark.parametrize("over", [[D(0), D(0)], [D(1), D(-1)]])
def test_weights_that_cancel_out_still_take_the_whole(over: list[Decimal]) -> None:
    assert sum(spread(D("0.03"), over, 2)) == D("0.03")


def test_nothing_can_be_spread_over_nothing() -> None:
    assert spread(D(0), [], 2) == []
    with pytest.raises(ValueError, match="nothing to spread"):
        spread(D(1), [], 2)
    with pytest.raises(ValueError, match="multiple"):
        spread(D("0.001"), [D(1)], 2)
