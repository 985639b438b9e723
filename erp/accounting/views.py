"""From rows of the ledger to what reports and lists show. Pure."""

from collections.abc import Callable, Sequence
from datetime import date
from decimal import Decimal
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo

from db.clock import clock
from erp.accounting.entries import header
from erp.accounting.lists import EntryTotalRow, LedgerRow, OpenItemListRow
from erp.accounting.queries import AgedRow, BalanceRow
from erp.accounting.schemas import (
    AccountBalanceView,
    AgedPartyView,
    AgedView,
    BalanceView,
    EntrySummary,
    LedgerLineView,
    OpenItemView,
    TrialBalanceView,
)
from erp.kernel.money import money_text
from tenancy.caller import TenantFacts

_ZERO = Decimal(0)


def today(tenant: TenantFacts) -> date:
    """The business date in the tenant's time zone."""
    return clock.now().astimezone(ZoneInfo(tenant.time_zone)).date()


def trial_balance(rows: Sequence[BalanceRow], as_of: date, currency: str) -> TrialBalanceView:
    return TrialBalanceView(
        as_of=as_of,
        currency=currency,
        accounts=[BalanceView(**_balance(row, currency)) for row in rows],
        debit=money_text(sum((row.debit for row in rows), _ZERO), currency),
        credit=money_text(sum((row.credit for row in rows), _ZERO), currency),
    )


def account_balance(row: BalanceRow, as_of: date, currency: str) -> AccountBalanceView:
    return AccountBalanceView(as_of=as_of, currency=currency, **_balance(row, currency))


def _balance(row: BalanceRow, currency: str) -> dict[str, Any]:
    return {
        "account": row.code,
        "name": row.name,
        "type": row.type,
        "debit": money_text(row.debit, currency),
        "credit": money_text(row.credit, currency),
        "balance": money_text(row.debit - row.credit, currency),
    }


_BUCKETS = ("not_due", "days_1_30", "days_31_60", "days_61_90", "days_over_90", "total")


def aged(rows: Sequence[AgedRow], as_of: date, currency: str) -> AgedView:
    """The parties and the sums over them."""
    return AgedView(
        as_of=as_of,
        currency=currency,
        parties=[
            AgedPartyView(
                party_id=row.party_id,
                code=row.code,
                name=row.name,
                **{bucket: money_text(getattr(row, bucket), currency) for bucket in _BUCKETS},
            )
            for row in rows
        ],
        **{bucket: money_text(sum((getattr(row, bucket) for row in rows), _ZERO), currency) for bucket in _BUCKETS},
    )


@cache
def entry_summaries(currency: str) -> Callable[[EntryTotalRow], EntrySummary]:
    """The view of an entry in lists of a tenant with this currency."""

    def summary(row: EntryTotalRow) -> EntrySummary:
        return EntrySummary(**header(row.entry), total=money_text(row.total, currency))

    return summary


@cache
def ledger_lines(currency: str) -> Callable[[LedgerRow], LedgerLineView]:
    """The view of a line of the general ledger of a tenant with this currency."""

    def line(row: LedgerRow) -> LedgerLineView:
        return LedgerLineView(
            entry_id=row.entry_id,
            line_no=row.line_no,
            date=row.date,
            number=row.number,
            journal=row.journal,
            account=row.account_code,
            debit=money_text(max(row.base_amount, _ZERO), currency),
            credit=money_text(max(-row.base_amount, _ZERO), currency),
            party_id=row.party_id,
            product_id=row.product_id,
            source_type=row.source_type,
            source_id=row.source_id,
            text=row.text,
        )

    return line


def open_item_view(row: OpenItemListRow) -> OpenItemView:
    fields: dict[str, Any] = row._asdict()
    fields["amount"] = money_text(row.amount, row.currency)
    fields["open_amount"] = money_text(row.open_amount, row.currency)
    return OpenItemView(**fields)
