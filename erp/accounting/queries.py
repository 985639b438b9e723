"""Balances and ageing, read from a replica. Closed periods come from their snapshots, the rest from the lines."""

from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Select,
    Subquery,
    Uuid,
    and_,
    bindparam,
    case,
    cast,
    func,
    not_,
    or_,
    select,
    union_all,
)
from sqlalchemy import Date as SqlDate

from db.statement import TENANT, Statement
from erp.accounting.models import accounts, allocations, balance_snapshots, journal_lines, open_items, periods
from erp.parties.models import parties


class BalanceRow(NamedTuple):
    code: str
    name: str
    type: str
    debit: Decimal
    credit: Decimal


class AgedRow(NamedTuple):
    """Amounts still open by days past the due date; credit notes negative."""

    party_id: UUID
    code: str
    name: str
    not_due: Decimal
    days_1_30: Decimal
    days_31_60: Decimal
    days_61_90: Decimal
    days_over_90: Decimal
    total: Decimal


_as_of = cast(bindparam("as_of"), SqlDate)
_no = cast(0, journal_lines.c.base_amount.type)

#: A snapshot stands for its whole period, so it serves only where the period has ended by the day asked for.
_summed_up = and_(periods.c.snapshot_at.is_not(None), periods.c.end_date <= _as_of)


def _movements(*of_account: ColumnElement[bool]) -> Subquery:
    """(account_code, debit, credit) per period up to the day, for the accounts that meet the conditions."""
    snapshots = (
        select(balance_snapshots.c.account_code, balance_snapshots.c.debit, balance_snapshots.c.credit)
        .join(periods, and_(periods.c.tenant_id == TENANT, periods.c.id == balance_snapshots.c.period_id, _summed_up))
        .join(accounts, and_(accounts.c.tenant_id == TENANT, accounts.c.code == balance_snapshots.c.account_code))
        .where(balance_snapshots.c.tenant_id == TENANT, *of_account)
    )
    # One range of journal_lines_by_account for each account and period without a snapshot.
    since = (
        select(
            func.sum(journal_lines.c.base_amount).filter(journal_lines.c.base_amount > 0).label("debit"),
            (-func.sum(journal_lines.c.base_amount).filter(journal_lines.c.base_amount < 0)).label("credit"),
        )
        .where(
            journal_lines.c.tenant_id == TENANT,
            journal_lines.c.account_code == accounts.c.code,
            journal_lines.c.date >= periods.c.start_date,
            journal_lines.c.date <= func.least(periods.c.end_date, _as_of),
        )
        .correlate(accounts, periods)
        .lateral("since")
    )
    lines = (
        select(accounts.c.code.label("account_code"), since.c.debit, since.c.credit)
        .select_from(
            accounts.join(
                periods, and_(periods.c.tenant_id == TENANT, periods.c.start_date <= _as_of, not_(_summed_up))
            ).join(since, func.coalesce(since.c.debit, since.c.credit).is_not(None))
        )
        .where(accounts.c.tenant_id == TENANT, *of_account)
    )
    return union_all(snapshots, lines).subquery("movements")


def _balances(movements: Subquery, *, outer: bool, of_account: tuple[ColumnElement[bool], ...] = ()) -> Select[Any]:
    debit = func.coalesce(func.sum(movements.c.debit), _no)
    credit = func.coalesce(func.sum(movements.c.credit), _no)
    return (
        select(accounts.c.code, accounts.c.name, accounts.c.type, debit, credit)
        .select_from(accounts.join(movements, movements.c.account_code == accounts.c.code, isouter=outer))
        .where(accounts.c.tenant_id == TENANT, *of_account)
        .group_by(accounts.c.tenant_id, accounts.c.code)
        .order_by(accounts.c.code)
    )


TRIAL_BALANCE: Statement[BalanceRow] = Statement(_balances(_movements(), outer=False), BalanceRow)

_one_account = accounts.c.id == bindparam("account_id", type_=Uuid)
ACCOUNT_BALANCE: Statement[BalanceRow] = Statement(
    _balances(_movements(_one_account), outer=True, of_account=(_one_account,)), BalanceRow
)


def _left_then() -> ColumnElement[Any]:
    """What was open of an item at the end of the day."""
    settled = (
        select(func.coalesce(func.sum(allocations.c.amount), _no))
        .where(
            allocations.c.tenant_id == TENANT,
            allocations.c.open_item_id == open_items.c.id,
            allocations.c.date <= _as_of,
        )
        .correlate(open_items)
        .scalar_subquery()
    )
    # When nothing happened to the item after the day, what is open now was open then.
    return case(
        (func.coalesce(open_items.c.last_allocated_on, _as_of) <= _as_of, open_items.c.open_amount),
        else_=open_items.c.amount - settled,
    )


def _aged(side: str, growing: str) -> Select[Any]:
    # Two ranges of two partial indexes; an item settled by the day asked for is in neither. A materialized CTE:
    # pulled up, the allocations would be summed again for every column that adds them.
    items = (
        select(
            open_items.c.party_id,
            (_as_of - open_items.c.due_date).label("late"),
            (case((open_items.c.direction == growing, 1), else_=-1) * _left_then()).label("left"),
        )
        .where(
            open_items.c.tenant_id == TENANT,
            open_items.c.side == side,
            open_items.c.date <= _as_of,
            or_(open_items.c.settled_on.is_(None), open_items.c.settled_on > _as_of),
        )
        .cte("items")
        .prefix_with("MATERIALIZED")
    )

    def bucket(condition: ColumnElement[bool]) -> ColumnElement[Any]:
        return func.coalesce(func.sum(items.c.left).filter(condition), _no)

    late = items.c.late
    ages = (late <= 0, late.between(1, 30), late.between(31, 60), late.between(61, 90), late > 90)
    return (
        select(
            items.c.party_id,
            parties.c.code,
            parties.c.name,
            *(bucket(age) for age in ages),
            func.sum(items.c.left),
        )
        .join(parties, and_(parties.c.tenant_id == TENANT, parties.c.id == items.c.party_id))
        .group_by(items.c.party_id, parties.c.code, parties.c.name)
        .having(func.bool_or(items.c.left != 0))
        .order_by(parties.c.code)
    )


AGED_RECEIVABLES: Statement[AgedRow] = Statement(_aged("receivable", "debit"), AgedRow)
AGED_PAYABLES: Statement[AgedRow] = Statement(_aged("payable", "credit"), AgedRow)
