"""What must be true of the ledger and its open items.

Receivables and payables are compared with the open items of their side: both move only together, because entries
by hand are refused on these accounts. A payment's part that settles no item is not among the open items; it sits on
the account for advances, which the payments slice proves against the payments.
"""

from typing import Final

from sqlalchemy import ColumnElement, Numeric, Select, and_, case, cast, func, or_, select

from db.statement import TENANT
from erp.accounting.models import (
    account_roles,
    allocations,
    balance_snapshots,
    journal_entries,
    journal_lines,
    open_items,
    periods,
)
from erp.accounting.proof_check import Check, check, evidence_row
from erp.numbering.audit import in_series, number_audit

_ZERO = cast(0, Numeric)
_lines = (
    select(
        journal_lines.c.entry_id,
        func.count().label("lines"),
        func.sum(journal_lines.c.base_amount).label("balance"),
    )
    .where(journal_lines.c.tenant_id == TENANT)
    .group_by(journal_lines.c.entry_id)
    .subquery("lines")
)

BALANCED = check(
    "entries-balanced",
    "Debits equal credits in every journal entry.",
    evidence_row("journal_entries", _lines.c.entry_id, "0", _lines.c.balance).where(_lines.c.balance != 0),
)

COMPLETE = check(
    "entries-complete",
    "Every journal entry has all of its lines, two at least.",
    evidence_row(
        "journal_entries",
        journal_entries.c.id,
        func.greatest(journal_entries.c.line_count, 2),
        func.coalesce(_lines.c.lines, 0),
    )
    .select_from(journal_entries.outerjoin(_lines, _lines.c.entry_id == journal_entries.c.id))
    .where(
        journal_entries.c.tenant_id == TENANT,
        func.coalesce(_lines.c.lines, 0) != func.greatest(journal_entries.c.line_count, 2),
    ),
)

_line_id = func.concat(journal_lines.c.entry_id, "/", journal_lines.c.line_no)
DATED = check(
    "entries-in-their-period",
    "Every line has the date of its entry, and the date lies in the entry's period.",
    evidence_row(
        "journal_lines",
        _line_id,
        func.concat(journal_entries.c.date, " in ", periods.c.start_date, "..", periods.c.end_date),
        journal_lines.c.date,
    )
    .select_from(
        journal_lines.join(
            journal_entries,
            and_(
                journal_entries.c.tenant_id == journal_lines.c.tenant_id,
                journal_entries.c.id == journal_lines.c.entry_id,
            ),
        ).join(
            periods,
            and_(periods.c.tenant_id == journal_entries.c.tenant_id, periods.c.id == journal_entries.c.period_id),
        )
    )
    .where(
        journal_lines.c.tenant_id == TENANT,
        or_(
            journal_lines.c.date != journal_entries.c.date,
            journal_entries.c.date < periods.c.start_date,
            journal_entries.c.date > periods.c.end_date,
        ),
    ),
)

CONVERTED = check(
    "lines-converted",
    "Every line's amount in the tenant's currency is its amount at its rate.",
    evidence_row(
        "journal_lines", _line_id, journal_lines.c.amount * journal_lines.c.rate, journal_lines.c.base_amount
    ).where(
        journal_lines.c.tenant_id == TENANT,
        # Half a unit of the coarsest currency: a converted amount is rounded to its own minor unit.
        func.abs(journal_lines.c.amount * journal_lines.c.rate - journal_lines.c.base_amount)
        > case((journal_lines.c.rate == 1, _ZERO), else_=cast(0.5, Numeric)),
    ),
)


def _snapshots() -> Select[tuple[object, ...]]:
    moved = (
        select(
            func.coalesce(func.sum(journal_lines.c.base_amount).filter(journal_lines.c.base_amount > 0), 0).label(
                "d"
            ),
            func.coalesce(-func.sum(journal_lines.c.base_amount).filter(journal_lines.c.base_amount < 0), 0).label(
                "c"
            ),
        )
        .where(
            journal_lines.c.tenant_id == TENANT,
            journal_lines.c.account_code == balance_snapshots.c.account_code,
            journal_lines.c.date.between(periods.c.start_date, periods.c.end_date),
        )
        .correlate(balance_snapshots, periods)
        .lateral("moved")
    )
    return (
        evidence_row(
            "balance_snapshots",
            func.concat(balance_snapshots.c.period_id, "/", balance_snapshots.c.account_code),
            func.concat(moved.c.d, " / ", moved.c.c),
            func.concat(balance_snapshots.c.debit, " / ", balance_snapshots.c.credit),
        )
        .select_from(
            balance_snapshots.join(
                periods,
                and_(
                    periods.c.tenant_id == balance_snapshots.c.tenant_id,
                    periods.c.id == balance_snapshots.c.period_id,
                    periods.c.snapshot_at.is_not(None),
                ),
            ).join(moved, or_(moved.c.d != balance_snapshots.c.debit, moved.c.c != balance_snapshots.c.credit))
        )
        .where(balance_snapshots.c.tenant_id == TENANT)
    )


SNAPSHOTS = check("snapshots", "A closed period's snapshot equals the sum of its lines.", _snapshots())


def _control(role: str, side: str) -> Check:
    """The control account against the open items of its side."""
    account = (
        select(account_roles.c.account_code)
        .where(account_roles.c.tenant_id == TENANT, account_roles.c.role == role)
        .scalar_subquery()
    )
    balance = (
        select(func.coalesce(func.sum(journal_lines.c.base_amount), _ZERO))
        .where(journal_lines.c.tenant_id == TENANT, journal_lines.c.account_code == account)
        .scalar_subquery()
    )
    signed = case((open_items.c.direction == "debit", open_items.c.open_amount), else_=-open_items.c.open_amount)
    still_open = (
        select(func.coalesce(func.sum(signed), _ZERO))
        .where(open_items.c.tenant_id == TENANT, open_items.c.side == side)
        .scalar_subquery()
    )
    both = select(account.label("account"), balance.label("balance"), still_open.label("open")).subquery("both")
    return check(
        f"{role}-account",
        f"The {role} account equals the {side} items that are open.",
        evidence_row("accounts", both.c.account, both.c.open, both.c.balance).where(both.c.open != both.c.balance),
    )


_settled = (
    select(
        allocations.c.open_item_id,
        func.sum(allocations.c.amount).label("amount"),
        func.max(allocations.c.date).label("last"),
    )
    .where(allocations.c.tenant_id == TENANT)
    .group_by(allocations.c.open_item_id)
    .subquery("settled")
)
_left: ColumnElement[object] = open_items.c.amount - func.coalesce(_settled.c.amount, _ZERO)

OPEN_AMOUNTS = check(
    "open-items",
    "What is open of an item is its amount less its allocations, and it is settled from the day of the last one.",
    evidence_row(
        "open_items",
        open_items.c.id,
        func.concat_ws(" settled ", _left, case((_left == 0, _settled.c.last))),
        func.concat_ws(" settled ", open_items.c.open_amount, open_items.c.settled_on),
    )
    .select_from(open_items.outerjoin(_settled, _settled.c.open_item_id == open_items.c.id))
    .where(
        open_items.c.tenant_id == TENANT,
        or_(
            open_items.c.open_amount != _left,
            open_items.c.settled_on.is_distinct_from(case((_left == 0, _settled.c.last))),
        ),
    ),
)

_original = allocations.alias("original")
TAKEN_BACK = check(
    "allocations-taken-back",
    "An allocation taken back is the opposite of the one that was made.",
    evidence_row("allocations", allocations.c.id, -_original.c.amount, allocations.c.amount)
    .select_from(
        allocations.join(
            _original,
            and_(_original.c.tenant_id == allocations.c.tenant_id, _original.c.id == allocations.c.reverses_id),
        )
    )
    .where(
        allocations.c.tenant_id == TENANT,
        or_(
            allocations.c.amount != -_original.c.amount,
            allocations.c.open_item_id != _original.c.open_item_id,
            allocations.c.counter_id != _original.c.counter_id,
        ),
    ),
)

_here = (
    select(allocations.c.open_item_id, allocations.c.counter_id, func.sum(allocations.c.amount).label("amount"))
    .where(allocations.c.tenant_id == TENANT, allocations.c.counter_type == "open_item")
    .group_by(allocations.c.open_item_id, allocations.c.counter_id)
)
_one, _other = _here.subquery("one"), _here.subquery("other")
PAIRED = check(
    "allocations-paired",
    "What a credit note settles of an invoice, the invoice settles of the credit note.",
    evidence_row("open_items", _one.c.open_item_id, func.coalesce(_other.c.amount, _ZERO), _one.c.amount)
    .select_from(
        _one.outerjoin(
            _other,
            and_(_other.c.open_item_id == _one.c.counter_id, _other.c.counter_id == _one.c.open_item_id),
        )
    )
    .where(_one.c.amount != func.coalesce(_other.c.amount, _ZERO)),
)

NUMBERS = check(
    "journal-numbers",
    "Journal entry numbers have no gap and no duplicate.",
    number_audit(
        "journal",
        select(journal_entries.c.number).where(
            journal_entries.c.tenant_id == TENANT, in_series(journal_entries.c.number, "journal")
        ),
    ),
)

CHECKS: Final[tuple[Check, ...]] = (
    BALANCED,
    COMPLETE,
    DATED,
    CONVERTED,
    SNAPSHOTS,
    _control("receivables", "receivable"),
    _control("payables", "payable"),
    OPEN_AMOUNTS,
    TAKEN_BACK,
    PAIRED,
    NUMBERS,
)
