"""Credit notes of a posted invoice: at its original amounts and tax, never more than was invoiced."""

from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from uuid import UUID

from erp.accounting.open_items import (
    NewOpenItem,
    OpenItemRow,
    check_settles,
    lock_items,
    new_item_row,
    pair,
    save_allocations,
)
from erp.accounting.posting import ledger_loads, open_ledger
from erp.invoicing.document import draft_rows, invoice_view
from erp.invoicing.errors import NothingToCredit, OverCredit
from erp.invoicing.new import NewInvoice, NewInvoiceLine
from erp.invoicing.repository import CREDITED, LINES, LOCK_INVOICE, CreditedRow, InvoiceRow, LineRow
from erp.invoicing.saving import add_document, add_lines, book, post, tell
from erp.invoicing.schemas import CreditInvoiceInput, CreditLineInput, InvoiceView
from erp.kernel.errors import InvalidState, NotFound, UnknownReference
from erp.kernel.money import EXACT, round_money
from erp.kernel.quantity import quantity_text
from erp.kernel.text import decimal
from erp.numbering.service import take
from erp.pricing.tax import PricedLine
from tenancy.locks import account_operation
from tenancy.work import UnitOfWork

_ZERO = Decimal(0)


async def credit_invoice(work: UnitOfWork, invoice_id: UUID, data: CreditInvoiceInput) -> InvoiceView:
    """Post a credit note of an invoice, linked both ways, and settle what is open of the invoice with it."""
    on = data.date or work.today
    await account_operation(work, [invoice_id])
    periods, roles, found, lines, credited, items = await work.load(
        *ledger_loads(on),
        LOCK_INVOICE(invoice_id=invoice_id),
        LINES(invoice_id=invoice_id),
        CREDITED(invoice_id=invoice_id),
        lock_items([invoice_id]),
    )
    invoice = _creditable(found, invoice_id)
    ledger = open_ledger(periods, roles, on, strict_date=data.strict_date)
    new = credit_of(
        invoice,
        credit_lines(lines, credited, wanted_of(data.lines), invoice.currency, named_at(data.lines)),
        data,
        on,
    )
    draft, credit_rows = draft_rows(work, new)
    for item in items:
        check_settles(
            item, party_id=invoice.party_id, side="receivable", direction="debit", on=ledger.date, pointer="/date"
        )
    booked = book(work, ledger, draft, credit_rows)
    add_lines(work, booked.row, credit_rows)
    [number] = await take(work, ledger.date, "credit_note")
    row, credit_item = post(work, ledger, booked, number)
    add_document(work, row)
    settled = _settle(work, items, credit_item, ledger.date) if data.allocate else _ZERO
    tell(work, row, "posted", reason=data.reason)
    return invoice_view(row, credit_rows, row.gross - settled)


def wanted_of(lines: Sequence[CreditLineInput] | None) -> dict[int, Decimal] | None:
    """Line number -> quantity to credit, a line named twice added up; None for everything."""
    if lines is None:
        return None
    wanted: dict[int, Decimal] = {}
    for line in lines:
        wanted[line.line_no] = wanted.get(line.line_no, _ZERO) + decimal(line.quantity)
    return wanted


def named_at(lines: Sequence[CreditLineInput] | None) -> dict[int, str]:
    """Line number -> where the request names it, the last of several times."""
    return {line.line_no: f"/lines/{index}" for index, line in enumerate(lines or ())}


def credit_lines(
    lines: Sequence[LineRow],
    credited: Sequence[CreditedRow],
    wanted: Mapping[int, Decimal] | None,
    currency: str,
    at: Mapping[int, str],
) -> list[NewInvoiceLine]:
    """The lines of the credit note. Pure. Raises OverCredit and UnknownReference as `at` says, NothingToCredit.

    Amounts are the share of the original line that is credited after this note, less what was credited before:
    however often a line is credited in parts, the last part takes exactly the rest.
    """
    before = {row.line_no: row for row in credited}
    if wanted is None:
        wanted = {line.line_no: left for line in lines if (left := line.quantity - _done(before, line))}
        if not wanted:
            raise NothingToCredit
    known = {line.line_no: line for line in lines}
    for line_no in wanted:
        if line_no not in known:
            raise UnknownReference(
                f"The invoice has no line {line_no}.", pointer=f"{at[line_no]}/line_no", line_no=line_no
            )
    return [
        _credit(known[line_no], before, quantity, currency, at.get(line_no))
        for line_no, quantity in sorted(wanted.items())
    ]


def _done(before: Mapping[int, CreditedRow], line: LineRow) -> Decimal:
    return before[line.line_no].quantity if line.line_no in before else _ZERO


def _credit(
    line: LineRow, before: Mapping[int, CreditedRow], quantity: Decimal, currency: str, at: str | None
) -> NewInvoiceLine:
    done = before.get(line.line_no, CreditedRow(line.line_no, _ZERO, _ZERO, _ZERO))
    after = done.quantity + quantity
    if after > line.quantity:
        left = line.quantity - done.quantity
        raise OverCredit(
            f"Line {line.line_no}: {quantity_text(quantity)} would be credited, {quantity_text(left)} can be.",
            pointer=f"{at}/quantity" if at else None, line_no=line.line_no, invoiced=quantity_text(line.quantity),
            creditable=quantity_text(left),
        )  # fmt: skip
    net = _share(line.net, after, line.quantity, currency) - done.net
    tax = _share(line.tax, after, line.quantity, currency) - done.tax
    return NewInvoiceLine(
        product_id=line.product_id, description=line.description, quantity=quantity, unit_price=line.unit_price,
        tax_rate=line.tax_rate, discount_percent=line.discount_percent, tax_group_id=line.tax_group_id,
        unit_code=line.unit_code, account=line.account, source_line_id=line.source_line_id,
        credits_line_no=line.line_no, priced=PricedLine(net, tax, net + tax),
    )  # fmt: skip


def _share(amount: Decimal, part: Decimal, whole: Decimal, currency: str) -> Decimal:
    return amount if part == whole else round_money(EXACT.divide(EXACT.multiply(amount, part), whole), currency)


def credit_of(invoice: InvoiceRow, lines: Sequence[NewInvoiceLine], data: CreditInvoiceInput, on: date) -> NewInvoice:
    return NewInvoice(
        party_id=invoice.party_id, date=on, lines=lines, kind="credit_note",
        prices_include_tax=invoice.prices_include_tax,
        tax_rounding="document" if invoice.tax_rounding == "document" else "line",
        order_id=invoice.order_id, credits_id=invoice.id, external_id=data.external_id, text=data.reason,
    )  # fmt: skip


def _creditable(found: Sequence[InvoiceRow], invoice_id: UUID) -> InvoiceRow:
    if not found:
        raise NotFound(invoice_id=str(invoice_id))
    [row] = found
    if row.state != "posted" or row.kind != "invoice":
        raise InvalidState(
            f"Only a posted invoice is credited; this is a {row.state} {row.kind.replace('_', ' ')}.",
            state=row.state, kind=row.kind,
        )  # fmt: skip
    return row


def _settle(work: UnitOfWork, items: Sequence[OpenItemRow], credit: NewOpenItem | None, on: date) -> Decimal:
    """Settle the invoice's item with the credit note's as far as both go; how much that was."""
    if credit is None or not items or not items[0].open_amount:
        return _ZERO
    [item] = items
    amount = min(item.open_amount, credit.amount)
    both = [item, new_item_row(credit, item.currency)]
    save_allocations(work, both, pair(item.id, credit.id, amount, on))
    return amount
