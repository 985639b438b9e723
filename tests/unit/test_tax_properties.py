"""What holds for every document, whatever its lines."""

from decimal import Decimal
from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st

from erp.kernel.money import exponent
from erp.pricing.tax import PricedDocument, PricingLine, Rounding, price_document


def _decimals(low: str, high: str, places: int) -> st.SearchStrategy[Decimal]:
    return st.decimals(Decimal(low), Decimal(high), allow_nan=False, allow_infinity=False, places=places)


QUANTITIES = _decimals("-100000", "100000", 6)
PRICES = _decimals("0", "100000", 6)
RATES = st.sampled_from(["0", "2.1", "5", "5.5", "7", "7.7", "10", "19", "20", "25.5", "33.3333", "100"]).map(Decimal)
DISCOUNTS = st.sampled_from(["0", "0", "0", "10", "33.3333", "100"]).map(Decimal)
LINES = st.lists(st.builds(PricingLine, QUANTITIES, PRICES, RATES, DISCOUNTS), max_size=12)
ROUNDINGS: st.SearchStrategy[Rounding] = st.sampled_from(["line", "document"])
CURRENCIES = st.sampled_from(["EUR", "JPY", "KWD"])


@given(LINES, st.booleans(), ROUNDINGS, CURRENCIES)
@settings(max_examples=400, deadline=None)
def test_lines_add_up_to_the_document(
    lines: list[PricingLine], included: bool, rounding: Rounding, currency: str
) -> None:
    document = price_document(lines, included=included, rounding=rounding, currency=currency)
    assert len(document.lines) == len(lines)
    assert document.net == sum((line.net for line in document.lines), Decimal(0))
    assert document.tax == sum((line.tax for line in document.lines), Decimal(0))
    assert document.gross == sum((line.gross for line in document.lines), Decimal(0))
    assert document.net == sum((total.base for total in document.taxes), Decimal(0))
    assert document.tax == sum((total.tax for total in document.taxes), Decimal(0))


@given(LINES, st.booleans(), ROUNDINGS, CURRENCIES)
@settings(max_examples=400, deadline=None)
def test_net_and_tax_are_the_gross_in_whole_minor_units(
    lines: list[PricingLine], included: bool, rounding: Rounding, currency: str
) -> None:
    document = price_document(lines, included=included, rounding=rounding, currency=currency)
    quantum = Decimal(1).scaleb(-exponent(currency))
    parts = [(line.net, line.tax, line.gross) for line in document.lines]
    for net, tax, gross in [*parts, (document.net, document.tax, document.gross)]:
        assert net + tax == gross
        for amount in (net, tax, gross):
            assert amount == amount.quantize(quantum)
            assert not (amount == 0 and amount.is_signed())


@given(LINES, st.booleans(), ROUNDINGS, CURRENCIES)
@settings(max_examples=400, deadline=None)
def test_a_credit_note_takes_back_exactly_what_was_charged(
    lines: list[PricingLine], included: bool, rounding: Rounding, currency: str
) -> None:
    charged = price_document(lines, included=included, rounding=rounding, currency=currency)
    returned = [PricingLine(-line.quantity, line.unit_price, line.tax_rate, line.discount_percent) for line in lines]
    credited = price_document(returned, included=included, rounding=rounding, currency=currency)
    assert _amounts(credited) == [tuple(-amount for amount in amounts) for amounts in _amounts(charged)]


@given(LINES, st.booleans(), ROUNDINGS, CURRENCIES)
@settings(max_examples=400, deadline=None)
def test_the_tax_of_a_line_is_less_than_one_minor_unit_off(
    lines: list[PricingLine], included: bool, rounding: Rounding, currency: str
) -> None:
    document = price_document(lines, included=included, rounding=rounding, currency=currency)
    unit = Fraction(1, 10 ** exponent(currency))
    for line, priced in zip(lines, document.lines, strict=True):
        assert abs(Fraction(priced.tax) - _exact_tax(priced.net, priced.gross, line.tax_rate, included)) < unit
    for total in document.taxes:
        members = [one for one, line in zip(document.lines, lines, strict=True) if line.tax_rate == total.rate]
        exact = sum((_exact_tax(one.net, one.gross, total.rate, included) for one in members), Fraction(0))
        tolerance = unit / 2 if rounding == "document" else unit * len(members) / 2
        assert abs(Fraction(total.tax) - exact) <= tolerance


def _exact_tax(net: Decimal, gross: Decimal, rate: Decimal, included: bool) -> Fraction:
    share = Fraction(rate) / 100
    return Fraction(gross) * share / (1 + share) if included else Fraction(net) * share


def _amounts(document: PricedDocument) -> list[tuple[Decimal, ...]]:
    lines = [(line.net, line.tax, line.gross) for line in document.lines]
    taxes = [(total.base, total.tax) for total in document.taxes]
    return [*lines, *taxes, (document.net, document.tax, document.gross)]
