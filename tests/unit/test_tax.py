"""Worked examples of pricing and tax."""

from decimal import Decimal

import pytest

from erp.kernel.errors import Invalid
from erp.pricing.tax import PricedDocument, PricedLine, PricingLine, Rounding, TaxTotal, price_document


def line(quantity: str, price: str, rate: str = "20", discount: str = "0") -> PricingLine:
    return PricingLine(Decimal(quantity), Decimal(price), Decimal(rate), Decimal(discount))


def priced(
    *lines: PricingLine, included: bool = False, rounding: Rounding = "line", currency: str = "EUR"
) -> PricedDocument:
    return price_document(lines, included=included, rounding=rounding, currency=currency)


def amounts(*texts: str) -> PricedLine:
    net, tax, gross = (Decimal(text) for text in texts)
    return PricedLine(net, tax, gross)


def test_tax_is_added_to_prices_without_tax() -> None:
    document = priced(line("3", "12.50"), line("1", "0.99"))
    assert document.lines == (amounts("37.50", "7.50", "45.00"), amounts("0.99", "0.20", "1.19"))
    assert (document.net, document.tax, document.gross) == (Decimal("38.49"), Decimal("7.70"), Decimal("46.19"))


def test_halves_are_rounded_up() -> None:
    # 2.675 as binary floating point is less than half; as a decimal it is exactly half.
    assert priced(line("1", "2.675", "0")).net == Decimal("2.68")
    assert priced(line("1", "0.025", "20")).lines == (amounts("0.03", "0.01", "0.04"),)


def test_halves_of_negative_amounts_are_rounded_away_from_zero() -> None:
    assert priced(line("-1", "2.675", "0")).net == Decimal("-2.68")


def test_line_and_document_rounding_differ_by_the_sum_of_the_roundings() -> None:
    lines = [line("1", "0.99", "7.5")] * 4  # 0.07425 of tax each, 0.297 together
    assert priced(*lines, rounding="line").tax == Decimal("0.28")
    assert priced(*lines, rounding="document").tax == Decimal("0.30")


def test_document_tax_is_spread_by_largest_remainder() -> None:
    # Exact taxes 0.066, 0.132, 0.038: 0.236 -> 0.24; cut 0.06 + 0.13 + 0.03 leaves two for .8 and .6.
    document = priced(line("1", "0.33"), line("1", "0.66"), line("1", "0.19"), rounding="document")
    assert [one.tax for one in document.lines] == [Decimal("0.07"), Decimal("0.13"), Decimal("0.04")]
    assert document.tax == Decimal("0.24")


def test_of_equal_remainders_the_earlier_line_gets_the_unit() -> None:
    document = priced(*[line("1", "0.17", "10")] * 3, rounding="document")  # 0.017 each, 0.051 -> 0.05
    assert [one.tax for one in document.lines] == [Decimal("0.02"), Decimal("0.02"), Decimal("0.01")]


def test_included_tax_is_the_gross_less_one_division() -> None:
    document = priced(line("1", "119", "19"), line("1", "9.99", "19"), included=True)
    assert document.lines == (amounts("100.00", "19.00", "119.00"), amounts("8.39", "1.60", "9.99"))


def test_included_tax_is_rounded_once_for_the_document() -> None:
    lines = [line("1", "0.10", "19")] * 3
    assert [one.net for one in priced(*lines, included=True).lines] == [Decimal("0.08")] * 3
    document = priced(*lines, included=True, rounding="document")  # 0.30 / 1.19 = 0.2521
    assert (document.net, document.tax, document.gross) == (Decimal("0.25"), Decimal("0.05"), Decimal("0.30"))
    assert [one.tax for one in document.lines] == [Decimal("0.02"), Decimal("0.02"), Decimal("0.01")]


def test_every_rate_is_a_group_of_its_own() -> None:
    document = priced(line("1", "10"), line("2", "1", "5"), line("1", "3", "0"), line("1", "2"), rounding="document")
    assert document.taxes == (
        TaxTotal(Decimal(0), Decimal("3.00"), Decimal("0.00")),
        TaxTotal(Decimal(5), Decimal("2.00"), Decimal("0.10")),
        TaxTotal(Decimal(20), Decimal("12.00"), Decimal("2.40")),
    )


def test_rates_written_differently_are_one_rate() -> None:
    assert len(priced(line("1", "1", "20"), line("1", "1", "20.00")).taxes) == 1


def test_discount_is_taken_off_before_rounding() -> None:
    document = priced(line("3", "3.333333", "20", "12.5"))  # 9.999999 - 1.249999875
    assert document.lines == (amounts("8.75", "1.75", "10.50"),)


def test_a_full_discount_leaves_nothing() -> None:
    assert priced(line("5", "10", "20", "100")).gross == 0


def test_yen_has_no_decimals_and_dinar_three() -> None:
    assert priced(line("3", "33.50", "10"), currency="JPY").lines == (amounts("101", "10", "111"),)
    assert priced(line("1", "1.2345", "10"), currency="KWD").lines == (amounts("1.235", "0.124", "1.359"),)


def test_prices_of_three_decimals_are_exact_before_rounding() -> None:
    assert priced(line("80995", "2.08", "0")).net == Decimal("168469.60")
    assert priced(line("1000", "0.001", "0")).net == Decimal("1.00")


def test_large_documents_keep_every_digit() -> None:
    document = priced(line("99999999999999.999999", "99999999999.999999", "19"))
    assert document.net == Decimal("9999999999999999899900000.00")
    assert document.gross == document.net + document.tax


def test_lines_that_cancel_out_keep_their_own_tax() -> None:
    document = priced(line("1", "100"), line("-1", "100"), rounding="document")
    assert [one.tax for one in document.lines] == [Decimal("20.00"), Decimal("-20.00")]
    assert document.tax == 0


def test_a_document_without_lines_is_empty() -> None:
    document = priced()
    assert (document.lines, document.gross, document.taxes) == ((), Decimal(0), ())


def test_an_unknown_currency_is_refused() -> None:
    with pytest.raises(Invalid):
        priced(line("1", "1"), currency="ABC")
