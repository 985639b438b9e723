"""The tax groups a tenant starts with, by country."""

from collections.abc import Mapping
from datetime import date
from typing import Final

from erp.pricing.schemas import CreateTaxGroupInput, TaxRate
from erp.pricing.service import save_tax_group
from tenancy.work import UnitOfWork

_ALWAYS = date(1900, 1, 1)

Spans = tuple[tuple[str, date, date | None], ...]

#: Country -> (code, name, rates with their spans). Standard and reduced rates as the law changed them.
_BY_COUNTRY: Final[Mapping[str, tuple[tuple[str, str, Spans], ...]]] = {
    "GB": (
        (
            "standard",
            "VAT, standard rate",
            (
                ("17.5", date(1991, 4, 1), date(2008, 11, 30)),
                ("15", date(2008, 12, 1), date(2009, 12, 31)),
                ("17.5", date(2010, 1, 1), date(2011, 1, 3)),
                ("20", date(2011, 1, 4), None),
            ),
        ),
        ("reduced", "VAT, reduced rate", (("5", date(1997, 9, 1), None),)),
    ),
    "DE": (
        (
            "standard",
            "Umsatzsteuer, Regelsatz",
            (
                ("16", date(1998, 4, 1), date(2006, 12, 31)),
                ("19", date(2007, 1, 1), date(2020, 6, 30)),
                ("16", date(2020, 7, 1), date(2020, 12, 31)),
                ("19", date(2021, 1, 1), None),
            ),
        ),
        (
            "reduced",
            "Umsatzsteuer, ermäßigter Satz",
            (
                ("7", date(1983, 7, 1), date(2020, 6, 30)),
                ("5", date(2020, 7, 1), date(2020, 12, 31)),
                ("7", date(2021, 1, 1), None),
            ),
        ),
    ),
}
_ZERO: Final = ("zero", "No tax", (("0", _ALWAYS, None),))


def seed(work: UnitOfWork) -> None:
    """Queue the groups of the tenant's country; elsewhere only the one without tax."""
    for code, name, spans in (*_BY_COUNTRY.get(work.tenant.country, ()), _ZERO):
        rates = [TaxRate(rate=rate, valid_from=start, valid_to=end) for rate, start, end in spans]
        save_tax_group(work, CreateTaxGroupInput(code=code, name=name, rates=rates))
