"""Journal entries by hand, and their reversal."""

from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from typing import Any
from uuid import UUID

from db.identifiers import new_id
from erp.accounting.errors import (
    EntryOfDocument,
    EntryReversed,
    ReversalTooEarly,
)
from erp.accounting.facts import check_accounts, named_accounts
from erp.accounting.posting import Ledger, Posting, check_balanced, ledger_loads, open_ledger, save_entry
from erp.accounting.repository import ENTRY, LINES, EntryRow, LineRow
from erp.accounting.schemas import CreateEntryInput, EntryLineInput, EntryLineView, EntryView, ReverseEntryInput
from erp.kernel.errors import Invalid, NotFound
from erp.kernel.money import money, money_text
from erp.numbering.service import take
from tenancy.trail import Event
from tenancy.work import UnitOfWork

#: `source_type` of an entry by hand; its `source_id` is the entry itself.
MANUAL = "manual"


async def create_entry(work: UnitOfWork, data: CreateEntryInput) -> EntryView:
    """Post an entry by hand: balanced, on active accounts that no sub-ledger keeps."""
    postings = [_posting(line, index, work.tenant.base_currency) for index, line in enumerate(data.lines)]
    check_balanced(postings)
    periods, roles, accounts = await work.load(
        *ledger_loads(data.date),
        named_accounts(line.account for line in data.lines),
    )
    check_accounts(accounts, ((line.account, f"/lines/{index}/account") for index, line in enumerate(data.lines)))
    ledger = open_ledger(periods, roles, data.date, strict_date=data.strict_date)
    return await _post(work, ledger, postings, text=data.text, external_id=data.external_id)


async def reverse_entry(work: UnitOfWork, entry_id: UUID, data: ReverseEntryInput) -> EntryView:
    """Post the opposite of an entry by hand, linked to it; an entry is reversed once."""
    on = data.date or work.today
    periods, roles, entries, lines = await work.load(*ledger_loads(on), ENTRY(id=entry_id), LINES(id=entry_id))
    if not entries:
        raise NotFound(entry_id=str(entry_id))
    [entry] = entries
    ledger = open_ledger(periods, roles, on, strict_date=data.strict_date)
    check_reversible(entry, ledger.date)
    opposite = [Posting(line.account_code, -line.base_amount, text=line.text) for line in lines]
    return await _post(work, ledger, opposite, text=data.reason, reverses=entry)


def check_reversible(entry: EntryRow, on: date) -> None:
    """Raises unless the entry was made by hand, is not a reversal, is not reversed yet and not later than `on`."""
    if entry.source_type != MANUAL:
        raise EntryOfDocument(
            f"{entry.number} belongs to a {entry.source_type.replace('_', ' ')}; reverse that instead.",
            source_type=entry.source_type, source_id=str(entry.source_id),
        )  # fmt: skip
    if entry.reverses_id is not None:
        raise EntryReversed(f"{entry.number} is itself a reversal; post the entry again instead.")
    if entry.reversed_by_id is not None:
        raise EntryReversed(f"{entry.number} is already reversed.", reversed_by_id=str(entry.reversed_by_id))
    if on < entry.date:
        raise ReversalTooEarly(f"{entry.number} is dated {entry.date}.", pointer="/date", date=entry.date.isoformat())


def _posting(line: EntryLineInput, index: int, currency: str) -> Posting:
    if (line.debit is None) == (line.credit is None):
        raise Invalid("A line has either a debit or a credit.", pointer=f"/lines/{index}")
    if line.debit is not None:
        amount = money(line.debit, currency, pointer=f"/lines/{index}/debit")
    else:
        amount = -money(line.credit or "0", currency, pointer=f"/lines/{index}/credit")
    return Posting(line.account, amount, text=line.text)


async def _post(
    work: UnitOfWork,
    ledger: Ledger,
    postings: Sequence[Posting],
    *,
    text: str,
    reverses: EntryRow | None = None,
    external_id: str | None = None,
) -> EntryView:
    [number] = await take(work, ledger.date, "journal")
    row = EntryRow(
        id=new_id(), number=number, journal="general", period_id=ledger.period_id, date=ledger.date,
        document_date=ledger.document_date, source_type=MANUAL, source_id=UUID(int=0), text=text,
        reverses_id=reverses.id if reverses else None, reversed_by_id=None, external_id=external_id,
        created_by=work.caller.principal_id, created_at=work.now,
    )  # fmt: skip
    row = row._replace(source_id=row.id)
    save_entry(
        work, ledger, entry_id=row.id, number=number, journal="general", postings=postings, source_type=MANUAL,
        source_id=row.id, text=text, reverses_id=row.reverses_id, external_id=external_id,
    )  # fmt: skip
    view = entry_view(row, lines_of(row.id, ledger, postings, work.tenant.base_currency), work.tenant.base_currency)
    facts = {"number": number, "date": ledger.date.isoformat(), "total": view.total, "text": text}
    if reverses:
        facts |= {"reverses_id": str(reverses.id), "reverses_number": reverses.number}
    work.publish(Event("journal_entry", row.id, 1, "journal_entry.posted", facts))
    work.audit(f"journal_entry.{'reverse' if reverses else 'create'}", "journal_entry", row.id, after=facts)
    return view


def lines_of(entry_id: UUID, ledger: Ledger, postings: Sequence[Posting], currency: str) -> list[LineRow]:
    """The rows `save_entry` writes for these postings."""
    return [
        LineRow(
            entry_id, line_no, ledger.account(posting.account), posting.amount, currency, Decimal(1), posting.amount,
            posting.party_id, posting.product_id, posting.text,
        )
        for line_no, posting in enumerate(postings, start=1)
    ]  # fmt: skip


def entry_view(entry: EntryRow, lines: Sequence[LineRow], currency: str) -> EntryView:
    return EntryView(
        **header(entry),
        total=money_text(sum((line.base_amount for line in lines if line.base_amount > 0), Decimal(0)), currency),
        lines=[
            EntryLineView(
                line_no=line.line_no, account=line.account_code,
                debit=money_text(max(line.base_amount, Decimal(0)), currency),
                credit=money_text(max(-line.base_amount, Decimal(0)), currency),
                party_id=line.party_id, product_id=line.product_id, text=line.text,
            )
            for line in lines
        ],
    )  # fmt: skip


def header(entry: EntryRow) -> dict[str, Any]:
    """The fields an entry shows with and without its lines; it never changes, so its version is 1."""
    return {**entry._asdict(), "version": 1, "date_shifted": entry.date != entry.document_date}
