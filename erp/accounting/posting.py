"""How any slice posts to the ledger: load the period and the roles, open the ledger, save an entry.

periods, roles, *rest = await work.load(*ledger_loads(on), ...)
ledger = open_ledger(periods, roles, on)
save_entry(work, ledger, entry_id=..., number=..., journal="sales", postings=[...], ...)
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Literal
from uuid import UUID

import msgspec

from db.statement import Bound
from erp.accounting.errors import (
    AccountRoleMissing,
    EntryTooShort,
    EntryUnbalanced,
    NoOpenPeriod,
    NoPeriod,
    PeriodClosed,
    RoundingTooLarge,
)
from erp.accounting.repository import (
    ADD_ENTRY,
    ADD_LINES,
    OPEN_PERIOD,
    ROLES,
    SHOWN_PERIOD,
    PeriodRow,
    RoleRow,
    open_period_on,
)
from erp.kernel.money import exponent, round_money
from tenancy.work import UnitOfWork

__all__ = [
    "Journal",
    "Ledger",
    "PeriodRow",
    "Posting",
    "RoleRow",
    "dated_ledger_loads",
    "ledger_loads",
    "open_ledger",
    "open_period_on",
    "rounded",
    "save_entry",
    "save_heading",
    "save_lines",
    "shown_ledger_loads",
]

Journal = Literal["sales", "purchases", "stock", "bank", "general"]


class Posting(msgspec.Struct, frozen=True):
    """One line of an entry in the tenant's currency, already rounded: debit > 0, credit < 0, never 0.

    `account` is an account code or `@role` ("@receivables").
    """

    account: str
    amount: Decimal
    party_id: UUID | None = None
    product_id: UUID | None = None
    text: str = ""


@dataclass(frozen=True, slots=True)
class Ledger:
    """Permission to post: an open period, share-locked until the transaction ends, and the chart's roles.

    `date` is the accounting date; it differs from `document_date` when that one's period is closed.
    """

    document_date: date
    date: date
    period_id: UUID
    roles: Mapping[str, str]

    @property
    def date_shifted(self) -> bool:
        return self.date != self.document_date

    def account(self, name: str) -> str:
        """The account code of `@role`; a code is returned as it is."""
        if not name.startswith("@"):
            return name
        try:
            return self.roles[name[1:]]
        except KeyError:
            raise AccountRoleMissing(f"The chart of accounts has no account for {name}.", role=name[1:]) from None


def ledger_loads(on: date) -> tuple[Bound[PeriodRow], Bound[RoleRow]]:
    """Put these first in the command's load: the period comes first in the global lock order."""
    return OPEN_PERIOD(on=on), ROLES()


def dated_ledger_loads(period: Bound[PeriodRow]) -> tuple[Bound[PeriodRow], Bound[RoleRow]]:
    """The same where the period's statement (`open_period_on`) reads the date of what is posted."""
    return period, ROLES()


def shown_ledger_loads(on: date) -> tuple[Bound[PeriodRow], Bound[RoleRow]]:
    """The same for a read that only shows what would be posted: nothing is locked."""
    return SHOWN_PERIOD(on=on), ROLES()


def open_ledger(
    periods: Sequence[PeriodRow], roles: Sequence[RoleRow], on: date, *, strict_date: bool = False
) -> Ledger:
    """The ledger for a document dated `on`.

    A date in a closed period moves to the first open day after it; with `strict_date` it is refused.
    """
    if not periods:
        raise NoOpenPeriod(f"No accounting period is open on or after {on}.", date=on.isoformat())
    [period] = periods
    if period.start_date <= on:
        accounting_date = on
    elif not period.covered:
        raise NoPeriod(f"No accounting period holds {on}.", date=on.isoformat())
    elif strict_date:
        raise PeriodClosed(
            f"The period of {on} is closed.", date=on.isoformat(), first_open_date=period.start_date.isoformat()
        )
    else:
        accounting_date = period.start_date
    return Ledger(on, accounting_date, period.id, {row.role: row.account for row in roles})


def save_entry(
    work: UnitOfWork,
    ledger: Ledger,
    *,
    entry_id: UUID,
    number: str,
    journal: Journal,
    postings: Sequence[Posting],
    source_type: str,
    source_id: UUID,
    text: str = "",
    reverses_id: UUID | None = None,
    external_id: str | None = None,
) -> None:
    """Queue one balanced entry: its lines and its heading. Raises what `save_lines` raises."""
    save_lines(work, ledger, entry_id, postings)
    save_heading(
        work, ledger, entry_id=entry_id, number=number, journal=journal, line_count=len(postings),
        source_type=source_type, source_id=source_id, text=text, reverses_id=reverses_id, external_id=external_id,
    )  # fmt: skip


def save_lines(work: UnitOfWork, ledger: Ledger, entry_id: UUID, postings: Sequence[Posting]) -> None:
    """Queue the lines: posting `i` becomes line `i + 1`. One statement, however many lines.

    They bear no number: where others wait for it, queue them before it is taken. The database looks for their heading
    when the transaction commits.

    Raises EntryTooShort and EntryUnbalanced (the database checks both again at COMMIT), and ValueError for an amount
    with more decimals than the currency has.
    """
    check_balanced(postings)
    amounts = [posting.amount for posting in postings]
    currency = work.tenant.base_currency
    if any(round_money(amount, currency) != amount for amount in amounts):
        raise ValueError(f"entry {entry_id}: amounts are rounded to {currency} before they are posted")
    work.save(
        ADD_LINES(
            entry_id=entry_id, date=ledger.date, currency=currency,
            line_nos=list(range(1, len(postings) + 1)),
            accounts=[ledger.account(posting.account) for posting in postings],
            amounts=amounts,
            parties=[posting.party_id for posting in postings],
            products=[posting.product_id for posting in postings],
            texts=[posting.text for posting in postings],
        )
    )  # fmt: skip


def save_heading(
    work: UnitOfWork,
    ledger: Ledger,
    *,
    entry_id: UUID,
    number: str,
    journal: Journal,
    line_count: int,
    source_type: str,
    source_id: UUID,
    text: str = "",
    reverses_id: UUID | None = None,
    external_id: str | None = None,
) -> None:
    """Queue what makes lines queued by `save_lines` an entry."""
    work.save(
        ADD_ENTRY(
            id=entry_id, number=number, journal=journal, period_id=ledger.period_id, date=ledger.date,
            document_date=ledger.document_date, source_type=source_type, source_id=source_id, text=text,
            line_count=line_count, reverses_id=reverses_id, external_id=external_id,
            created_by=work.caller.principal_id, created_at=work.now,
        )
    )  # fmt: skip


def check_balanced(postings: Sequence[Posting]) -> None:
    if len(postings) < 2:
        raise EntryTooShort(lines=len(postings))
    if any(not posting.amount.is_finite() or not posting.amount for posting in postings):
        raise EntryUnbalanced("Every line of an entry needs an amount other than zero.")
    if difference := sum((posting.amount for posting in postings), Decimal(0)):
        raise EntryUnbalanced(f"Debits exceed credits by {difference}.", difference=str(difference))


def rounded(postings: Sequence[Posting], currency: str, *, lines: int) -> list[Posting]:
    """The postings, closed by a line on @rounding where rounding left a difference.

    At most `lines` x half a minor unit: a larger difference is a mistake and is refused.
    """
    difference = sum((posting.amount for posting in postings), Decimal(0))
    if not difference:
        return list(postings)
    largest = lines * Decimal(1).scaleb(-exponent(currency)) / 2
    if abs(difference) > largest:
        raise RoundingTooLarge(
            f"The document differs by {difference}; rounding explains at most {largest}.",
            difference=str(difference),
            largest=str(largest),
        )
    return [*postings, Posting("@rounding", -difference, text="Rounding")]
