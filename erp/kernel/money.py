"""Amounts of money: rounded to the currency's minor unit where a document or posting line is made, nowhere else.

Exponents are those of ISO 4217. Rounding is half-up (away from zero), the commercial rule.
"""

from collections.abc import Sequence
from decimal import ROUND_HALF_UP, Context, Decimal
from fractions import Fraction

from erp.kernel.errors import Invalid, InvalidAmount

#: Enough digits that no product of two stored numbers is rounded before it is quantized.
EXACT = Context(prec=80)

_WITHOUT_DECIMALS = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF"
_THREE_DECIMALS = "BHD IQD JOD KWD LYD OMR TND"
_TWO_DECIMALS = (
    "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BOV BRL BSD BTN BWP BYN BZD CAD CDF CHE"
    " CHF CHW CNY COP COU CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD"
    " HNL HTG HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP"
    " MRU MUR MVR MWK MXN MXV MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD"
    " SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD USN UYU UZS"
    " VED VES WST XCD XCG YER ZAR ZMW ZWG"
)
_EXPONENTS: dict[str, int] = {
    **dict.fromkeys(_TWO_DECIMALS.split(), 2),
    **dict.fromkeys(_WITHOUT_DECIMALS.split(), 0),
    **dict.fromkeys(_THREE_DECIMALS.split(), 3),
}
_QUANTA = {currency: Decimal(1).scaleb(-digits) for currency, digits in _EXPONENTS.items()}

#: Every currency that can be traded in.
CURRENCIES = frozenset(_EXPONENTS)


def exponent(currency: str) -> int:
    """Decimals of the currency: 0, 2 or 3. Raises Invalid for a code ISO 4217 does not have."""
    try:
        return _EXPONENTS[currency]
    except KeyError:
        raise Invalid(f"`{currency}` is not an ISO 4217 currency.", currency=currency) from None


def round_money(value: Decimal, currency: str) -> Decimal:
    """`value` with exactly the currency's decimals, half-up; never a negative zero."""
    rounded = value.quantize(_quantum(currency), ROUND_HALF_UP, EXACT)
    return rounded if rounded else abs(rounded)


def money_text(value: Decimal, currency: str) -> str:
    """The wire form: always the currency's decimals ("1249.90", "1250" in JPY)."""
    if value.same_quantum(_quantum(currency)) and (value or not value.is_signed()):
        # What the database holds is rounded already.
        return str(value)
    return format(round_money(value, currency), "f")


def money(text: str, currency: str, *, pointer: str | None = None) -> Decimal:
    """An amount from its wire form. Raises InvalidAmount for more decimals than the currency has."""
    value = Decimal(text)
    rounded = round_money(value, currency)
    if rounded != value:
        raise InvalidAmount(
            f"{currency} has {exponent(currency)} decimals.", pointer=pointer, currency=currency, value=text
        )
    return rounded


def spread(total: Decimal, weights: Sequence[Decimal], exponent: int) -> list[Decimal]:
    """Split `total` (a multiple of the minor unit) in proportion to `weights`; the parts add up exactly.

    Largest remainder: everyone gets their share cut to the minor unit, the units left over go to the
    largest remainders, the earlier line first when equal. When the weights cancel out their sizes count;
    when all are zero the lines share equally. A negated total gives the negated parts, so that a credit
    note takes back exactly what the invoice charged, line by line.
    """
    units = Fraction(total) * 10**exponent
    if units.denominator != 1:
        raise ValueError(f"{total} is not a multiple of 10^-{exponent}")
    sign = -1 if units < 0 else 1
    shares = _shares(abs(int(units)), [Fraction(weight) for weight in weights])
    return [Decimal(sign * share).scaleb(-exponent, EXACT) for share in shares]


def _shares(units: int, weights: list[Fraction]) -> list[int]:
    if not weights:
        if units:
            raise ValueError("nothing to spread over")
        return []
    whole = sum(weights)
    if not whole:
        weights = [abs(weight) for weight in weights]
        whole = sum(weights)
    if not whole:
        weights, whole = [Fraction(1)] * len(weights), Fraction(len(weights))
    exact = [units * weight / whole for weight in weights]
    shares = [share.numerator // share.denominator for share in exact]
    by_remainder = sorted(range(len(exact)), key=lambda index: shares[index] - exact[index])
    for index in by_remainder[: units - sum(shares)]:
        shares[index] += 1
    return shares


def _quantum(currency: str) -> Decimal:
    try:
        return _QUANTA[currency]
    except KeyError:
        raise Invalid(f"`{currency}` is not an ISO 4217 currency.", currency=currency) from None
