"""What the ledger refuses, and which database constraint means what to a client."""

from db.constraints import on_violation
from db.errors import DomainError, Duplicate, UnknownReference


class PeriodClosed(DomainError):
    """The accounting period of the date is closed.

    Fix: send a date in an open period, or leave `strict_date` out: the entry then moves to `first_open_date`.
    """

    code = "period-closed"
    title = "The accounting period is closed"


class NoPeriod(DomainError):
    """No accounting period was opened for the date.

    Fix: check the date, or create the period.
    """

    code = "no-period"
    title = "No accounting period holds this date"
    status = 422


class NoOpenPeriod(DomainError):
    """Every period from the date on is closed, or none was created yet.

    Fix: create the next periods, or reopen a soft-closed one.
    """

    code = "no-open-period"
    title = "No accounting period is open on or after this date"


class EntryUnbalanced(DomainError):
    """Debits and credits of the entry differ, or a line has no amount.

    Fix: make the debits equal the credits.
    """

    code = "entry-unbalanced"
    title = "Debits and credits differ"
    status = 422


class EntryTooShort(DomainError):
    """An entry needs a debit line and a credit line at least.

    Fix: send both sides of the entry.
    """

    code = "entry-too-short"
    title = "An entry needs at least two lines"
    status = 422


class EntryImmutable(DomainError):
    """A posted entry is never changed, extended or removed.

    Fix: reverse it and post a new one.
    """

    code = "entry-immutable"
    title = "A posted entry cannot be changed"


class EntryReversed(DomainError):
    """The entry was reversed before, or is itself a reversal.

    Fix: post a new entry if it is needed again.
    """

    code = "entry-already-reversed"
    title = "The entry is already reversed"


class ReversalTooEarly(DomainError):
    """A reversal is not dated before what it reverses.

    Fix: send a date on or after the entry's.
    """

    code = "reversal-too-early"
    title = "The reversal is dated before the entry"
    status = 422


class EntryOfDocument(DomainError):
    """The entry belongs to a document and is reversed with it.

    Fix: credit the invoice, reverse the payment, or whatever takes the document in `source_type` back.
    """

    code = "entry-of-document"
    title = "The entry belongs to a document"


class ControlAccount(DomainError):
    """Documents keep this account (receivables, stock, tax, ...); booking on it directly would break that.

    Fix: choose another account, or make the document that moves this one.
    """

    code = "control-account"
    title = "The account is kept by documents"
    status = 422


class AccountInactive(DomainError):
    """The account was deactivated.

    Fix: activate it again, or choose another one.
    """

    code = "account-inactive"
    title = "The account is inactive"
    status = 422


class AccountInUse(DomainError):
    """A role of the chart points to the account, so it stays active.

    Fix: leave the account as it is.
    """

    code = "account-in-use"
    title = "The account is used by a role"


class AccountRoleMissing(DomainError):
    """The chart of accounts names no account for a role that a posting needs.

    Fix: ask the operator to complete the tenant's chart of accounts.
    """

    code = "account-role-missing"
    title = "No account has the role"


class RoundingTooLarge(DomainError):
    """The difference is larger than rounding can explain, so it is a mistake and not a rounding line.

    Fix: correct the amounts.
    """

    code = "rounding-too-large"
    title = "The difference is too large for a rounding line"
    status = 422


class OverAllocation(DomainError):
    """More would be settled than is open on an item, or left of a payment or credit note. `document` names it.

    Fix: allocate at most `open_amount`.
    """

    code = "over-allocation"
    title = "More would be allocated than is open"


class AllocationMismatch(DomainError):
    """The item cannot be settled by this document: another party, side or direction.

    Fix: name an open item of the same party; money in settles invoices, money out settles bills and credit notes.
    """

    code = "allocation-mismatch"
    title = "The item cannot be settled by this document"
    status = 422


class AllocationTooEarly(DomainError):
    """The allocation, or its taking back, is dated before one of the documents it joins.

    Fix: record the payment as an advance and allocate it on or after the later document's date.
    """

    code = "allocation-too-early"
    title = "The allocation is dated before one of its documents"
    status = 422


class AllocationReversed(DomainError):
    """The allocation was taken back before.

    Fix: read the payment for the allocations that stand.
    """

    code = "allocation-already-reversed"
    title = "The allocation is already taken back"


on_violation("journal_entries_balanced", EntryUnbalanced)
on_violation("journal_entries_two_lines", EntryTooShort)
on_violation("journal_entries_open_period", PeriodClosed)
on_violation("journal_entries_journal", UnknownReference, fields=["journal"])
on_violation("journal_entries_reverses_key", EntryReversed)
on_violation("journal_entries_external_id_key", Duplicate, fields=["external_id"], pointer="/external_id")
on_violation("journal_lines_complete", EntryImmutable)
on_violation("journal_lines_account", UnknownReference, fields=["account"])
on_violation("journal_is_immutable", EntryImmutable)
on_violation("accounts_pkey", Duplicate, fields=["code"], pointer="/code")
on_violation("accounts_external_id_key", Duplicate, fields=["external_id"], pointer="/external_id")
on_violation("allocations_reverses_key", AllocationReversed)
on_violation("open_items_open_amount_check", OverAllocation)
