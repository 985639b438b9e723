"""What invoicing refuses."""

from db.constraints import on_violation
from db.errors import DomainError, Duplicate


class InvoicePosted(DomainError):
    """A posted document is never changed.

    Fix: credit it instead.
    """

    code = "invoice-posted"
    title = "A posted invoice cannot be changed"


class NegativeTotal(DomainError):
    """The document's total is below zero.

    Fix: write a credit note for what is given back.
    """

    code = "negative-total"
    title = "The total is below zero"
    status = 422


class OverCredit(DomainError):
    """More of a line would be credited than was invoiced and not credited yet.

    Fix: credit at most `creditable`.
    """

    code = "over-credit"
    title = "More would be credited than was invoiced"


class NothingToCredit(DomainError):
    """Every line of the invoice is credited already.

    Fix: read `credited_by` of the invoice for its credit notes.
    """

    code = "nothing-to-credit"
    title = "The invoice is credited in full"


class DraftChanged(DomainError):
    """The draft was changed while it was being posted; nothing was changed.

    Fix: read it again, then post it.
    """

    code = "draft-changed"
    title = "The draft changed meanwhile"
    retryable = True


on_violation("invoices_posted_immutable", InvoicePosted)
on_violation("invoices_external_id_key", Duplicate, fields=["external_id"], pointer="/external_id")
