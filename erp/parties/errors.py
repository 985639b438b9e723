"""What parties refuse, and which database constraint means what to a client."""

from db.constraints import on_violation
from db.errors import DomainError, Duplicate, UnknownReference


class PartyInactive(DomainError):
    """The party was deactivated and takes no new documents.

    Fix: activate it again, or name another party.
    """

    code = "party-inactive"
    title = "The party is inactive"
    status = 422


class NotACustomer(DomainError):
    """The document sells to a party that is not marked as a customer.

    Fix: name a customer, or set `is_customer` on the party.
    """

    code = "not-a-customer"
    title = "The party is not a customer"
    status = 422


class NotASupplier(DomainError):
    """The document buys from a party that is not marked as a supplier.

    Fix: name a supplier, or set `is_supplier` on the party.
    """

    code = "not-a-supplier"
    title = "The party is not a supplier"
    status = 422


class PriceListInactive(DomainError):
    """The price list was deactivated and is given to no further party.

    Fix: activate it again, or name another price list.
    """

    code = "price-list-inactive"
    title = "The price list is inactive"
    status = 422


on_violation("parties_code_key", Duplicate, fields=["code"], pointer="/code")
on_violation("parties_external_id_key", Duplicate, fields=["external_id"], pointer="/external_id")
on_violation("parties_price_list", UnknownReference, fields=["price_list_id"], pointer="/price_list_id")
