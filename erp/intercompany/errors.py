"""What trading between tenants refuses."""

from db.constraints import on_violation
from db.errors import DomainError, Duplicate, UnknownReference


class NotAgreed(DomainError):
    """The two tenants have not both agreed to this trade. The answer is the same for a tenant there is not.

    Fix: both tenants create an intercompany link that names the other; the seller's says `sells`, the buyer's `buys`.
    """

    code = "intercompany-not-agreed"
    title = "The tenants have no agreement for this trade"


class OtherCurrency(DomainError):
    """The two tenants keep their books in different currencies.

    Fix: invoice the partner like any other customer.
    """

    code = "intercompany-currency"
    title = "The partner keeps its books in another currency"


class NoCounterpart(DomainError):
    """The buyer has no product with the code of one that is sold.

    Fix: the buyer creates the products that `codes` names, with the same codes.
    """

    code = "intercompany-no-counterpart"
    title = "The partner does not have this product"
    status = 422


class PartnerRefused(DomainError):
    """A rule of the buyer's own books refused its half of the sale, so neither half was written.

    Fix: `partner_code` is the buyer's own refusal; see to it there, then repeat the request.
    """

    code = "intercompany-partner-refused"
    title = "The partner's books refused the sale"


class NotMirrored(DomainError):
    """The buyer's bill would not come to the seller's invoice, so neither was written.

    Fix: see that the products' units and decimals are the same with both.
    """

    code = "intercompany-not-mirrored"
    title = "The two halves of the sale differ"


on_violation("intercompany_links_partner_key", Duplicate, fields=["partner_id"], pointer="/partner_id")
on_violation("intercompany_links_party", UnknownReference, fields=["party_id"], pointer="/party_id")
on_violation("intercompany_links_location", UnknownReference, fields=["location_id"], pointer="/location_id")
