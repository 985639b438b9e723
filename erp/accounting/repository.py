"""Write-side statements of the ledger: periods, entries, balance snapshots."""

from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Integer,
    Numeric,
    Select,
    Text,
    Uuid,
    bindparam,
    cast,
    delete,
    exists,
    func,
    insert,
    select,
    update,
)
from sqlalchemy import Date as SqlDate
from sqlalchemy.dialects.postgresql import insert as upsert

from db.statement import TENANT, Statement, rows_of
from erp.accounting.models import (
    account_roles,
    accounts,
    balance_snapshots,
    journal_entries,
    journal_lines,
    periods,
)
from erp.kernel.text import Date


class PeriodRow(NamedTuple):
    """The first open period that ends on or after the date asked for; `covered`: some period holds that date.

    `asked`: that date, where the statement found it by itself.
    """

    id: UUID
    start_date: Date
    end_date: Date
    covered: bool
    asked: Date | None = None


class RoleRow(NamedTuple):
    role: str
    account: str


class PeriodState(NamedTuple):
    id: UUID
    start_date: Date
    end_date: Date
    state: str
    reason: str
    snapshot_at: datetime | None
    version: int
    created_at: datetime


class EntryRow(NamedTuple):
    id: UUID
    number: str
    journal: str
    period_id: UUID
    date: Date
    document_date: Date
    source_type: str
    source_id: UUID
    text: str
    reverses_id: UUID | None
    reversed_by_id: UUID | None
    external_id: str | None
    created_by: UUID
    created_at: datetime


class LineRow(NamedTuple):
    entry_id: UUID
    line_no: int
    account_code: str
    amount: Decimal
    currency: str
    rate: Decimal
    base_amount: Decimal
    party_id: UUID | None
    product_id: UUID | None
    text: str


#: One gate a tenant. Postings pass it shared, a closing takes it alone: unlike row locks it is first come, first
#: served, so a closing is not overtaken for ever by postings that each share the period's row with the last.
_gate = func.hashtextextended(cast(TENANT, Text), 40)
_on = cast(bindparam("on"), SqlDate)
_holder = periods.alias("holder")


def _first_open(on: ColumnElement[Any]) -> Select[Any]:
    return (
        select(
            periods.c.id,
            periods.c.start_date,
            periods.c.end_date,
            exists().where(_holder.c.tenant_id == TENANT, _holder.c.start_date <= on, _holder.c.end_date >= on),
        )
        .where(periods.c.tenant_id == TENANT, periods.c.end_date >= on, periods.c.state == "open")
        .order_by(periods.c.start_date)
        .limit(1)
    )


def _locked(period: Select[Any]) -> Statement[PeriodRow]:
    gate = func.pg_advisory_xact_lock_shared(_gate).alias("gate")
    return Statement(period.select_from(gate, periods).with_for_update(read=True, of=periods), PeriodRow)


def open_period_on(day: ColumnElement[Any]) -> Statement[PeriodRow]:
    """As OPEN_PERIOD for a day that the statement reads itself: `asked` tells which it was."""
    return _locked(_first_open(day).add_columns(day))


#: FOR SHARE: a period cannot be closed under a posting. A row whose closing commits while we wait drops out
#: (the state is read again under the lock) and the next open period takes its place.
OPEN_PERIOD: Statement[PeriodRow] = _locked(_first_open(_on))
#: The same without a lock, for what is only looked at.
SHOWN_PERIOD: Statement[PeriodRow] = Statement(_first_open(_on), PeriodRow)

ROLES: Statement[RoleRow] = Statement(
    select(account_roles.c.role, account_roles.c.account_code).where(account_roles.c.tenant_id == TENANT), RoleRow
)

CLOSE_GATE: Statement[tuple[None]] = Statement(select(func.pg_advisory_xact_lock(_gate)))

LOCK_PERIOD: Statement[PeriodState] = Statement(
    select(*(periods.c[name] for name in PeriodState._fields))
    .where(periods.c.tenant_id == TENANT, periods.c.id == bindparam("id", type_=Uuid))
    .with_for_update(),
    PeriodState,
)

SET_PERIOD: Statement[tuple[()]] = Statement(
    update(periods)
    .where(periods.c.tenant_id == TENANT, periods.c.id == bindparam("period_id", type_=Uuid))
    .values(
        state=bindparam("new_state"), reason=bindparam("new_reason"), snapshot_at=None, version=periods.c.version + 1
    )
)

FIRST_PERIOD: Statement[PeriodState] = Statement(
    select(*(periods.c[name] for name in PeriodState._fields)).where(
        periods.c.tenant_id == TENANT, periods.c.start_date == bindparam("start", type_=SqlDate)
    ),
    PeriodState,
)

_month = rows_of(ids=Uuid, starts=SqlDate, ends=SqlDate)
ADD_PERIODS: Statement[PeriodState] = Statement(
    upsert(periods)
    .from_select(
        ["tenant_id", "id", "start_date", "end_date", "state"],
        select(cast(TENANT, Uuid), _month.c.ids, _month.c.starts, _month.c.ends, cast("open", Text)),
    )
    .on_conflict_do_nothing(index_elements=["tenant_id", "start_date"])
    .returning(*(periods.c[name] for name in PeriodState._fields)),
    PeriodState,
)

ADD_ENTRY: Statement[tuple[()]] = Statement(
    insert(journal_entries).values(
        tenant_id=TENANT,
        **{
            name: bindparam(name)
            for name in (
                "id", "number", "journal", "period_id", "date", "document_date", "source_type", "source_id", "text",
                "line_count", "reverses_id", "external_id", "created_by", "created_at",
            )
        },
    )
)  # fmt: skip

_line = rows_of(line_nos=Integer, accounts=Text, amounts=Numeric, parties=Uuid, products=Uuid, texts=Text)
ADD_LINES: Statement[tuple[()]] = Statement(
    insert(journal_lines).from_select(
        ["tenant_id", "entry_id", "date", "currency", "rate", "base_amount",
         "line_no", "account_code", "amount", "party_id", "product_id", "text"],
        select(
            cast(TENANT, Uuid), cast(bindparam("entry_id"), Uuid), cast(bindparam("date"), SqlDate),
            cast(bindparam("currency"), Text), cast(1, Numeric), _line.c.amounts,
            _line.c.line_nos, _line.c.accounts, _line.c.amounts, _line.c.parties, _line.c.products, _line.c.texts,
        ),
    )
)  # fmt: skip

_reversal = journal_entries.alias("reversal")
ENTRY_COLUMNS = (
    journal_entries.c.id, journal_entries.c.number, journal_entries.c.journal, journal_entries.c.period_id,
    journal_entries.c.date, journal_entries.c.document_date, journal_entries.c.source_type,
    journal_entries.c.source_id, journal_entries.c.text, journal_entries.c.reverses_id,
    select(_reversal.c.id)
    .where(_reversal.c.tenant_id == journal_entries.c.tenant_id, _reversal.c.reverses_id == journal_entries.c.id)
    .scalar_subquery().label("reversed_by_id"),
    journal_entries.c.external_id, journal_entries.c.created_by, journal_entries.c.created_at,
)  # fmt: skip

#: No lock: an entry never changes, and the unique index on reverses_id decides between two reversals.
ENTRY: Statement[EntryRow] = Statement(
    select(*ENTRY_COLUMNS).where(
        journal_entries.c.tenant_id == TENANT, journal_entries.c.id == bindparam("id", type_=Uuid)
    ),
    EntryRow,
)

LINES: Statement[LineRow] = Statement(
    select(*(journal_lines.c[name] for name in LineRow._fields))
    .where(journal_lines.c.tenant_id == TENANT, journal_lines.c.entry_id == bindparam("id", type_=Uuid))
    .order_by(journal_lines.c.line_no),
    LineRow,
)

DROP_SNAPSHOT: Statement[tuple[()]] = Statement(
    delete(balance_snapshots).where(
        balance_snapshots.c.tenant_id == TENANT, balance_snapshots.c.period_id == bindparam("period_id", type_=Uuid)
    )
)

_moved = (
    select(
        func.sum(journal_lines.c.base_amount).filter(journal_lines.c.base_amount > 0).label("debit"),
        (-func.sum(journal_lines.c.base_amount).filter(journal_lines.c.base_amount < 0)).label("credit"),
        func.count().label("lines"),
    )
    .where(
        journal_lines.c.tenant_id == TENANT,
        journal_lines.c.account_code == accounts.c.code,
        journal_lines.c.date >= cast(bindparam("start"), SqlDate),
        journal_lines.c.date <= cast(bindparam("end"), SqlDate),
    )
    .correlate(accounts)
    .lateral("moved")
)
ADD_SNAPSHOT: Statement[tuple[()]] = Statement(
    insert(balance_snapshots).from_select(
        ["tenant_id", "period_id", "account_code", "debit", "credit"],
        select(
            cast(TENANT, Uuid),
            cast(bindparam("period_id"), Uuid),
            accounts.c.code,
            func.coalesce(_moved.c.debit, 0),
            func.coalesce(_moved.c.credit, 0),
        )
        .select_from(accounts.join(_moved, _moved.c.lines > 0))
        .where(accounts.c.tenant_id == TENANT),
    )
)

MARK_SNAPSHOT: Statement[tuple[()]] = Statement(
    update(periods)
    .where(periods.c.tenant_id == TENANT, periods.c.id == bindparam("period_id", type_=Uuid))
    .values(snapshot_at=bindparam("at"))
)
