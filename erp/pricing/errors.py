"""What pricing refuses."""

from db.constraints import on_violation
from db.errors import DomainError, Duplicate


class NoTaxRate(DomainError):
    """The product's tax group has no rate for the document's date.

    Fix: add a rate that is valid on that day to the tax group.
    """

    code = "no-tax-rate"
    title = "The tax group has no rate for this date"
    status = 422


class TaxRatesOverlap(DomainError):
    """Two rates of one tax group would be valid on the same day.

    Fix: end the earlier rate on the day before the later one starts.
    """

    code = "tax-rates-overlap"
    title = "Two rates of the tax group overlap"
    status = 422


class PricesOverlap(DomainError):
    """Two prices of one product from the same quantity on would be valid on the same day.

    Fix: end the earlier one on the day before the later one starts; both may be sent in one request.
    """

    code = "prices-overlap"
    title = "Two prices of the price list overlap"
    status = 422


class CurrencyNotKept(DomainError):
    """The price list is in another currency than the tenant's documents.

    Fix: leave `currency` out, or name the tenant's base currency.
    """

    code = "currency-not-kept"
    title = "Documents are kept in another currency"
    status = 422


on_violation("tax_groups_code_key", Duplicate, fields=["code"], pointer="/code")
on_violation("tax_groups_external_id_key", Duplicate, fields=["external_id"], pointer="/external_id")
on_violation("price_lists_code_key", Duplicate, fields=["code"], pointer="/code")
on_violation("price_lists_external_id_key", Duplicate, fields=["external_id"], pointer="/external_id")
