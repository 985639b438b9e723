"""From a new invoice to its stored rows, its ledger postings and its view. Pure."""

from collections.abc import Iterable, Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from erp.accounting.posting import Ledger, Posting, rounded
from erp.invoicing.errors import NegativeTotal
from erp.invoicing.new import NewInvoice, NewInvoiceLine
from erp.invoicing.repository import InvoiceRow, LineRow
from erp.invoicing.schemas import InvoiceLineView, InvoiceView, TaxView
from erp.kernel.money import money_text
from erp.kernel.quantity import quantity_text
from erp.pricing.tax import PricedLine, PricingLine, price_document
from tenancy.work import UnitOfWork

_ZERO = Decimal(0)


def draft_rows(work: UnitOfWork, new: NewInvoice) -> tuple[InvoiceRow, list[LineRow]]:
    """The document as a draft of version 1. Raises NegativeTotal."""
    currency = work.tenant.base_currency
    lines = [
        _line(line_no, line, priced)
        for line_no, (line, priced) in enumerate(zip(new.lines, _priced(new, currency), strict=True), start=1)
    ]
    net = sum((line.net for line in lines), _ZERO)
    tax = sum((line.tax for line in lines), _ZERO)
    if net + tax < 0:
        raise NegativeTotal(f"The total is {money_text(net + tax, currency)}.", total=money_text(net + tax, currency))
    row = InvoiceRow(
        id=new.id, kind=new.kind, state="draft", number=None, party_id=new.party_id, date=new.date,
        due_date=new.due_date or new.date + timedelta(days=new.payment_terms_days), accounting_date=None,
        currency=currency, prices_include_tax=new.prices_include_tax, tax_rounding=new.tax_rounding,
        net=net, tax=tax, gross=net + tax, line_count=len(lines), order_id=new.order_id, credits_id=new.credits_id,
        entry_id=None, text=new.text, external_id=new.external_id, version=1, created_at=work.now, posted_at=None,
    )  # fmt: skip
    return row, lines


def _priced(new: NewInvoice, currency: str) -> Sequence[PricedLine]:
    """What takes back or repeats a whole document carries its amounts; anything else is priced here."""
    credited = [line.priced for line in new.lines if line.priced is not None]
    if len(credited) == len(new.lines):
        return credited
    return price_document(
        [PricingLine(line.quantity, line.unit_price, line.tax_rate, line.discount_percent) for line in new.lines],
        included=new.prices_include_tax,
        rounding=new.tax_rounding,
        currency=currency,
    ).lines


def _line(line_no: int, line: NewInvoiceLine, priced: PricedLine) -> LineRow:
    return LineRow(
        line_no, line.product_id, line.description, line.quantity, line.unit_code, line.unit_price,
        line.discount_percent, line.tax_group_id, line.tax_rate, priced.net, priced.tax, priced.gross, line.account,
        line.source_line_id, line.credits_line_no,
    )  # fmt: skip


def postings_of(invoice: InvoiceRow, lines: Sequence[LineRow], ledger: Ledger) -> list[Posting]:
    """Dr receivables / Cr revenue per account / Cr output tax per rate; a credit note the other way round.

    None at all when everything is free of charge.
    """
    sign = 1 if invoice.kind == "invoice" else -1
    revenue: dict[str, Decimal] = {}
    taxes: dict[Decimal, Decimal] = {}
    for line in lines:
        account = ledger.account(line.account)
        revenue[account] = revenue.get(account, _ZERO) + line.net
        taxes[line.tax_rate] = taxes.get(line.tax_rate, _ZERO) + line.tax
    found = [Posting("@receivables", sign * invoice.gross, party_id=invoice.party_id)]
    found += [Posting(account, -sign * amount) for account, amount in sorted(revenue.items())]
    found += [
        Posting("@output_tax", -sign * amount, text=f"{quantity_text(rate)} %")
        for rate, amount in sorted(taxes.items())
    ]
    return rounded([posting for posting in found if posting.amount], invoice.currency, lines=len(lines))


def tax_totals(lines: Iterable[LineRow], currency: str) -> list[TaxView]:
    """Base and tax per rate, lowest rate first."""
    totals: dict[Decimal, tuple[Decimal, Decimal]] = {}
    for line in lines:
        base, tax = totals.get(line.tax_rate, (_ZERO, _ZERO))
        totals[line.tax_rate] = base + line.net, tax + line.tax
    return [
        TaxView(rate=quantity_text(rate), base=money_text(base, currency), tax=money_text(tax, currency))
        for rate, (base, tax) in sorted(totals.items())
    ]


def line_view(line: LineRow, currency: str) -> InvoiceLineView:
    return InvoiceLineView(
        line_no=line.line_no, product_id=line.product_id, description=line.description,
        quantity=quantity_text(line.quantity), unit_code=line.unit_code, unit_price=quantity_text(line.unit_price),
        discount_percent=quantity_text(line.discount_percent), tax_group_id=line.tax_group_id,
        tax_rate=quantity_text(line.tax_rate), net=money_text(line.net, currency),
        tax=money_text(line.tax, currency), gross=money_text(line.gross, currency), account=line.account,
        source_line_id=line.source_line_id, credits_line_no=line.credits_line_no,
    )  # fmt: skip


def header_of(row: InvoiceRow, open_amount: Decimal | None) -> dict[str, Any]:
    """The fields a document shows with and without its lines. `open_amount` None: nothing was ever open."""
    fields: dict[str, Any] = row._asdict()
    del fields["line_count"]
    for name in ("net", "tax", "gross"):
        fields[name] = money_text(fields[name], row.currency)
    fields["date_shifted"] = row.accounting_date is not None and row.accounting_date != row.date
    fields["open_amount"] = fields["payment_state"] = None
    if row.state == "posted":
        left = open_amount or _ZERO
        fields["open_amount"] = money_text(left, row.currency)
        fields["payment_state"] = "paid" if not left else "unpaid" if left == row.gross else "partly_paid"
    return fields


def invoice_view(
    row: InvoiceRow, lines: Sequence[LineRow], open_amount: Decimal | None, credited_by: Sequence[UUID] = ()
) -> InvoiceView:
    return InvoiceView(
        **header_of(row, open_amount),
        lines=[line_view(line, row.currency) for line in lines],
        taxes=tax_totals(lines, row.currency),
        credited_by=list(credited_by),
    )


def facts_of(row: InvoiceRow) -> dict[str, Any]:
    """What events and the audit tell of a document."""
    return {
        "kind": row.kind,
        "number": row.number,
        "party_id": str(row.party_id),
        "date": row.date.isoformat(),
        "accounting_date": row.accounting_date and row.accounting_date.isoformat(),
        "due_date": row.due_date.isoformat(),
        "currency": row.currency,
        "net": money_text(row.net, row.currency),
        "tax": money_text(row.tax, row.currency),
        "gross": money_text(row.gross, row.currency),
        "order_id": row.order_id and str(row.order_id),
        "credits_id": row.credits_id and str(row.credits_id),
        "entry_id": row.entry_id and str(row.entry_id),
    }
