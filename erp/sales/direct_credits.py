"""Credit notes without their invoice, with the goods that came back.

Nobody can say which delivery the goods were of, so there is no original cost to take them back at. They come in at
the unit cost the client gives, else at the product's current moving average (the last one when none is left): that
leaves the average of what is in stock as it is.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

from db.identifiers import new_id
from erp.accounting.posting import Ledger, ledger_loads, open_ledger
from erp.inventory.backdating import check_may_record_history
from erp.inventory.facts import chosen_location, location_facts, movement_date
from erp.inventory.stock import (
    Stock,
    ensure_levels,
    in_lock_order,
    numbered,
    past_loads,
    stock_loads,
    stock_on,
    value_at,
)
from erp.invoicing.service import (
    InvoiceRow,
    NewInvoice,
    NewInvoiceLine,
    add_lines,
    book,
    draft_rows,
    post_document,
)
from erp.kernel.errors import Invalid
from erp.kernel.money import money_text
from erp.kernel.text import Date, decimal
from erp.parties.facts import PartyFacts, customer_of, party_facts
from erp.pricing.facts import conversions, selling_facts, tax_defaults
from erp.pricing.tax import PricedLine
from erp.sales.documents import DirectCreditView
from erp.sales.drafting import TaxTerms, goods_of, new_lines, price_loads, tax_terms
from erp.sales.returning import book_return, post_return
from erp.sales.rows import LineRow, ReturnLineRow, ReturnRow
from erp.sales.schemas import DirectCreditInput
from tenancy.locks import stock_operation
from tenancy.work import UnitOfWork

_ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class _Draft:
    party: PartyFacts
    location_id: UUID
    terms: TaxTerms
    lines: list[LineRow]


async def create_direct_credit(work: UnitOfWork, data: DirectCreditInput) -> DirectCreditView:
    """A posted credit note, and a return receipt when goods came back.

    Raises what drafting a sale raises, Invalid, CostUnknown, DateInFuture, BackdatedTooFar, BackdatedTooMuch,
    PeriodClosed, Duplicate.
    """
    work.caller.require("returns:write")
    check_may_record_history(work, data.history)
    on = movement_date(work, data.date)
    draft = await _draft(work, data)
    for index, (line, given) in enumerate(zip(draft.lines, data.lines, strict=True)):
        if given.unit_cost is not None and not (line.goods and given.restock):
            raise Invalid("Only goods that come back have a cost here.", pointer=f"/lines/{index}/unit_cost")
    back = [
        (line, given.unit_cost)
        for line, given in zip(draft.lines, data.lines, strict=True)
        if line.goods and given.restock
    ]
    credited, credited_lines = draft_rows(work, _credit_note(draft, data, on=on))
    pairs = in_lock_order((line.product_id, draft.location_id) for line, _ in back)
    await stock_operation(work, pairs)
    # Others wait for the goods from their locks to the commit: what does not need them is written before those.
    add_lines(work, credited, credited_lines)
    ensure_levels(work, pairs)
    periods, roles, levels, costs, *past = await work.load(
        *ledger_loads(on), *stock_loads(pairs), *past_loads(work, pairs, on, history=data.history)
    )
    ledger = open_ledger(periods, roles, on, strict_date=data.strict_date)
    stock = await stock_on(work, ledger, pairs, levels, costs, past, history=data.history)
    came = [
        _receive(stock, line_no, line, cost, draft.location_id) for line_no, (line, cost) in enumerate(back, start=1)
    ]

    billed = book(work, ledger, credited, credited_lines)
    return_id = new_id()
    booking = await book_return(work, ledger, stock, return_id, came) if came else None

    numbers = await numbered(work, ledger, stock, *(["credit_note", "return"] if came else ["credit_note"]))
    credit = post_document(work, ledger, billed, numbers[0])
    receipt = None
    if booking is not None:
        receipt = _receipt(work, draft, data, ledger, credit.id, came)._replace(
            id=return_id, number=numbers[1], entry_id=booking.entry_id
        )
        post_return(work, ledger, stock, booking, receipt, came)
    return _view(credit, receipt, ledger)


async def _draft(work: UnitOfWork, data: DirectCreditInput) -> _Draft:
    on = data.date or work.today
    products = sorted({line.product_id for line in data.lines})
    places, parties, facts, ratios, *listed = await work.peek(
        location_facts(data.location_id), party_facts(data.party_id), selling_facts(products, on),
        conversions(products), *price_loads(data.lines, data.party_id, on),
    )  # fmt: skip
    location, party = chosen_location(places, data.location_id), customer_of(parties, data.party_id)
    terms = tax_terms(tax_defaults(work.tenant.settings), data.prices_include_tax, data.tax_rounding)
    lines, _ = new_lines(data.lines, goods_of(facts, ratios, *listed), terms, work.tenant.base_currency)
    return _Draft(party, location.id, terms, lines)


def _receive(stock: Stock, line_no: int, line: LineRow, unit_cost: str | None, location_id: UUID) -> ReturnLineRow:
    base = line.base_quantity
    value = (
        stock.average_value(line.product_id, base, pointer=f"/lines/{line.line_no - 1}/unit_cost")
        if unit_cost is None
        else value_at(base, decimal(unit_cost), stock.currency)
    )
    move = stock.receive(new_id(), line.product_id, location_id, base, value)
    return ReturnLineRow(
        move.line_id or new_id(), line_no, None, line.product_id, line.quantity, line.unit_code, base,
        move.unit_cost, value,
    )  # fmt: skip


def _credit_note(draft: _Draft, data: DirectCreditInput, *, on: Date) -> NewInvoice:
    return NewInvoice(
        party_id=draft.party.id, date=on, kind="credit_note", prices_include_tax=draft.terms.included,
        tax_rounding=draft.terms.rounding, external_id=data.external_id, text=data.reason,
        lines=[
            NewInvoiceLine(
                product_id=line.product_id, description=line.description, quantity=line.quantity,
                unit_price=line.unit_price, tax_rate=line.tax_rate, discount_percent=line.discount_percent,
                tax_group_id=line.tax_group_id, unit_code=line.unit_code,
                priced=PricedLine(line.net, line.tax, line.gross),
            )
            for line in draft.lines
        ],
    )  # fmt: skip


def _receipt(
    work: UnitOfWork,
    draft: _Draft,
    data: DirectCreditInput,
    ledger: Ledger,
    credit_note_id: UUID,
    came: Sequence[ReturnLineRow],
) -> ReturnRow:
    return ReturnRow(
        id=new_id(), number="", delivery_id=None, order_id=None, credit_note_id=credit_note_id,
        party_id=draft.party.id, location_id=draft.location_id, date=ledger.document_date,
        accounting_date=ledger.date, cost=sum((line.cost for line in came), _ZERO), line_count=len(came),
        reason=data.reason, entry_id=None, external_id=data.external_id, version=1, created_at=work.now,
    )  # fmt: skip


def _view(credit: InvoiceRow, receipt: ReturnRow | None, ledger: Ledger) -> DirectCreditView:
    return DirectCreditView(
        id=credit.id, credit_note_number=credit.number or "", return_id=receipt.id if receipt else None,
        return_number=receipt.number if receipt else None, date=credit.date, accounting_date=ledger.date,
        date_shifted=ledger.date_shifted, currency=credit.currency,
        net=money_text(credit.net, credit.currency), tax=money_text(credit.tax, credit.currency),
        gross=money_text(credit.gross, credit.currency),
        cost=money_text(receipt.cost if receipt else _ZERO, credit.currency),
        line_count=credit.line_count, external_id=credit.external_id,
    )  # fmt: skip
