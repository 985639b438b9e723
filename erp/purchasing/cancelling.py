"""Cancelling a supplier's bill: a reversing entry in an open period, linked both ways.

What was received stays received and can be billed again. The bill's open item is settled by one of the same
amount on the other side.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from uuid import UUID

from db.identifiers import new_id
from erp.accounting.errors import ReversalTooEarly
from erp.accounting.open_items import (
    NewOpenItem,
    OpenItemRow,
    lock_items,
    new_item_row,
    pair,
    save_allocations,
    save_open_item,
)
from erp.accounting.posting import Ledger, Posting, ledger_loads, open_ledger, save_entry
from erp.kernel.errors import InvalidState, NotFound
from erp.kernel.money import money_text
from erp.numbering.service import take
from erp.purchasing.bill_schemas import CancelSupplierBillInput, SupplierBillView
from erp.purchasing.billing import SOURCE, postings_of, settle_orders, tell_bill
from erp.purchasing.errors import BillSettled
from erp.purchasing.repository import BILL, BILL_LINES, CANCEL_BILL, LOCK_BILL, LOCK_ORDERS, ORDER_LINES, move_lines
from erp.purchasing.rows import BillLineRow, BillRow, LineRow
from erp.purchasing.views import bill_view
from tenancy.locks import account_operation
from tenancy.work import UnitOfWork


async def cancel_bill(work: UnitOfWork, bill_id: UUID, data: CancelSupplierBillInput) -> SupplierBillView:
    """Raises NotFound, InvalidState, VersionConflict, BillSettled, ReversalTooEarly, PeriodClosed."""
    on = data.date or work.today
    peeked, rows = await work.peek(BILL(bill_id=bill_id), BILL_LINES(bill_id=bill_id))
    if not peeked:
        raise NotFound(bill_id=str(bill_id))
    order_ids = sorted({row.order_id for row in rows})
    await account_operation(work, [peeked[0].party_id])
    # Orders before bills: both are documents, and entering a bill locks its orders, too.
    periods, roles, orders, lines, [before], items = await work.load(
        *ledger_loads(on), LOCK_ORDERS(order_ids=order_ids), ORDER_LINES(order_ids=order_ids),
        LOCK_BILL(bill_id=bill_id), lock_items([bill_id]),
    )  # fmt: skip
    work.check_version(before.version)
    ledger = open_ledger(periods, roles, on, strict_date=data.strict_date)
    _check(before, items, ledger)
    after_lines = released(rows, lines)

    # A bill free of charge has no entry to reverse, and a number without an entry would be a gap.
    numbers = await take(work, ledger.date, "journal") if before.entry_id is not None else [""]
    bill = before._replace(
        state="cancelled", cancelled_on=ledger.date, cancel_reason=data.reason, version=before.version + 1,
        cancel_entry_id=new_id() if before.entry_id is not None else None,
    )  # fmt: skip
    _reverse(work, ledger, bill, rows, items, numbers[0])
    work.save(
        CANCEL_BILL(bill_id=bill_id, on=ledger.date, why=data.reason, reversal=bill.cancel_entry_id),
        move_lines(lines, after_lines),
    )
    settle_orders(work, orders, after_lines, "bill_cancelled")
    tell_bill(work, bill, "cancelled", before=before)
    return bill_view(bill, rows)


def _check(bill: BillRow, items: Sequence[OpenItemRow], ledger: Ledger) -> None:
    if bill.state != "posted":
        raise InvalidState(f"{bill.number} is {bill.state}.", state=bill.state)
    if ledger.date < bill.accounting_date:
        raise ReversalTooEarly(
            f"{bill.number} was posted on {bill.accounting_date}.", pointer="/date",
            date=bill.accounting_date.isoformat(),
        )  # fmt: skip
    for item in items:
        if item.open_amount != item.amount:
            raise BillSettled(
                f"{money_text(item.amount - item.open_amount, item.currency)} of {bill.number} is settled.",
                open_amount=money_text(item.open_amount, item.currency), open_item_id=str(item.id),
            )  # fmt: skip


def released(rows: Sequence[BillLineRow], lines: Sequence[LineRow]) -> list[LineRow]:
    """The orders' lines as if the bill had not been. Pure."""
    quantities: dict[UUID, Decimal] = {}
    values: dict[UUID, Decimal] = {}
    for row in rows:
        quantities[row.order_line_id] = quantities.get(row.order_line_id, Decimal(0)) + row.quantity
        values[row.order_line_id] = values.get(row.order_line_id, Decimal(0)) + row.receipt_value
    return [_released(line, quantities, values) for line in lines]


def _released(line: LineRow, quantities: Mapping[UUID, Decimal], values: Mapping[UUID, Decimal]) -> LineRow:
    if line.id not in quantities:
        return line
    return line._replace(billed=line.billed - quantities[line.id], billed_value=line.billed_value - values[line.id])


def _reverse(
    work: UnitOfWork,
    ledger: Ledger,
    bill: BillRow,
    rows: Sequence[BillLineRow],
    items: Sequence[OpenItemRow],
    number: str,
) -> None:
    """Queue the reversing entry and the open item that settles the bill's."""
    if bill.cancel_entry_id is None:
        return
    save_entry(
        work, ledger, entry_id=bill.cancel_entry_id, number=number, journal="purchases",
        postings=[
            Posting(line.account, -line.amount, line.party_id, line.product_id, line.text)
            for line in postings_of(bill, rows)
        ],
        source_type=SOURCE, source_id=bill.id, text=bill.cancel_reason, reverses_id=bill.entry_id,
    )  # fmt: skip
    for item in items:
        counter = NewOpenItem(
            id=new_id(), party_id=bill.party_id, side="payable", direction="debit",
            document_type="supplier_bill_cancellation", document_id=bill.cancel_entry_id, document_number=number,
            due_date=ledger.date, amount=item.amount, date=ledger.date,
        )  # fmt: skip
        save_open_item(work, counter)
        both = [item, new_item_row(counter, bill.currency)]
        save_allocations(work, both, pair(item.id, counter.id, item.amount, ledger.date))
