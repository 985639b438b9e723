"""Sold, handed over and invoiced at once: a shop's counter, and the history of another system.

An order, its delivery and its posted invoice in one transaction, with as many statements for a thousand lines as
for one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

from db.identifiers import new_id
from erp.accounting.posting import Ledger, ledger_loads, open_ledger
from erp.inventory.backdating import check_may_record_history
from erp.inventory.facts import chosen_location, location_facts, movement_date
from erp.inventory.stock import Demand, Pair, Stock, numbered, past_loads, stock_loads, stock_on
from erp.invoicing.service import (
    InvoiceLineRow,
    InvoiceRow,
    NewInvoice,
    add_lines,
    book,
    draft_rows,
    post_document,
)
from erp.kernel.money import money_text
from erp.numbering.service import reference
from erp.parties.facts import PartyFacts, customer_of, party_facts
from erp.pricing.facts import conversions, selling_facts, tax_defaults
from erp.sales.billing import invoice_lines, rounding_of
from erp.sales.confirming import services_rendered
from erp.sales.credit import check_credit, check_may_override, credit_loads, credit_operation, note_override
from erp.sales.delivering import Booked, book_delivery, delivered, issue, new_delivery, post_delivery
from erp.sales.documents import DirectSaleView
from erp.sales.drafting import goods_of, new_lines, price_loads, tax_terms
from erp.sales.planning import Drop, pairs_of
from erp.sales.rows import DeliveryRow, LineRow, OrderRow
from erp.sales.saving import add_delivery_lines, add_order, tell_order
from erp.sales.schemas import DirectSaleInput
from tenancy.locks import stock_operation
from tenancy.quotas import DOCUMENTS_ARE_COUNTED
from tenancy.work import UnitOfWork

_ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class _Sale:
    """All of it that is known before its goods are looked at; `counted`: whether a quota counts documents."""

    counted: bool
    party: PartyFacts
    order: OrderRow
    lines: list[LineRow]
    drops: list[Drop]
    invoice: InvoiceRow
    invoice_lines: Sequence[InvoiceLineRow]

    @property
    def pairs(self) -> list[Pair]:
        return pairs_of(self.lines, self.order.location_id)


async def create_direct_sale(work: UnitOfWork, data: DirectSaleInput) -> DirectSaleView:
    """All documents carry the same date, which may be past as far as its period exists.

    Goods must be free, and must have been there on that date. A customer's credit limit binds it like a confirmation,
    but not history. Raises what creating, confirming, delivering and posting raise.
    """
    work.caller.require("deliveries:write")
    work.caller.require("invoices:write")
    check_may_record_history(work, data.history)
    check_may_override(work, data.credit_override)
    on = movement_date(work, data.date)
    sale = await _draft(work, data, await reference(work, "sales_order"))
    order, pairs = sale.order, sale.pairs
    limited = sale.party.credit_limit is not None and not data.history
    await credit_operation(work, sale.party.id, limited=limited)
    await stock_operation(work, pairs)
    _write_ahead(work, sale)
    owed, stocked = credit_loads(sale.party.id, limited=limited), past_loads(work, pairs, on, history=data.history)
    periods, roles, *loaded = await work.load(*ledger_loads(on), *owed, *stock_loads(pairs), *stocked)
    credit, (levels, costs, *past) = loaded[: len(owed)], loaded[len(owed) :]
    ledger = open_ledger(periods, roles, on, strict_date=data.strict_date)
    stock = await stock_on(work, ledger, pairs, levels, costs, past, history=data.history)
    _check_there(stock, sale.drops, order.location_id)
    beyond = check_credit(work, order.gross, credit, data.credit_override)
    delivery, invoice = await _post(work, ledger, stock, sale)
    told = {"invoice": invoice.number, "invoice_id": str(invoice.id), **beyond}
    if delivery is not None:
        told |= {"delivery": delivery.number, "delivery_id": str(delivery.id)}
    tell_order(work, order, "sold", facts=told, lines=sale.lines)
    note_override(work, order.id, beyond)
    return _view(order, delivery, invoice, ledger)


async def _draft(work: UnitOfWork, data: DirectSaleInput, number: str) -> _Sale:
    on = data.date or work.today
    products = sorted({line.product_id for line in data.lines})
    [(counted,)], places, parties, facts, ratios, *listed = await work.peek(
        DOCUMENTS_ARE_COUNTED(), location_facts(data.location_id), party_facts(data.party_id),
        selling_facts(products, on), conversions(products), *price_loads(data.lines, data.party_id, on),
    )  # fmt: skip
    location, party = chosen_location(places, data.location_id), customer_of(parties, data.party_id)
    terms = tax_terms(tax_defaults(work.tenant.settings), data.prices_include_tax, data.tax_rounding)
    lines, totals = new_lines(data.lines, goods_of(facts, ratios, *listed), terms, work.tenant.base_currency)
    order = OrderRow(
        id=new_id(), number=number, state="delivered", party_id=party.id, location_id=location.id, date=on,
        currency=work.tenant.base_currency, prices_include_tax=terms.included, tax_rounding=terms.rounding,
        payment_terms_days=party.payment_terms_days, net=totals.net, tax=totals.tax, gross=totals.gross,
        line_count=len(lines), reference=data.reference, text=data.text, cancel_reason="", direct=True,
        external_id=data.external_id, confirmed_at=work.now, version=1, created_at=work.now,
    )  # fmt: skip
    drops = [Drop(line, line.quantity, line.base_quantity, _ZERO) for line in lines if line.goods]
    sold = delivered(services_rendered(lines), drops)
    invoice, billed = draft_rows(work, _invoice(order, sold, data))
    return _Sale(counted, party, order, sold, drops, invoice, billed)


def _write_ahead(work: UnitOfWork, sale: _Sale) -> None:
    """Queue what is written before the goods are locked and the numbers taken: others wait for both until the commit.

    Where a quota counts documents its lock comes with the first of them, and behind the numbers for everybody: then
    only the invoice's lines.
    """
    add_lines(work, sale.invoice, sale.invoice_lines)
    if not sale.counted:
        add_order(work, sale.order, sale.lines)


async def _post(work: UnitOfWork, ledger: Ledger, stock: Stock, sale: _Sale) -> tuple[DeliveryRow | None, InvoiceRow]:
    # The moves come before the numbers: what they change of later costs takes a number too.
    moves = issue(stock, sale.drops, sale.order.location_id)
    billed = book(work, ledger, sale.invoice, sale.invoice_lines)
    note = new_delivery(work, sale.order, ledger, sale.drops, moves, sale.order.text, sale.order.external_id)
    booked = await book_delivery(work, ledger, stock, note) if sale.drops else None
    if not sale.counted:
        _add_delivery_lines(work, booked)
    numbers = await numbered(work, ledger, stock, *(["delivery", "invoice"] if booked else ["invoice"]))
    if sale.counted:
        add_order(work, sale.order, sale.lines)
        _add_delivery_lines(work, booked)
    delivery = post_delivery(work, ledger, stock, booked, numbers[0]) if booked else None
    return delivery, post_document(work, ledger, billed, numbers[-1])


def _add_delivery_lines(work: UnitOfWork, booked: Booked | None) -> None:
    """They point to the order's lines, so they come behind those."""
    if booked is not None:
        add_delivery_lines(work, booked.row.id, booked.lines)


def _check_there(stock: Stock, drops: Sequence[Drop], location_id: UUID) -> None:
    """All goods at once. Raises InsufficientStock."""
    stock.require(
        (
            Demand(drop.line.product_id, location_id, drop.base, pointer=f"/lines/{drop.line.line_no - 1}/quantity")
            for drop in drops
        ),
        issue=True,
    )  # fmt: skip


def _invoice(order: OrderRow, lines: Sequence[LineRow], data: DirectSaleInput) -> NewInvoice:
    return NewInvoice(
        party_id=order.party_id, date=order.date,
        lines=invoice_lines([(line, line.quantity) for line in lines], whole=True),
        prices_include_tax=order.prices_include_tax, tax_rounding=rounding_of(order),
        payment_terms_days=order.payment_terms_days, due_date=data.due_date, order_id=order.id,
        external_id=order.external_id, text=order.text,
    )  # fmt: skip


def _view(order: OrderRow, delivery: DeliveryRow | None, invoice: InvoiceRow, ledger: Ledger) -> DirectSaleView:
    return DirectSaleView(
        id=order.id, order_number=order.number, delivery_id=delivery.id if delivery else None,
        delivery_number=delivery.number if delivery else None, invoice_id=invoice.id,
        invoice_number=invoice.number or "", date=order.date, accounting_date=ledger.date,
        date_shifted=ledger.date_shifted, currency=order.currency,
        net=money_text(invoice.net, order.currency), tax=money_text(invoice.tax, order.currency),
        gross=money_text(invoice.gross, order.currency),
        cost=money_text(delivery.cost if delivery else _ZERO, order.currency),
        line_count=order.line_count, external_id=order.external_id,
    )  # fmt: skip
