"""Goods receipts: Dr inventory (a service: expense) / Cr goods received, at order cost.

A receipt takes its share of the line's net amount; the last one takes what is left, so that the receipts of a
line add up to what was ordered.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

from db.identifiers import new_id
from erp.accounting.posting import Ledger, Posting, ledger_loads, open_ledger
from erp.inventory.backdating import check_may_record_history
from erp.inventory.facts import check_decimals, chosen_location, location_facts, movement_date
from erp.inventory.stock import (
    Booking,
    Stock,
    book_postings,
    ensure_levels,
    numbered,
    past_loads,
    post_moves,
    stock_loads,
    stock_on,
)
from erp.kernel.errors import NotFound, UnknownReference
from erp.kernel.money import EXACT, round_money
from erp.kernel.quantity import quantity_text
from erp.kernel.text import decimal
from erp.numbering.service import reference
from erp.parties.facts import party_facts, supplier_of
from erp.pricing.facts import SellingFacts, conversions, selling_facts
from erp.purchasing.errors import MoreThanOrdered, NothingOpen
from erp.purchasing.order_state import check_step, state_of
from erp.purchasing.ordering import new_lines, ratios_of
from erp.purchasing.orders import expect, order_row, rounding_of, tell
from erp.purchasing.repository import (
    ADD_ORDER,
    ADD_RECEIPT,
    ADD_RECEIPT_LINES,
    LOCK_ORDERS,
    ORDER_LINES,
    ORDERS,
    SET_STATES,
    add_lines,
    arrays,
    move_lines,
)
from erp.purchasing.rows import LineRow, OrderRow, ReceiptLineRow, ReceiptRow
from erp.purchasing.schemas import (
    DirectReceiptInput,
    DirectReceiptView,
    GoodsReceiptLineInput,
    GoodsReceiptView,
    ReceivePurchaseOrderInput,
)
from erp.purchasing.views import direct_view, receipt_facts, receipt_view
from tenancy.locks import stock_operation
from tenancy.trail import Event
from tenancy.work import UnitOfWork

#: What goods receipts call themselves in stock moves and journal entries.
SOURCE = "goods_receipt"
_ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class Arrival:
    """Part of an order line that came: `quantity` in the line's unit, `base` in the product's, `value` net."""

    line: LineRow
    quantity: Decimal
    base: Decimal
    value: Decimal

    @property
    def line_after(self) -> LineRow:
        return self.line._replace(
            received=self.line.received + self.quantity, received_value=self.line.received_value + self.value
        )


@dataclass(frozen=True, slots=True)
class Paper:
    """Where a receipt's goods lie, and what the client wrote on it."""

    location_id: UUID
    data: ReceivePurchaseOrderInput | DirectReceiptInput


async def receive_order(work: UnitOfWork, order_id: UUID, data: ReceivePurchaseOrderInput) -> GoodsReceiptView:
    """Receive goods of a placed order, in parts if need be.

    Raises NotFound, InvalidState, MoreThanOrdered, NothingOpen, NotRepresentable, DateInFuture, BackdatedTooFar,
    BackdatedTooMuch, PeriodClosed.
    """
    on = movement_date(work, data.date)
    orders, peeked = await work.peek(ORDERS(order_ids=[order_id]), ORDER_LINES(order_ids=[order_id]))
    if not orders:
        raise NotFound(purchase_order_id=str(order_id))
    location_id = data.location_id or orders[0].location_id
    # The lines of an order are written once with it: their products are these, whatever happens meanwhile.
    pairs = sorted({(line.product_id, location_id) for line in peeked if line.goods})
    await stock_operation(work, pairs)
    ensure_levels(work, pairs)
    periods, roles, [before], lines, products, places, levels, costs, *past = await work.load(
        *ledger_loads(on), LOCK_ORDERS(order_ids=[order_id]), ORDER_LINES(order_ids=[order_id]),
        selling_facts(sorted({line.product_id for line in peeked}), on),
        location_facts(location_id), *stock_loads(pairs), *past_loads(work, pairs, on),
    )  # fmt: skip
    work.check_version(before.version)
    check_step("receive", before)
    ledger = open_ledger(periods, roles, on, strict_date=data.strict_date)
    location = chosen_location(places, location_id)
    arrivals = plan_arrivals(data.lines, lines, products, work.tenant.base_currency)
    stock = await stock_on(work, ledger, pairs, levels, costs, past)
    came = _rows(arrivals)
    _put_away(stock, came, location.id)

    receipt, booking = await _book(work, ledger, stock, came, before, Paper(location.id, data))
    [number] = await numbered(work, ledger, stock, "goods_receipt")
    receipt = receipt._replace(number=number)
    _post(work, ledger, stock, came, receipt, booking, before)
    changed = {arrival.line.id: arrival.line_after for arrival in arrivals}
    left = [changed.get(line.id, line) for line in lines]
    after = before._replace(state=state_of(left), version=before.version + 1)
    work.save(move_lines(lines, left), SET_STATES(ids=[order_id], states=[after.state]))
    expect(work, after, left)
    tell(work, after, "received", before=before)
    return receipt_view(receipt, came)


async def receive_directly(work: UnitOfWork, data: DirectReceiptInput) -> DirectReceiptView:
    """An order and its receipt at once: goods that were never ordered here, opening purchases.

    Raises what creating an order and receiving it raise.
    """
    check_may_record_history(work, data.history)
    order_number = await reference(work, "purchase_order")
    on = movement_date(work, data.date)
    product_ids = sorted({line.product_id for line in data.lines})
    places, facts = await work.peek(location_facts(data.location_id), selling_facts(product_ids, on))
    location = chosen_location(places, data.location_id)
    pairs = [(row.product_id, location.id) for row in facts if row.kind == "stocked"]
    await stock_operation(work, pairs)
    ensure_levels(work, pairs)
    periods, roles, parties, facts, ratios, levels, costs, *past = await work.load(
        *ledger_loads(on), party_facts(data.party_id), selling_facts(product_ids, on), conversions(product_ids),
        *stock_loads(pairs), *past_loads(work, pairs, on, history=data.history),
    )  # fmt: skip
    supplier_of(parties, data.party_id)
    ledger = open_ledger(periods, roles, on, strict_date=data.strict_date)
    order_id, currency = new_id(), work.tenant.base_currency
    ordered, priced = new_lines(
        order_id, data.lines, facts, ratios_of(ratios), included=data.prices_include_tax,
        rounding=rounding_of(work, data), currency=currency,
    )  # fmt: skip
    arrivals = plan_arrivals(None, ordered, facts, currency)
    lines = [arrival.line_after for arrival in arrivals]
    order = order_row(
        work, order_id, order_number, data, priced, len(lines), on=on, location_id=location.id, state=state_of(lines)
    )
    stock = await stock_on(work, ledger, pairs, levels, costs, past, history=data.history)
    came = _rows(arrivals)
    _put_away(stock, came, location.id)

    receipt, booking = await _book(work, ledger, stock, came, order, Paper(location.id, data))
    [number] = await numbered(work, ledger, stock, "goods_receipt")
    # Behind the number: a quota on documents takes its lock with the first of them, and everybody's comes there.
    work.save(ADD_ORDER(**order._asdict()), add_lines(lines))
    receipt = receipt._replace(number=number)
    _post(work, ledger, stock, came, receipt, booking, order)
    tell(work, order, "created")
    return direct_view(order, receipt)


def plan_arrivals(
    asked: Sequence[GoodsReceiptLineInput] | None,
    lines: Sequence[LineRow],
    products: Sequence[SellingFacts],
    currency: str,
) -> list[Arrival]:
    """What comes of each line, a line named twice added up; everything open for None. Pure.

    Raises UnknownReference, MoreThanOrdered, NothingOpen, NotRepresentable, each with a pointer to its line.
    """
    wanted = _wanted(asked, {line.line_no: line for line in lines}, {row.product_id: row for row in products})
    if not wanted:
        raise NothingOpen
    return [
        Arrival(line, quantity, line.base(quantity), _value(line, quantity, currency))
        for line in lines
        if (quantity := wanted.get(line.line_no))
    ]


def _wanted(
    asked: Sequence[GoodsReceiptLineInput] | None,
    lines: Mapping[int, LineRow],
    products: Mapping[UUID, SellingFacts],
) -> dict[int, Decimal]:
    if asked is None:
        return {line.line_no: line.open for line in lines.values() if line.open}
    wanted: dict[int, Decimal] = {}
    for index, step in enumerate(asked):
        line, pointer = lines.get(step.line_no), f"/lines/{index}/quantity"
        if line is None:
            raise UnknownReference(f"There is no line {step.line_no}.", pointer=f"/lines/{index}/line_no")
        quantity = line.open if step.quantity is None else decimal(step.quantity)
        wanted[line.line_no] = total = wanted.get(line.line_no, _ZERO) + quantity
        if not quantity or total > line.open:
            raise MoreThanOrdered(
                f"Line {line.line_no}: {quantity_text(total)} would come, {quantity_text(line.open)} is open.",
                pointer=pointer, line_no=line.line_no, open=quantity_text(line.open), requested=quantity_text(total),
            )  # fmt: skip
        if quantity != line.open:  # half a piece does not come, and of a box only what is whole pieces
            check_decimals(line.base(quantity, pointer=pointer), products[line.product_id], pointer=pointer)
    return wanted


def _value(line: LineRow, quantity: Decimal, currency: str) -> Decimal:
    """The share of the line's net amount, counted from its beginning so that roundings never add up."""
    total = line.received + quantity
    if total == line.quantity:
        return line.net - line.received_value
    share = EXACT.divide(EXACT.multiply(line.net, total), line.quantity)
    return round_money(share, currency) - line.received_value


def _put_away(stock: Stock, rows: Sequence[ReceiptLineRow], location_id: UUID) -> None:
    for row in rows:
        if row.kind == "stocked":
            stock.receive(row.id, row.product_id, location_id, row.base_quantity, row.value)


async def _book(
    work: UnitOfWork, ledger: Ledger, stock: Stock, rows: Sequence[ReceiptLineRow], order: OrderRow, paper: Paper
) -> tuple[ReceiptRow, Booking]:
    """Queue the moves and the lines of their entry, which there is when anything has a value. The receipt so far."""
    receipt_id = new_id()
    booking = await book_postings(
        work, ledger, stock, [*stock.postings("@grni"), *_services(rows)], kind="receipt", source_type=SOURCE,
        source_id=receipt_id,
    )  # fmt: skip
    return ReceiptRow(
        id=receipt_id, number="", order_id=order.id, party_id=order.party_id, location_id=paper.location_id,
        date=ledger.document_date, accounting_date=ledger.date, currency=work.tenant.base_currency,
        value=sum((row.value for row in rows), _ZERO), line_count=len(rows), reference=paper.data.reference,
        text=paper.data.text, entry_id=booking.entry_id, external_id=paper.data.external_id, version=1,
        created_at=work.now,
    ), booking  # fmt: skip


def _post(
    work: UnitOfWork,
    ledger: Ledger,
    stock: Stock,
    rows: Sequence[ReceiptLineRow],
    receipt: ReceiptRow,
    booking: Booking,
    order: OrderRow,
) -> None:
    """Queue the receipt with its lines and the heading of its entry."""
    post_moves(work, ledger, stock, booking, number=receipt.number, text=receipt.text or order.number)
    _save(work, receipt, rows, stock)


def _rows(arrivals: Sequence[Arrival]) -> list[ReceiptLineRow]:
    return [
        ReceiptLineRow(
            new_id(), line_no, arrival.line.id, arrival.line.product_id, arrival.line.kind, arrival.quantity,
            arrival.line.unit_code, arrival.base, arrival.value,
        )
        for line_no, arrival in enumerate(arrivals, start=1)
    ]  # fmt: skip


def _save(work: UnitOfWork, receipt: ReceiptRow, rows: Sequence[ReceiptLineRow], stock: Stock) -> None:
    work.save(
        ADD_RECEIPT(**receipt._asdict()),
        ADD_RECEIPT_LINES(receipt_id=receipt.id, **arrays(ReceiptLineRow._fields, rows)),
    )
    facts = receipt_facts(receipt)
    work.publish(
        Event("goods_receipt", receipt.id, 1, "goods_receipt.posted", {**facts, "levels": stock.level_facts()})
    )
    work.audit("goods_receipt.post", "goods_receipt", receipt.id, after=facts)


def _services(rows: Sequence[ReceiptLineRow]) -> list[Posting]:
    """A service is used up when it comes; it is owed for like goods until the bill is there."""
    lines = [
        Posting("@expense", row.value, product_id=row.product_id)
        for row in rows
        if row.kind != "stocked" and row.value
    ]
    owed = sum((line.amount for line in lines), _ZERO)
    return [*lines, Posting("@grni", -owed)] if lines else []
