"""Lists and single records of the ledger, read from a replica."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, Uuid, and_, bindparam, func, select

from db.statement import TENANT, Statement
from erp.accounting.accounts_repository import ACCOUNT_COLUMNS, AccountRow
from erp.accounting.models import accounts, journal_entries, journal_lines, open_items, periods
from erp.accounting.repository import ENTRY_COLUMNS, EntryRow, PeriodState
from erp.http.filters import Filter, Parameter, eq, in_, prefix, span
from erp.http.listing import Listing
from erp.kernel.errors import Invalid
from erp.kernel.text import Date


class EntryTotalRow(NamedTuple):
    """An entry and the sum of its debits."""

    entry: EntryRow
    total: Decimal


class LedgerRow(NamedTuple):
    entry_id: UUID
    line_no: int
    date: Date
    number: str
    journal: str
    account_code: str
    base_amount: Decimal
    party_id: UUID | None
    product_id: UUID | None
    source_type: str
    source_id: UUID
    text: str


class OpenItemListRow(NamedTuple):
    id: UUID
    version: int
    party_id: UUID
    side: str
    direction: str
    document_type: str
    document_id: UUID
    document_number: str
    date: Date
    due_date: Date
    currency: str
    amount: Decimal
    open_amount: Decimal
    settled_on: Date | None
    created_at: datetime


def _only_open() -> Filter:
    """`?open=true`. Not a comparison with a parameter: the condition itself has to match the partial index."""

    def parse(text: str) -> bool:
        if text != "true":
            raise Invalid("`open` is `true` or left out.", pointer="open", source="query")
        return True

    def build(name: str, column: ColumnElement[Any]) -> Sequence[Parameter]:
        return (
            Parameter(name, "only_open", column.is_(None), parse, bool, "Only items with something open: `true`."),
        )

    return Filter(open_items.c.settled_on, build)


def _entry_total(*columns: object) -> EntryTotalRow:
    return EntryTotalRow(EntryRow(*columns[:-1]), columns[-1])  # type: ignore[arg-type]


_accounts = select(*ACCOUNT_COLUMNS).where(accounts.c.tenant_id == TENANT)
ACCOUNT: Statement[AccountRow] = Statement(
    _accounts.where(accounts.c.id == bindparam("account_id", type_=Uuid)), AccountRow
)
ACCOUNTS: Listing[AccountRow] = Listing(
    select=_accounts,
    row=AccountRow,
    key=accounts.c.id,
    sorts={"code": accounts.c.code},
    default="code",
    filters={
        "code": (eq(accounts.c.code), prefix(accounts.c.code)),
        "type": in_(accounts.c.type),
        "active": eq(accounts.c.active),
        "external_id": eq(accounts.c.external_id),
    },
)

_periods = select(*(periods.c[name] for name in PeriodState._fields)).where(periods.c.tenant_id == TENANT)
PERIOD: Statement[PeriodState] = Statement(
    _periods.where(periods.c.id == bindparam("period_id", type_=Uuid)), PeriodState
)
PERIODS: Listing[PeriodState] = Listing(
    select=_periods,
    row=PeriodState,
    key=periods.c.id,
    sorts={"start_date": periods.c.start_date},
    default="start_date",
    filters={
        "state": in_(periods.c.state),
        "start_date": (eq(periods.c.start_date), span(periods.c.start_date)),
        "end_date": (eq(periods.c.end_date), span(periods.c.end_date)),
    },
)

_debits = (
    select(func.coalesce(func.sum(journal_lines.c.base_amount), 0))
    .where(
        journal_lines.c.tenant_id == journal_entries.c.tenant_id,
        journal_lines.c.entry_id == journal_entries.c.id,
        journal_lines.c.base_amount > 0,
    )
    .scalar_subquery()
)
ENTRIES: Listing[EntryTotalRow] = Listing(
    select=select(*ENTRY_COLUMNS, _debits.label("total")).where(journal_entries.c.tenant_id == TENANT),
    row=_entry_total,
    key=journal_entries.c.id,
    sorts={"date": journal_entries.c.date, "number": journal_entries.c.number},
    default="-date",
    filters={
        "date": (eq(journal_entries.c.date), span(journal_entries.c.date)),
        "number": (eq(journal_entries.c.number), prefix(journal_entries.c.number)),
        "journal": in_(journal_entries.c.journal),
        "source_type": in_(journal_entries.c.source_type),
        "source_id": eq(journal_entries.c.source_id),
        "external_id": eq(journal_entries.c.external_id),
    },
)

#: One account, in the order of its index.
LEDGER: Listing[LedgerRow] = Listing(
    select=select(
        journal_lines.c.entry_id, journal_lines.c.line_no, journal_lines.c.date, journal_entries.c.number,
        journal_entries.c.journal, journal_lines.c.account_code, journal_lines.c.base_amount,
        journal_lines.c.party_id, journal_lines.c.product_id, journal_entries.c.source_type,
        journal_entries.c.source_id, journal_lines.c.text,
    )
    .select_from(
        journal_lines.join(
            journal_entries,
            and_(journal_entries.c.tenant_id == TENANT, journal_entries.c.id == journal_lines.c.entry_id),
        )
    )
    .where(
        journal_lines.c.tenant_id == TENANT,
        journal_lines.c.account_code
        == select(accounts.c.code)
        .where(accounts.c.tenant_id == TENANT, accounts.c.id == bindparam("account_id", type_=Uuid))
        .scalar_subquery(),
    ),
    row=LedgerRow,
    key=journal_lines.c.position,
    sorts={"date": journal_lines.c.date},
    default="date",
    filters={
        "date": (eq(journal_lines.c.date), span(journal_lines.c.date)),
        "party_id": eq(journal_lines.c.party_id),
        "product_id": eq(journal_lines.c.product_id),
        "journal": in_(journal_entries.c.journal),
    },
)  # fmt: skip

_items = select(*(open_items.c[name] for name in OpenItemListRow._fields)).where(open_items.c.tenant_id == TENANT)
OPEN_ITEM: Statement[OpenItemListRow] = Statement(
    _items.where(open_items.c.id == bindparam("open_item_id", type_=Uuid)), OpenItemListRow
)
OPEN_ITEMS: Listing[OpenItemListRow] = Listing(
    select=_items,
    row=OpenItemListRow,
    key=open_items.c.id,
    sorts={"due_date": open_items.c.due_date},
    default="due_date",
    filters={
        "party_id": in_(open_items.c.party_id),
        "side": eq(open_items.c.side),
        "direction": eq(open_items.c.direction),
        "document_id": in_(open_items.c.document_id),
        "document_number": eq(open_items.c.document_number),
        "due_date": (eq(open_items.c.due_date), span(open_items.c.due_date)),
        "date": span(open_items.c.date),
        "open": _only_open(),
    },
)
