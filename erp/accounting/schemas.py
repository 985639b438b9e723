"""The ledger on the wire. Amounts are decimal strings in the tenant's currency."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from msgspec import Meta, Struct

from erp.kernel.text import Code, Date, ExternalId, Name, PositiveAmount, Reason, Text

AccountType = Literal["asset", "liability", "equity", "income", "expense"]
AccountRef = Annotated[
    str,
    Meta(
        min_length=1, max_length=64, pattern=r"^@?\S([^\n\t]*\S)?(?!\n)$",
        description="An account code, or `@` and a role of the chart such as `@bank`.", examples=["1010", "@bank"],
    ),
]  # fmt: skip


class CreateAccountInput(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    code: Code
    name: Name
    type: AccountType
    external_id: ExternalId | None = None


class UpdateAccountInput(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    name: Name | None = None
    active: bool | None = None


class AccountView(Struct, frozen=True, kw_only=True):
    """`roles`: what postings use this account for; `control`: kept by documents, closed to manual entries."""

    id: UUID
    version: int
    code: str
    name: str
    type: AccountType
    normal_side: Literal["debit", "credit"]
    active: bool
    control: bool
    roles: list[str]
    external_id: str | None
    created_at: datetime


class CreatePeriodsInput(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Monthly periods from the month of `first_month` on; months that exist are left as they are."""

    first_month: Date
    months: Annotated[int, Meta(ge=1, le=120)] = 12


class ClosePeriodInput(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`soft_closed` can be reopened with a reason; `closed` never."""

    reason: Reason
    state: Literal["soft_closed", "closed"] = "soft_closed"


class ReopenPeriodInput(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    reason: Reason


class PeriodView(Struct, frozen=True, kw_only=True):
    """`snapshot_at`: when the balances of this closed period were summed up."""

    id: UUID
    version: int
    start_date: Date
    end_date: Date
    state: Literal["open", "soft_closed", "closed"]
    reason: str
    snapshot_at: datetime | None
    created_at: datetime


class PeriodsView(Struct, frozen=True, kw_only=True):
    """The periods that were created; those that existed before are not among them. `id`: the first month's."""

    id: UUID
    data: list[PeriodView]


class EntryLineInput(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Exactly one of `debit` and `credit`."""

    account: AccountRef
    debit: PositiveAmount | None = None
    credit: PositiveAmount | None = None
    text: Text = ""


class CreateEntryInput(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An entry by hand. In a closed period it moves to the first open day, or is refused with `strict_date`."""

    date: Date
    lines: Annotated[list[EntryLineInput], Meta(min_length=2, max_length=2000)]
    text: Text = ""
    strict_date: bool = False
    external_id: ExternalId | None = None


class ReverseEntryInput(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`date`: today unless given; not before the reversed entry's."""

    reason: Reason
    date: Date | None = None
    strict_date: bool = False


class EntryLineView(Struct, frozen=True, kw_only=True):
    line_no: int
    account: str
    debit: str
    credit: str
    party_id: UUID | None
    product_id: UUID | None
    text: str


class EntryView(Struct, frozen=True, kw_only=True):
    """`date` is the accounting date; it differs from `document_date` when that one's period was closed."""

    id: UUID
    version: int
    number: str
    journal: str
    date: Date
    document_date: Date
    date_shifted: bool
    period_id: UUID
    source_type: str
    source_id: UUID
    text: str
    total: str
    lines: list[EntryLineView]
    reverses_id: UUID | None
    reversed_by_id: UUID | None
    external_id: str | None
    created_by: UUID
    created_at: datetime


class EntrySummary(Struct, frozen=True, kw_only=True):
    """An entry in a list, without its lines. `total`: the sum of its debits."""

    id: UUID
    version: int
    number: str
    journal: str
    date: Date
    document_date: Date
    date_shifted: bool
    period_id: UUID
    source_type: str
    source_id: UUID
    text: str
    total: str
    reverses_id: UUID | None
    reversed_by_id: UUID | None
    external_id: str | None
    created_by: UUID
    created_at: datetime


class BalanceView(Struct, frozen=True, kw_only=True):
    """`balance` = debit - credit up to and including `as_of`."""

    account: str
    name: str
    type: AccountType
    debit: str
    credit: str
    balance: str


class AccountBalanceView(Struct, frozen=True, kw_only=True):
    as_of: Date
    currency: str
    account: str
    name: str
    type: AccountType
    debit: str
    credit: str
    balance: str


class TrialBalanceView(Struct, frozen=True, kw_only=True):
    """Every account that ever moved up to `as_of`, in the order of codes; `debit` = `credit` in the totals."""

    as_of: Date
    currency: str
    accounts: list[BalanceView]
    debit: str
    credit: str


class LedgerLineView(Struct, frozen=True, kw_only=True):
    """A line of the general ledger."""

    entry_id: UUID
    line_no: int
    date: Date
    number: str
    journal: str
    account: str
    debit: str
    credit: str
    party_id: UUID | None
    product_id: UUID | None
    source_type: str
    source_id: UUID
    text: str


class OpenItemView(Struct, frozen=True, kw_only=True):
    """What is still open of a posted document."""

    id: UUID
    version: int
    party_id: UUID
    side: Literal["receivable", "payable"]
    direction: Literal["debit", "credit"]
    document_type: str
    document_id: UUID
    document_number: str
    date: Date
    due_date: Date
    currency: str
    amount: str
    open_amount: str
    settled_on: Date | None
    created_at: datetime


class AgedPartyView(Struct, frozen=True, kw_only=True):
    """What one party owes (or is owed), by days past the due date on `as_of`; credit notes count negative."""

    party_id: UUID
    code: str
    name: str
    not_due: str
    days_1_30: str
    days_31_60: str
    days_61_90: str
    days_over_90: str
    total: str


class AgedView(Struct, frozen=True, kw_only=True):
    as_of: Date
    currency: str
    parties: list[AgedPartyView]
    not_due: str
    days_1_30: str
    days_31_60: str
    days_61_90: str
    days_over_90: str
    total: str
