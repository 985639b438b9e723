"""What a payment books, and how it is shown. Pure."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Literal
from uuid import UUID

from erp.accounting.errors import AllocationTooEarly
from erp.accounting.open_items import AllocationRow, Demand
from erp.accounting.posting import Ledger, Posting
from erp.kernel.errors import Invalid, NotFound
from erp.kernel.money import money, money_text
from erp.payments.errors import PaymentReversed
from erp.payments.repository import PaymentRow
from erp.payments.schemas import AllocationInput, AllocationView, PaymentView

#: side -> (control account, account for what settles nothing yet).
ACCOUNTS = {
    "receivable": ("@receivables", "@customer_advances"),
    "payable": ("@payables", "@supplier_advances"),
}


def settles(direction: str) -> Literal["debit", "credit"]:
    """Money coming in settles what is owed to us (debit items), money going out what we owe."""
    return "debit" if direction == "in" else "credit"


def money_postings(payment: PaymentRow, *, allocated: Decimal, sign: int = 1) -> list[Posting]:
    """Dr bank / Cr control account for what is allocated / Cr advances for the rest; out is mirrored.

    `sign` -1 takes the payment back as it stands now.
    """
    control, advances = ACCOUNTS[payment.side]
    sign = sign if payment.direction == "in" else -sign
    found = [
        Posting(payment.account_code, sign * payment.amount, text=payment.reference),
        Posting(control, -sign * allocated, party_id=payment.party_id),
        Posting(advances, -sign * (payment.amount - allocated), party_id=payment.party_id),
    ]
    return [posting for posting in found if posting.amount]


def moving_postings(payment: PaymentRow, amount: Decimal) -> list[Posting]:
    """From the party's advances to its control account (`amount` > 0), or back (< 0)."""
    control, advances = ACCOUNTS[payment.side]
    moved = amount if payment.direction == "in" else -amount
    return [
        Posting(advances, moved, party_id=payment.party_id),
        Posting(control, -moved, party_id=payment.party_id),
    ]


def demands_of(inputs: Sequence[AllocationInput], currency: str) -> list[Demand]:
    """Raises Invalid, InvalidAmount."""
    demands = []
    for index, line in enumerate(inputs):
        pointer = f"/allocations/{index}"
        named = [one for one in (line.open_item_id, line.invoice_id, line.bill_id) if one is not None]
        if len(named) != 1:
            raise Invalid("Name exactly one of open_item_id, invoice_id and bill_id.", pointer=pointer)
        demands.append(Demand(named[0], money(line.amount, currency, pointer=f"{pointer}/amount"), pointer))
    return demands


def posted_payment(found: Sequence[PaymentRow], payment_id: UUID) -> PaymentRow:
    """Raises NotFound, PaymentReversed."""
    if not found:
        raise NotFound(payment_id=str(payment_id))
    [payment] = found
    if payment.state == "reversed":
        raise PaymentReversed(f"{payment.number} is reversed.", reversal_entry_id=str(payment.reversal_entry_id))
    return payment


def check_not_before(payment: PaymentRow, ledger: Ledger) -> None:
    """What is done with a payment is not dated before the payment. Raises AllocationTooEarly."""
    if ledger.date < payment.accounting_date:
        raise AllocationTooEarly(
            f"{payment.number} is dated {payment.accounting_date}.", pointer="/date",
            date=payment.accounting_date.isoformat(),
        )  # fmt: skip


def header_of(row: PaymentRow) -> dict[str, Any]:
    """The fields a payment shows with and without its allocations."""
    fields: dict[str, Any] = row._asdict()
    fields["account"] = fields.pop("account_code")
    fields["amount"] = money_text(row.amount, row.currency)
    fields["unallocated"] = money_text(row.unallocated, row.currency)
    fields["date_shifted"] = row.accounting_date != row.date
    return fields


def payment_view(row: PaymentRow, allocations: Sequence[AllocationRow]) -> PaymentView:
    return PaymentView(
        **header_of(row),
        allocations=[
            AllocationView(
                id=one.id,
                open_item_id=one.open_item_id,
                document_type=one.document_type,
                document_id=one.document_id,
                document_number=one.document_number,
                amount=money_text(one.amount, row.currency),
                date=one.date,
                entry_id=one.entry_id,
                taken_back=one.reversed,
            )
            for one in sorted(allocations, key=lambda one: one.id)
        ],
    )


def facts_of(row: PaymentRow) -> dict[str, Any]:
    """What events and the audit tell of a payment."""
    return {
        "number": row.number,
        "direction": row.direction,
        "side": row.side,
        "state": row.state,
        "party_id": str(row.party_id),
        "date": row.date.isoformat(),
        "currency": row.currency,
        "amount": money_text(row.amount, row.currency),
        "unallocated": money_text(row.unallocated, row.currency),
        "entry_id": str(row.entry_id),
    }
