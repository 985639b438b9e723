"""Invoices for tests, without products."""

from datetime import date
from typing import Any
from uuid import UUID

from erp.invoicing.schemas import CreateInvoiceInput, InvoiceLineInput, InvoiceView
from erp.invoicing.service import create_invoice
from tests.slices.accounting.books import Books

MARCH = date(2026, 3, 10)


def line(quantity: str = "1", unit_price: str = "100.00", tax_rate: str = "20", **fields: Any) -> InvoiceLineInput:
    return InvoiceLineInput(
        quantity=quantity, unit_price=unit_price, tax_rate=tax_rate, description=fields.pop("description", "Work"),
        **fields,
    )  # fmt: skip


def invoice_input(party: UUID, *lines: InvoiceLineInput, on: date = MARCH, **fields: Any) -> CreateInvoiceInput:
    return CreateInvoiceInput(party_id=party, date=on, lines=list(lines) or [line()], **fields)


async def posted(books: Books, *lines: InvoiceLineInput, on: date = MARCH, **fields: Any) -> InvoiceView:
    """A posted invoice of the customer."""
    party = fields.pop("party", books.customer)
    return await books.run(create_invoice, invoice_input(party, *lines, on=on, post=True, **fields))
