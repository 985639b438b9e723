"""Sold, handed over and invoiced at once: a shop's counter, and the history of another system.

An order, its delivery and its posted invoice in one transaction, with as many statements for a thousand lines as
for one.
"""

from collections.abc import Sequence
from decimal import Decimal

from db.identifiers import new_id
from erp.accounting.posting import Ledger, ledger_loads, open_ledger
from erp.inventory.backdating import check_may_record_history
from erp.inventory.facts import chosen_location, location_facts, movement_date
from erp.inventory.stock import Demand, Stock, numbered, past_loads, stock_loads, stock_on
from erp.invoicing.service import InvoiceRow, NewInvoice, book_document, post_document
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
    number = await reference(work, "sales_order")
    party, draft, lines = await _draft(work, data, number)
    pairs, limited = pairs_of(lines, draft.location_id), party.credit_limit is not None and not data.history
    await credit_operation(work, party.id, limited=limited)
    await stock_operation(work, pairs)
    owed, stocked = credit_loads(party.id, limited=limited), past_loads(work, pairs, on, history=data.history)
    [(counted,)], periods, roles, *loaded = await work.load(
        DOCUMENTS_ARE_COUNTED(), *ledger_loads(on), *owed, *stock_loads(pairs), *stocked
    )
    credit, (levels, costs, *past) = loaded[: len(owed)], loaded[len(owed) :]
    ledger = open_ledger(periods, roles, on, strict_date=data.strict_date)
    stock = await stock_on(work, ledger, pairs, levels, costs, past, history=data.history)
    drops = _hand_over(stock, lines, draft)
    beyond = check_credit(work, draft.gross, credit, data.credit_override)
    # The moves come before the numbers: what they change of later costs takes a number too.
    moves = issue(stock, drops, draft.location_id)
    order = draft._replace(state="delivered", confirmed_at=work.now)
    sold = delivered(services_rendered(lines), drops)
    billed, _ = book_document(work, ledger, _invoice(order, sold, data))
    note = new_delivery(work, order, ledger, drops, moves, order.text, order.external_id)
    booked = await book_delivery(work, ledger, stock, note) if drops else None

    # Others wait for the numbers from here to the commit, so whatever does not bear one is written with taking them;
    # but not where the order would take its quota's lock before the numbers while others take it behind them.
    if not counted:
        _add(work, order, sold, booked)
    numbers = await numbered(work, ledger, stock, *(["delivery", "invoice"] if drops else ["invoice"]))
    if counted:
        _add(work, order, sold, booked)
    delivery = post_delivery(work, ledger, stock, booked, numbers[0]) if booked is not None else None
    invoice = post_document(work, ledger, billed, numbers[-1])
    told = {"invoice": invoice.number, "invoice_id": str(invoice.id), **beyond}
    if delivery is not None:
        told |= {"delivery": delivery.number, "delivery_id": str(delivery.id)}
    tell_order(work, order, "sold", facts=told, lines=sold)
    note_override(work, order.id, beyond)
    return _view(order, delivery, invoice, ledger)


async def _draft(work: UnitOfWork, data: DirectSaleInput, number: str) -> tuple[PartyFacts, OrderRow, list[LineRow]]:
    on = data.date or work.today
    products = sorted({line.product_id for line in data.lines})
    places, parties, facts, ratios, *listed = await work.peek(
        location_facts(data.location_id), party_facts(data.party_id), selling_facts(products, on),
        conversions(products), *price_loads(data.lines, data.party_id, on),
    )  # fmt: skip
    location, party = chosen_location(places, data.location_id), customer_of(parties, data.party_id)
    terms = tax_terms(tax_defaults(work.tenant.settings), data.prices_include_tax, data.tax_rounding)
    lines, totals = new_lines(data.lines, goods_of(facts, ratios, *listed), terms, work.tenant.base_currency)
    return party, OrderRow(
        id=new_id(), number=number, state="draft", party_id=party.id, location_id=location.id, date=on,
        currency=work.tenant.base_currency, prices_include_tax=terms.included, tax_rounding=terms.rounding,
        payment_terms_days=party.payment_terms_days, net=totals.net, tax=totals.tax, gross=totals.gross,
        line_count=len(lines), reference=data.reference, text=data.text, cancel_reason="", direct=True,
        external_id=data.external_id, confirmed_at=None, version=1, created_at=work.now,
    ), lines  # fmt: skip


def _hand_over(stock: Stock, lines: Sequence[LineRow], order: OrderRow) -> list[Drop]:
    """All goods at once. Raises InsufficientStock."""
    goods = [line for line in lines if line.goods]
    stock.require(
        (
            Demand(
                line.product_id, order.location_id, line.base_quantity, pointer=f"/lines/{line.line_no - 1}/quantity"
            )
            for line in goods
        ),
        issue=True,
    )  # fmt: skip
    return [Drop(line, line.quantity, line.base_quantity, _ZERO) for line in goods]


def _add(work: UnitOfWork, order: OrderRow, lines: Sequence[LineRow], booked: Booked | None) -> None:
    """The order, and what points to its lines."""
    add_order(work, order, lines)
    if booked is not None:
        add_delivery_lines(work, booked.row.id, booked.lines)


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
