"""Numbers on the wire are plain decimal strings, or they are refused."""

import re
from decimal import Decimal
from typing import Any, get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from erp.kernel import text as wire
from erp.kernel.errors import InvalidAmount

HOSTILE = [
    "NaN", "sNaN", "Infinity", "-Infinity", "inf", "1e400", "1E+999999999", "1e2", "-0", "-0.00", "1_000", "1,000",
    "１２", "٣", "+1", " 1", "1 ", "1\n", "", ".", ".5", "1.", "01", "0x10", "1.0.0", "--1", "9" * 40,
    "𝟏", "1\u200b", "½",
]  # fmt: skip


def accepts(kind: Any, value: str) -> bool:
    try:
        msgspec.convert(value, kind, strict=True)
    except msgspec.ValidationError:
        return False
    return True


DECIMALS = {
    "Amount": wire.Amount, "PositiveAmount": wire.PositiveAmount, "SignedAmount": wire.SignedAmount,
    "UnitPrice": wire.UnitPrice, "Quantity": wire.Quantity, "QuantityOrZero": wire.QuantityOrZero,
    "SignedQuantity": wire.SignedQuantity, "Percent": wire.Percent, "Rate": wire.Rate,
}  # fmt: skip


@pytest.mark.parametrize("kind", DECIMALS)
@pytest.mark.parametrize("value", HOSTILE)
def test_no_decimal_field_takes_a_hostile_number(kind: str, value: str) -> None:
    assert not accepts(DECIMALS[kind], value)


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        ("Amount", ["0", "0.00", "12.5", "99999999999999.999"], ["-1", "100000000000000", "1.2345"]),
        ("PositiveAmount", ["0.01", "1"], ["0", "0.00", "-1"]),
        ("SignedAmount", ["-12.50", "0", "12"], ["-0.0"]),
        ("Quantity", ["0.000001", "3"], ["0", "0.000000", "-3", "1.1234567"]),
        ("QuantityOrZero", ["0", "3"], ["-3"]),
        ("SignedQuantity", ["-3", "3"], ["0"]),
        ("UnitPrice", ["0", "12.495"], ["-1"]),
        ("Percent", ["0", "19.6", "100", "100.00", "7"], ["100.01", "101", "-5"]),
        ("Rate", ["1.0832", "0.0000000001"], ["0", "-1"]),
    ],
)
def test_each_type_has_its_range(kind: str, good: list[str], bad: list[str]) -> None:
    assert [value for value in good if not accepts(DECIMALS[kind], value)] == []
    assert [value for value in bad if accepts(DECIMALS[kind], value)] == []


@pytest.mark.parametrize("kind", DECIMALS)
@given(value=st.text(max_size=12))
def test_what_a_decimal_field_takes_is_a_finite_number(kind: str, value: str) -> None:
    if accepts(DECIMALS[kind], value):
        assert re.fullmatch(r"-?[0-9]+(\.[0-9]+)?", value)
        assert wire.decimal(value) == Decimal(value)


@pytest.mark.parametrize("value", HOSTILE)
def test_decimal_refuses_what_decimal_itself_would_take(value: str) -> None:
    with pytest.raises(InvalidAmount):
        wire.decimal(value)


@pytest.mark.parametrize("bad", ["", " a", "a ", "a\nb", "a\t", "x" * 201, "a\n"])
def test_a_name_is_one_line_without_blanks_at_its_ends(bad: str) -> None:
    assert not accepts(wire.Name, bad)


@pytest.mark.parametrize("good", ["A", "Größe & Söhne", "85123A", "POST TO", "日本"])
def test_a_name_may_be_in_any_script(good: str) -> None:
    assert accepts(wire.Name, good)


@pytest.mark.parametrize("kind", ["Amount", "Quantity", "UnitPrice", "Percent", "Rate", "SignedAmount"])
def test_patterns_mean_the_same_in_json_schema(kind: str) -> None:
    """ECMA 262 has no \\Z and no lookbehind of Python's kind; these use neither."""
    pattern = next(meta.pattern for meta in get_args(getattr(wire, kind))[1:])
    assert "\\Z" not in pattern
    assert "(?<" not in pattern
    assert "(?P" not in pattern
