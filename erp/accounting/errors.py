"""What the ledger refuses, and which database constraint means what to a client."""

from db.constraints import on_violation
from db.errors import DomainError, UnknownReference


class PeriodClosed(DomainError):
    """The accounting period of the date is closed."""

    code = "period-closed"
    title = "The accounting period is closed"


class NoPeriod(DomainError):
    """No accounting period was opened for the date."""

    code = "no-period"
    title = "No accounting period holds this date"
    status = 422


class NoOpenPeriod(DomainError):
    """Every period from the date on is closed, or none was created yet."""

    code = "no-open-period"
    title = "No accounting period is open on or after this date"


class PeriodExists(DomainError):
    """The months are already there."""

    code = "period-exists"
    title = "The accounting period exists already"


class EntryUnbalanced(DomainError):
    """Debits and credits of the entry differ."""

    code = "entry-unbalanced"
    title = "Debits and credits differ"
    status = 422


class EntryTooShort(DomainError):
    """An entry needs at least one debit and one credit line."""

    code = "entry-too-short"
    title = "An entry needs at least two lines"
    status = 422


class EntryImmutable(DomainError):
    """A posted entry is never changed or removed; reverse it."""

    code = "entry-immutable"
    title = "A posted entry cannot be changed"


class EntryReversed(DomainError):
    """The entry was reversed before."""

    code = "entry-already-reversed"
    title = "The entry is already reversed"


class ReversalTooEarly(DomainError):
    """A reversal is not dated before what it reverses."""

    code = "reversal-too-early"
    title = "The reversal is dated before the entry"
    status = 422


class EntryOfDocument(DomainError):
    """The entry belongs to a document and is reversed with it."""

    code = "entry-of-document"
    title = "The entry belongs to a document"


class ControlAccount(DomainError):
    """The account is kept by documents (receivables, stock, ...); an entry by hand would break the agreement."""

    code = "control-account"
    title = "The account is not open to manual entries"
    status = 422


class AccountInactive(DomainError):
    """The account was deactivated."""

    code = "account-inactive"
    title = "The account is inactive"
    status = 422


class AccountInUse(DomainError):
    """A role of the chart points to the account, so it stays active."""

    code = "account-in-use"
    title = "The account is used by a role"


class AccountRoleMissing(DomainError):
    """The chart of accounts names no account for a role that a posting needs."""

    code = "account-role-missing"
    title = "No account has the role"


class RoundingTooLarge(DomainError):
    """The difference is larger than rounding can explain, so it is an error and not a rounding line."""

    code = "rounding-too-large"
    title = "The difference is too large for a rounding line"
    status = 422


class OverAllocation(DomainError):
    """More would be settled than is open on an item or left on a payment or credit note."""

    code = "over-allocation"
    title = "More would be allocated than is open"


class AllocationMismatch(DomainError):
    """The item cannot be settled by this document: other party, side, direction or currency."""

    code = "allocation-mismatch"
    title = "The item cannot be settled by this document"
    status = 422


class AllocationTooEarly(DomainError):
    """The allocation is dated before the document it settles, or before the one it settles with."""

    code = "allocation-too-early"
    title = "The allocation is dated before one of its documents"
    status = 422


class AllocationReversed(DomainError):
    """The allocation was taken back before."""

    code = "allocation-already-reversed"
    title = "The allocation is already reversed"


on_violation("journal_entries_balanced", EntryUnbalanced)
on_violation("journal_entries_two_lines", EntryTooShort)
on_violation("journal_lines_complete", EntryImmutable)
on_violation("journal_is_immutable", EntryImmutable)
on_violation("journal_lines_account", UnknownReference, fields=["account"])
on_violation("journal_entries_journal", UnknownReference, fields=["journal"])
on_violation("journal_entries_reverses_key", EntryReversed)
on_violation("allocations_reverses_key", AllocationReversed)
on_violation("open_items_open_amount_check", OverAllocation)
on_violation("periods_start_date_key", PeriodExists)
